"""Dagster: what Pipes starts carries its run; what a run spawns by itself carries nothing."""

from __future__ import annotations

from pathlib import Path

from tests.tools.real import Meeting, identify, running, tool

_DEFINITIONS = """
import sys
import dagster as dg

@dg.asset
def features(context: dg.AssetExecutionContext, pipes: dg.PipesSubprocessClient):
    return pipes.run(
        command=[sys.executable, "train.py"], context=context, env={{"GPULEDGER_TEAM": "ranking"}}
    ).get_materialize_result()

@dg.asset(deps=[features])
def plain():
    exec({waits!r})

defs = dg.Definitions(
    assets=[features, plain],
    jobs=[dg.define_asset_job("train", selection=dg.AssetSelection.all())],
    resources={{"pipes": dg.PipesSubprocessClient()}},
)
"""
_TRAIN = """
from dagster_pipes import open_dagster_pipes
with open_dagster_pipes() as pipes:
    open("run_id", "w").write(pipes.run_id)
    {waits}
"""


def test_a_pipes_process_is_found_and_a_plain_step_is_not_guessed(tmp_path: Path, meet: Meeting) -> None:
    """The context of Pipes is a document in a file: run and asset come out of it, and nothing else does."""
    waits = "\n    ".join(meet.code("pipes").strip().splitlines())
    (tmp_path / "train.py").write_text(_TRAIN.format(waits=waits))
    (tmp_path / "defs.py").write_text(_DEFINITIONS.format(waits=meet.code("plain")))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("{}\n")
    with running(
        tool("dagster"), "job", "execute", "-f", "defs.py", "-j", "train",
        cwd=tmp_path, DAGSTER_HOME=str(tmp_path / "home"),
    ) as dagster:  # fmt: skip
        piped = identify(meet.wait(dagster).pid)
        meet.let_go()
        plain = identify(meet.wait(dagster).pid)
    run = (tmp_path / "run_id").read_text()
    assert piped.workload is not None
    assert (piped.workload.system, piped.workload.scope) == ("dagster", "step")
    assert (piped.workload.id, piped.workload.name) == (f"{run}/features", "train/features")
    assert (piped.team_claim, piped.team_source) == ("ranking", "env:GPULEDGER_TEAM")
    assert plain.workload is None
