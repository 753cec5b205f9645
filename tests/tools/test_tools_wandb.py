"""Weights & Biases, offline: a run that a launcher preset is found; the key beside it is not kept."""

from __future__ import annotations

from pathlib import Path

from tests.tools.real import PYTHON, Meeting, facts_of, identify, running

_TRAIN = """
import subprocess, sys
import wandb
with wandb.init():
    child = subprocess.Popen([sys.executable, "-c", {child!r}])
    {main}
"""
_KEY = "4f" * 20


def test_a_preset_run_is_found_in_the_trainer_and_its_children(tmp_path: Path, meet: Meeting) -> None:
    """Entity, project and run make the id; the entity is who the run says pays."""
    main = "\n    ".join(meet.code("main").strip().splitlines())
    (tmp_path / "train.py").write_text(_TRAIN.format(child=meet.code("child"), main=main))
    preset = {"WANDB_RUN_ID": "abc123", "WANDB_PROJECT": "bert", "WANDB_ENTITY": "nlp-team", "WANDB_API_KEY": _KEY}
    with running(PYTHON, "train.py", cwd=tmp_path, WANDB_SWEEP_ID="s7", **preset) as own:
        met = [meet.wait(own) for _ in range(2)]
        found = [identify(pid) for pid, _ in met]
        facts = [facts_of(pid) for pid, _ in met]
    for identity in found:
        assert identity.workload is not None
        assert (identity.workload.system, identity.workload.scope) == ("wandb", "run")
        assert (identity.workload.id, identity.workload.name) == ("nlp-team/bert/abc123", "abc123")
        assert (identity.team_claim, identity.team_source) == ("nlp-team", "env:WANDB_ENTITY")
        assert [(one.scope, one.id) for one in identity.context] == [("sweep", "nlp-team/bert/s7")]
    assert _KEY not in repr((found, facts))


def test_a_run_that_plain_init_began_is_found_by_its_open_file(tmp_path: Path, meet: Meeting) -> None:
    """Nothing stands in the environment; the helper process that W&B starts keeps the run's file open."""
    main = "\n    ".join(f'open("run", "w").write(wandb.run.id)\n{meet.code("main").strip()}'.splitlines())
    (tmp_path / "train.py").write_text(_TRAIN.format(child=meet.code("child"), main=main))
    with running(PYTHON, "train.py", cwd=tmp_path) as own:
        found = {role: identify(pid) for pid, role in [meet.wait(own) for _ in range(2)]}
    for role, source in (("main", "child:wandb-core"), ("child", "child:wandb-core@ancestor")):
        workload = found[role].workload
        assert workload is not None
        assert (workload.system, workload.scope, workload.id) == ("wandb", "run", (tmp_path / "run").read_text())
        assert found[role].workload_source == source
