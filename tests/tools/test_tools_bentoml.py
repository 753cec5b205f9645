"""BentoML: the worker of a service is found by its command line."""

from __future__ import annotations

from pathlib import Path

from tests.tools.real import Meeting, free_port, identify, running, tool

_SERVICE = """
import bentoml
@bentoml.service(envs=[{{"name": "GPULEDGER_TEAM", "value": "search"}}])
class Summarizer:
    def __init__(self):
        exec({waits!r})
    @bentoml.api
    def summarize(self, text: str) -> str:
        return text
"""


def test_a_services_worker_is_found(tmp_path: Path, meet: Meeting) -> None:
    """Bento and service make the id; the claim travels in the service's own variables."""
    (tmp_path / "service.py").write_text(_SERVICE.format(waits=meet.code()))
    port = free_port()
    with running(
        tool("bentoml"), "serve", "service:Summarizer", "--host", "127.0.0.1", "--port", str(port), cwd=tmp_path
    ) as bentoml:  # fmt: skip
        found = identify(meet.wait(bentoml).pid)
    assert found.workload is not None
    assert (found.workload.system, found.workload.scope) == ("bentoml", "service")
    assert (found.workload.id, found.workload.name) == ("service:Summarizer/Summarizer", "Summarizer")
    assert (found.team_claim, found.team_source) == ("search", "env:GPULEDGER_TEAM")
