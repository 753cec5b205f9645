"""Where a check runs: in a pod or not, with which capabilities, and what is mounted where."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

_STATUS: Final = Path("/proc/self/status")
_MOUNTS: Final = Path("/proc/self/mountinfo")
_BITS: Final = {  # those that anything here needs, by their number in the kernel's interface
    "DAC_OVERRIDE": 1,
    "DAC_READ_SEARCH": 2,
    "SYS_PTRACE": 19,
    "SYS_ADMIN": 21,
    "SYSLOG": 34,
}


class Mount(NamedTuple):
    """One line of /proc/self/mountinfo."""

    point: str
    kind: str  # of the filesystem
    options: tuple[str, ...]


class Surroundings(NamedTuple):
    """What this process may do, and what it sees."""

    in_pod: bool = False
    uid: int = 0
    capabilities: frozenset[str] = frozenset()
    mounts: tuple[Mount, ...] = ()

    def missing(self, *needed: str) -> tuple[str, ...]:
        """Return the capabilities of `needed` that this process does not have."""
        return tuple(name for name in needed if name not in self.capabilities)

    def mount_of(self, path: Path) -> Mount | None:
        """Return the mount that `path` lies on: the last one of those with the longest mount point."""
        on = [mount for mount in self.mounts if path.is_relative_to(mount.point)]
        return max(reversed(on), key=lambda mount: len(mount.point), default=None)

    def is_mount_point(self, path: Path) -> bool:
        """Whether something is mounted at `path` itself."""
        return any(mount.point == str(path) for mount in self.mounts)


def read_surroundings(
    environ: Mapping[str, str] = os.environ, status: Path = _STATUS, mounts: Path = _MOUNTS
) -> Surroundings:
    """Return what this process may do and sees. A file that cannot be read means none of what it would tell."""
    return Surroundings(
        in_pod="KUBERNETES_SERVICE_HOST" in environ,
        uid=os.geteuid(),
        capabilities=parse_capabilities(_text(status)),
        mounts=tuple(parse_mounts(_text(mounts).splitlines())),
    )


def parse_capabilities(status: str) -> frozenset[str]:
    """Return those effective capabilities in a /proc/<pid>/status that checks ask for."""
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            mask = int(value, 16)
            return frozenset(capability for capability, bit in _BITS.items() if mask >> bit & 1)
    return frozenset()


def parse_mounts(lines: Iterable[str]) -> Iterable[Mount]:
    """Yield the mounts in the lines of a mountinfo."""
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) > 5 and len(rest) > 2:
            point = fields[4].replace("\\040", " ")
            yield Mount(point, rest[0], (*fields[5].split(","), *rest[2].split(",")))


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
