"""A real Prometheus scrapes the agent: it takes every series, in OpenMetrics and compressed, and knows their types."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from agent.metrics.server import MetricsServer
from tests.agent.metrics_scene import Scene, run

PROMETHEUS = shutil.which("prometheus")
if PROMETHEUS is None and os.environ.get("CI") == "true":
    pytest.fail("prometheus is missing: apt-get install prometheus", pytrace=False)

_CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs:
  - job_name: agent
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@contextmanager
def prometheus(directory: Path, target_port: int) -> Iterator[str]:
    """Run a Prometheus that scrapes a port; yield its address."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    config = directory / "prometheus.yml"
    config.write_text(_CONFIG.format(port=target_port))
    command = [
        str(PROMETHEUS), f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with (directory / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def ask(address: str, path: str, **parameters: str) -> object:
    """Return the data of an answer of Prometheus' API, or None as long as it does not answer."""
    try:
        with urllib.request.urlopen(
            f"{address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}", timeout=5
        ) as answer:
            return json.load(answer)["data"]
    except OSError:
        return None


def values(address: str, query: str) -> list[tuple[dict[str, str], float]]:
    data = ask(address, "query", query=query)
    found = data["result"] if isinstance(data, dict) else []
    return [(one["metric"], float(one["value"][1])) for one in found]


@pytest.mark.skipif(PROMETHEUS is None, reason="prometheus is missing: apt-get install prometheus")
def test_prometheus_takes_every_series(tmp_path: Path) -> None:
    """Nothing is refused: as many samples as the page has, with their labels, units and types."""
    scene = Scene(dcgm_names=True)
    run(scene)
    server = MetricsServer(scene.exporter, "127.0.0.1", 0)
    try:
        with prometheus(tmp_path, server.port) as address:
            deadline = time.monotonic() + 60
            while [value for _, value in values(address, "up")] != [1]:
                assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                time.sleep(0.1)
            assert [value for _, value in values(address, "scrape_samples_scraped")] == [scene.series()]
            assert [value for _, value in values(address, "scrape_samples_post_metric_relabeling")] == [scene.series()]
            ((labels, held),) = values(address, 'gpuledger_holder_held_seconds_total{device="MIG-2a"}')
            assert (held, labels["pod"], labels["team"], labels["workload"]) == (60, "trainer", "vision", "run-1")
            assert sum(value for _, value in values(address, "DCGM_FI_DEV_POWER_USAGE")) == 470
            metadata = ask(address, "metadata")
            assert isinstance(metadata, dict)
            assert metadata["gpuledger_device_energy_joules"][0]["unit"] == "joules"  # so it was OpenMetrics
            assert metadata["gpuledger_device_energy_joules"][0]["type"] == "counter"
            assert metadata["gpuledger_agent"][0]["type"] == "info"
    finally:
        server.close()
