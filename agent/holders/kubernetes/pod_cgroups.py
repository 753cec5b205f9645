"""Which pods have a cgroup on this node: the proof of life that needs no API server.

The kubelet makes `kubepods` (or `kubepods.slice`) in each hierarchy, a folder below it for each class of service, and
the pods' own below these; pods that are guaranteed lie directly in it. A `--cgroup-root`, or a node that is a container
itself, puts folders in front.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from agent.holders.cgroup import parse_path
from agent.holders.kubernetes import defaults

_V1_HIERARCHIES: Final = ("memory", "pids", "cpu,cpuacct", "cpu", "cpuacct", "devices", "freezer", "systemd")
_ON_THE_WAY: Final = re.compile(  # folders that may hold pods; a user's own never do
    r"(?!user(-|\.slice)).*\.slice|(.*-)?kubepods|kubelet|burstable|besteffort|docker|(docker-)?[0-9a-f]{64}(\.scope)?"
)
_MAX_DEPTH: Final = 8


class PodCgroups:
    """The pods' cgroups under a mount of the host's cgroup filesystem (v1, v2 or both; either cgroup driver)."""

    def __init__(self, root: Path = defaults.CGROUPS) -> None:
        self._root = root

    def living(self) -> frozenset[str] | None:
        """Return the UIDs of the pods that have a cgroup, or None where this mount shows no pods at all: unknown."""
        for hierarchy in (self._root, *(self._root / name for name in _V1_HIERARCHIES)):
            found = frozenset(_pods(str(hierarchy), _MAX_DEPTH))
            if found:
                return found
        return None


def _pods(folder: str, depth: int) -> Iterator[str]:
    for name in _folders(folder):
        uid = parse_path(f"/{name}").pod_uid
        if uid:
            yield uid
        elif depth and _ON_THE_WAY.fullmatch(name):
            yield from _pods(f"{folder}/{name}", depth - 1)


def _folders(path: str) -> list[str]:
    """Return the names of the folders in `path`; of none that is not there or may not be read."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []
