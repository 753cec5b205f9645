"""DVC: every stage that `dvc repro` and `dvc exp run` start says which one it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tools.real import Meeting, done, identify, missing, running, tool

pytestmark = pytest.mark.skipif(missing("git"), reason="git is missing: apt-get install git")

_STAGES = """
stages:
  train:
    cmd: python train.py ${lr}
    params: [lr]
  sweep:
    foreach: [a, b]
    do:
      cmd: python train.py ${item}
"""


@pytest.fixture
def repository(tmp_path: Path, meet: Meeting) -> Path:
    """Make a repository of DVC's with a stage, and one of two variants."""
    (tmp_path / "train.py").write_text(meet.code())
    (tmp_path / "dvc.yaml").write_text(_STAGES)
    (tmp_path / "params.yaml").write_text("lr: 0.1\n")
    (tmp_path / ".gitignore").write_text("tool.log\nmeet\n.cache\n.config\n.local\n")
    done("git", "init", "-q", ".", cwd=tmp_path)
    done(tool("dvc"), "init", "-q", cwd=tmp_path)
    done("git", "add", "-A", cwd=tmp_path)
    done("git", "commit", "-qm", "stages", cwd=tmp_path)
    return tmp_path


def test_a_stage_of_repro_is_found(repository: Path, meet: Meeting) -> None:
    """Repository and stage are the id; a variant of a stage has its own name."""
    with running(tool("dvc"), "repro", "sweep@a", cwd=repository) as dvc:
        workload = identify(meet.wait(dvc).pid).workload
    assert workload is not None
    assert (workload.system, workload.scope, workload.name) == ("dvc", "stage", "sweep@a")
    assert workload.id == f"{repository}:sweep@a"


def test_a_stage_of_an_experiment_has_its_name(repository: Path, meet: Meeting) -> None:
    """An experiment's stage is told apart from the same stage of another."""
    with running(tool("dvc"), "exp", "run", "-n", "bigexp", "-S", "lr=0.2", "train", cwd=repository) as dvc:
        found = identify(meet.wait(dvc).pid)
    assert found.workload is not None
    assert (found.workload.id, found.workload.name) == (f"{repository}:train:bigexp", "bigexp/train")
    assert found.workload_source == "env:DVC_ROOT"
