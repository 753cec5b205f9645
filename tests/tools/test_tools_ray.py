"""Ray: a worker says which job of its cluster it works for."""

from __future__ import annotations

from pathlib import Path

from tests.tools.real import PYTHON, Meeting, identify, running

_JOB = """
import ray
ray.init(
    num_cpus=1, include_dashboard=False, log_to_driver=False,
    runtime_env={{"env_vars": {{"GPULEDGER_TEAM": "nlp"}}}}, _temp_dir={temporary!r},
)
open("job_id", "w").write(ray.get_runtime_context().get_job_id())
@ray.remote
class Trainer:
    def fit(self):
        exec({waits!r})
ray.get(Trainer.remote().fit.remote())
"""


def test_an_actor_is_found_with_its_job(tmp_path: Path, meet: Meeting) -> None:
    """The job's id is in the worker's environment, and so is the claim from the runtime environment."""
    (tmp_path / "job.py").write_text(_JOB.format(waits=meet.code(), temporary=f"/tmp/r{tmp_path.stat().st_ino}"))
    with running(PYTHON, "job.py", cwd=tmp_path) as own:
        found = identify(meet.wait(own).pid)
    assert found.workload is not None
    assert (found.workload.system, found.workload.scope) == ("ray", "job")
    assert found.workload.id == (tmp_path / "job_id").read_text()
    assert (found.team_claim, found.team_source) == ("nlp", "env:GPULEDGER_TEAM")
