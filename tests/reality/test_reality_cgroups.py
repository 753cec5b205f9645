"""Every labelled cgroup path of real systems resolves as labelled."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from agent.holders.cgroup import parse_identity
from agent.holders.kubernetes.pod_cgroups import PodCgroups

_ROOT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA", _ROOT.parent / "shared" / "data")) / "cgroup_paths"
_LABELS = (
    "pod_uid", "container_id", "runtime", "slurm_job", "slurm_step", "slurm_task", "outer_container_id",
)  # fmt: skip


def labelled() -> list[dict[str, str]]:
    path = _DATA / "cgroup_paths.csv"
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_paths_resolve_as_labelled() -> None:
    """All labelled paths, and the lines of /proc/PID/cgroup that they came from, say what their labels say."""
    rows = labelled()
    assert len(rows) >= 87
    wrong = []
    for row in rows:
        for text in filter(None, (row["path"], row["proc_cgroup_line"])):
            identity = parse_identity(text)
            wrong += [(text, name) for name in _LABELS if getattr(identity, name) != row[name]]
    assert wrong == []


def test_a_whole_tree_of_slurm_cgroups_is_recognised() -> None:
    """Every job directory of a recorded cgroup tree names its job, step and user."""
    labelled()
    fixtures = next(_DATA.glob("*.ttar")).read_text(encoding="utf-8")
    directories = [line.partition(": ")[2] for line in fixtures.splitlines() if line.startswith("Directory: ")]
    jobs = [path for path in directories if "/job_" in path and "/slurm/uid_" in path]
    assert jobs
    for path in jobs:
        identity = parse_identity("/" + path)
        parts = dict(part.split("_", 1) for part in path.split("/") if part.startswith(("uid_", "job_", "step_")))
        assert (identity.slurm_job, identity.slurm_step) == (parts["job"], parts.get("step", ""))
        assert identity.slurm_uid == int(parts["uid"])


def test_pods_of_real_trees_are_seen_to_live(tmp_path: Path) -> None:
    """A cgroup of each labelled path of a pod that the kubelet makes itself is found, wherever it lies in the tree."""
    rows = [row for row in labelled() if row["pod_uid"] and ":cri-containerd:" not in row["path"]]
    assert len(rows) >= 40
    missed = []
    for number, row in enumerate(rows):
        root = tmp_path / str(number)
        (root / row["path"].replace("/..", "").lstrip("/")).mkdir(parents=True)
        if PodCgroups(root).living() != {row["pod_uid"]}:
            missed.append(row["path"])
    assert missed == []
