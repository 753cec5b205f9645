"""MLflow: a run that `mlflow run` creates is found in whatever it starts; one that begins later is not guessed."""

from __future__ import annotations

from pathlib import Path

from tests.tools.real import PYTHON, Meeting, identify, running, tool

_TRAIN = """
import multiprocessing, subprocess, sys
import mlflow
MEET_CHILD = {child!r}
def spawned():
    exec({spawned!r})
if __name__ == "__main__":
    with mlflow.start_run() as run:
        children = [subprocess.Popen([sys.executable, "-c", MEET_CHILD])]
        worker = multiprocessing.get_context("spawn").Process(target=spawned)
        worker.start()
        {main}
"""


def _project(directory: Path, meet: Meeting) -> None:
    main = "\n        ".join(meet.code("main").strip().splitlines())
    (directory / "train.py").write_text(
        _TRAIN.format(child=meet.code("subprocess"), spawned=meet.code("spawned"), main=main)
    )
    (directory / "MLproject").write_text('name: bert\nentry_points:\n  main:\n    command: "python train.py"\n')


def test_a_project_run_is_found_in_every_process_of_it(tmp_path: Path, meet: Meeting) -> None:
    """start_run() takes the variable away from what it starts: the run is found at the parent then."""
    _project(tmp_path, meet)
    with running(
        tool("mlflow"), "run", ".", "--env-manager", "local", "--experiment-name", "nightly",
        cwd=tmp_path, MLFLOW_TRACKING_URI=f"file://{tmp_path}/mlruns",
    ) as mlflow:  # fmt: skip
        found = {role: identify(pid) for pid, role in [meet.wait(mlflow) for _ in range(3)]}
    runs = {path.name for path in (tmp_path / "mlruns").glob("*/*") if (path / "meta.yaml").exists()}
    for role, source in (
        ("main", "env:MLFLOW_RUN_ID"),
        ("subprocess", "env:MLFLOW_RUN_ID@ancestor"),
        ("spawned", "env:MLFLOW_RUN_ID@ancestor"),
    ):
        workload = found[role].workload
        assert workload is not None
        assert (workload.system, workload.scope, {workload.id}) == ("mlflow", "run", runs)
        assert workload.name in (f"nightly/{workload.id}", workload.id)
        assert found[role].workload_source == source


def test_a_run_that_begins_in_the_process_is_not_guessed(tmp_path: Path, meet: Meeting) -> None:
    """Plain start_run() leaves no mark that others can see; the claim of a team is still there."""
    _project(tmp_path, meet)
    with running(
        PYTHON, "train.py", cwd=tmp_path, MLFLOW_TRACKING_URI=f"file://{tmp_path}/mlruns", GPULEDGER_TEAM="nlp"
    ) as own:
        found = [identify(pid) for pid, _ in [meet.wait(own) for _ in range(3)]]
    assert [identity.workload for identity in found] == [None, None, None]
    assert {(identity.team_claim, identity.team_source) for identity in found} == {("nlp", "env:GPULEDGER_TEAM")}
