"""The agent stays small: once it is up, nothing heavy has been imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.scripted_server import accept_all, serving
from tests.agent.test_app import settings_file

ROOT = Path(__file__).parents[2]
HEAVY = {
    "duckdb", "polars", "pyarrow", "pandas", "numpy", "streamlit", "evidently", "pydantic", "rich", "starlette", "uvicorn",
    "grpc", "prometheus_client",
}  # fmt: skip

_PROGRAM = """
import json, sys, threading
from pathlib import Path
from agent import app
from agent.config import AgentSettings
from gpuledger.config import load_config
stop = threading.Event()
settings = load_config(AgentSettings, Path(sys.argv[1]), {})
if sys.argv[2] == "real":
    stop.set()
assert app.run(settings, stop=stop) == 0
print(json.dumps(sorted(sys.modules)))
"""


@pytest.mark.parametrize("mode", ["simulated", "real"])
def test_nothing_heavy_is_imported(tmp_path: Path, mode: str) -> None:
    """An agent that has sampled, sealed and delivered holds none of the heavy libraries, and in production no simulation."""
    with serving(accept_all) as server:
        path = settings_file(tmp_path, server.url, seal_s=600)
        if mode == "real":
            path.write_text(path.read_text().partition("[simulation]")[0])
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(path), mode],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout))
    assert {"agent.loop", "agent.exporter", "agent.shipper", "msgspec"} <= modules
    assert {name for name in modules if name.partition(".")[0] in HEAVY} == set()
    assert ("pynvml" in modules) is (mode == "simulated")  # in production the driver is read by a process of its own
    assert any(name.startswith("agent.devices.simulated") for name in modules) is (mode == "simulated")
