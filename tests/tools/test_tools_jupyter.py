"""Jupyter: a kernel is found by its connection file, and named after its notebook."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from tests.tools.real import free_port, identify, running, tool, wait_for


def test_a_kernel_is_found_with_its_notebook(tmp_path: Path) -> None:
    """The kernel's id is the one that the server knows; on a hub the user's server is around it."""
    port, token = free_port(), "not-a-secret"
    with running(
        tool("jupyter"), "server", "--allow-root", "--no-browser", f"--ServerApp.token={token}",
        "--port", str(port), "--ip", "127.0.0.1", f"--ServerApp.root_dir={tmp_path}",
        cwd=tmp_path, JUPYTERHUB_USER="ana.souza@example.org",
    ) as server:  # fmt: skip
        wait_for(f"http://127.0.0.1:{port}/api", server)
        session = {"path": "exp.ipynb", "type": "notebook", "name": "exp.ipynb", "kernel": {"name": "python3"}}
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/api/sessions",
            json.dumps(session).encode(),
            {"Authorization": f"token {token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            kernel = json.load(answer)["kernel"]["id"]
        found = identify(_kernel_process(kernel))
    assert found.workload is not None
    assert (found.workload.system, found.workload.scope, found.workload.id) == ("jupyter", "kernel", kernel)
    assert found.workload.name.endswith("exp.ipynb")
    assert found.workload_source == "command"
    assert (found.team_claim, found.team_source) == ("ana.souza@example.org", "env:JUPYTERHUB_USER")
    assert [(one.system, one.id) for one in found.context] == [("jupyterhub", "ana.souza@example.org")]


def _kernel_process(kernel: str) -> int:
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if b"ipykernel_launcher" in line and kernel.encode() in line:
                return int(folder.name)
    raise AssertionError("no process of the kernel runs")
