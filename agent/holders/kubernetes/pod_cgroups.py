"""Which pods have a cgroup on this node: the proof of life that needs no API server.

The kubelet makes `kubepods` (or `kubepods.slice`) in each hierarchy, a folder below it for each class of service, and
the pods' own below these; pods that are guaranteed lie directly in it. A node that is a container itself puts its own
slices in front.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.holders.cgroup import parse_path
from agent.holders.kubernetes import defaults

_V1_HIERARCHIES: Final = ("memory", "pids", "cpu,cpuacct", "cpu", "cpuacct", "devices", "freezer", "systemd")
_CLASSES: Final = ("burstable", "besteffort")
_IN_FRONT: Final = ("kubelet", "kubelet.slice")


class PodCgroups:
    """The pods' cgroups under a mount of the host's cgroup filesystem (v1, v2 or both; either cgroup driver)."""

    def __init__(self, root: Path = defaults.CGROUPS) -> None:
        self._root = root

    def living(self) -> frozenset[str] | None:
        """Return the UIDs of the pods that have a cgroup, or None where this mount shows no pods at all: unknown."""
        for hierarchy in (self._root, *(self._root / name for name in _V1_HIERARCHIES)):
            tops = list(_tops(hierarchy))
            if tops:
                return frozenset(uid for top in tops for uid in _pods(top))
        return None


def _tops(hierarchy: Path) -> Iterator[Path]:
    """Yield the folders that hold all pods."""
    for name in _folders(hierarchy):
        if _is_top(name):
            yield hierarchy / name
        elif name in _IN_FRONT:
            yield from (hierarchy / name / inner for inner in _folders(hierarchy / name) if _is_top(inner))


def _is_top(name: str) -> bool:
    return name.removesuffix(".slice").rpartition("-")[2] == "kubepods"


def _pods(top: Path) -> Iterator[str]:
    for name in _folders(top):
        uid = parse_path(f"/{name}").pod_uid
        if uid:
            yield uid
        elif name.removesuffix(".slice").rpartition("-")[2] in _CLASSES:
            yield from (uid for inner in _folders(top / name) if (uid := parse_path(f"/{inner}").pod_uid))


def _folders(path: Path) -> list[str]:
    """Return the names of the folders in `path`; of none that is not there or may not be read."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
