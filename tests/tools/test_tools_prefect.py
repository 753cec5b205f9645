"""Prefect: the flow run that a worker starts says which run, flow and deployment it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.tools.real import PYTHON, Meeting, done, free_port, identify, running, tool, wait_for

_FLOW = """
import prefect
@prefect.flow(name="train llm")
def train():
    exec({waits!r})
"""
_DEPLOY = """
from prefect import flow
flow.from_source(source={source!r}, entrypoint="flow.py:train").deploy(
    name="pooled", work_pool_name="gpu-pool", job_variables={{"env": {{"GPULEDGER_TEAM": "nlp"}}}},
    print_next_steps=False,
)
"""


def test_a_flow_run_of_a_worker_is_found(tmp_path: Path, meet: Meeting) -> None:
    """The id is the flow run's; the name is raw, not the slug that labels have; the claim travels as a job variable."""
    port = free_port()
    environ = {"PREFECT_API_URL": f"http://127.0.0.1:{port}/api", "PREFECT_HOME": str(tmp_path / "home")}
    (tmp_path / "flow.py").write_text(_FLOW.format(waits=meet.code()))
    (tmp_path / "deploy.py").write_text(_DEPLOY.format(source=str(tmp_path)))
    with running(
        tool("prefect"), "server", "start", "--host", "127.0.0.1", "--port", str(port), "--no-ui", cwd=tmp_path, **environ
    ) as server:  # fmt: skip
        wait_for(f"http://127.0.0.1:{port}/api/health", server)
        done(tool("prefect"), "work-pool", "create", "gpu-pool", "--type", "process", cwd=tmp_path, **environ)
        done(PYTHON, "deploy.py", cwd=tmp_path, **environ)
        with running(tool("prefect"), "worker", "start", "--pool", "gpu-pool", cwd=tmp_path, **environ) as worker:
            printed = done(tool("prefect"), "deployment", "run", "train llm/pooled", cwd=tmp_path, **environ)
            found = identify(meet.wait(worker).pid)
            meet.let_go()
    assert found.workload is not None
    assert (found.workload.system, found.workload.scope) == ("prefect", "flow run")
    assert found.workload.id in re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", printed), json.dumps(printed)
    assert found.workload.name == "train llm/pooled"
    assert (found.team_claim, found.team_source) == ("nlp", "env:GPULEDGER_TEAM")
    assert [(one.system, one.scope, one.id) for one in found.context] == [("prefect", "deployment", "pooled")]
