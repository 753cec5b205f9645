"""The jobs that have a cgroup on this node, whichever version of cgroups and of Slurm made it.

v1: `<controller>/slurm[_<node>]/uid_<uid>/job_<id>`; v2: `<slice>/[<node>_]slurmstepd.scope/job_<id>`, and since Slurm
26.05 the job's SLUID instead of `job_<id>`. On v1 a job has a group in each controller, and some outlive it empty.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from agent.holders.cgroup import parse_path

_CONTROLLERS: Final = ("freezer", "memory", "devices", "cpuacct", "cpu", "pids", "cpuset")
_UNIFIED: Final = ("", "unified")  # a host with v2 alone, or beside v1
_MOST_DEPTH: Final = 4  # step, user or slurm, task


class JobCgroup(NamedTuple):
    """A job's cgroup: named by the job's id, or by its SLUID."""

    path: str
    job: str
    sluid: str
    uid: int | None


class JobCgroups:
    """Lists the job cgroups under `root` (/sys/fs/cgroup) now."""

    def __init__(self, root: Path = Path("/sys/fs/cgroup")) -> None:
        self._root = str(root)

    def list(self) -> tuple[JobCgroup, ...]:
        """Return the job cgroups, each job once for each hierarchy that it has a group in."""
        found: list[JobCgroup] = []
        for folder in self._folders():
            for name in _folders_in(folder):
                cgroup = self.job_at(f"{folder}/{name}")
                if cgroup is not None:
                    found.append(cgroup)
        return tuple(found)

    def job_at(self, path: str) -> JobCgroup | None:
        """Return the job whose cgroup `path` is; None where it is another one, or one inside it."""
        identity = parse_path(path.removeprefix(self._root))
        if identity.slurm_step or not (identity.slurm_job or identity.slurm_sluid):
            return None
        return JobCgroup(path, identity.slurm_job, identity.slurm_sluid, identity.slurm_uid)

    def to_watch(self) -> tuple[str, ...]:
        """Return the folders in which a job's cgroup, or a folder on the way to one, may appear.

        Of v1 the first controller that has any serves: the others' groups come and go with it.
        """
        found: list[str] = []
        for unified in _UNIFIED:
            base = f"{self._root}/{unified}".rstrip("/")
            slices = [f"{base}/{name}" for name in _folders_in(base) if name.endswith(".slice")]
            found += [*slices, *(f"{path}/{name}" for path in slices for name in _scopes_in(path))]
        for controller in _CONTROLLERS:
            base = f"{self._root}/{controller}"
            names = _folders_in(base)
            slurm = [f"{base}/{name}" for name in names if name == "slurm" or name.startswith("slurm_")]
            if slurm or (names and controller == _CONTROLLERS[0]):
                return (*found, base, *slurm, *(f"{path}/{uid}" for path in slurm for uid in _folders_in(path)))
        return tuple(found)

    def _folders(self) -> Iterator[str]:
        """Yield the folders that job cgroups lie in."""
        for unified in _UNIFIED:
            base = f"{self._root}/{unified}".rstrip("/")
            for slice_name in _folders_in(base):
                if slice_name.endswith(".slice"):
                    yield from (f"{base}/{slice_name}/{name}" for name in _scopes_in(f"{base}/{slice_name}"))
        for controller in _CONTROLLERS:
            base = f"{self._root}/{controller}"
            for name in _folders_in(base):
                if name == "slurm" or name.startswith("slurm_"):
                    yield from (f"{base}/{name}/{uid}" for uid in _folders_in(f"{base}/{name}"))


def steps(cgroup: JobCgroup) -> tuple[str, ...]:
    """Return the names of the job's steps: `batch`, `extern`, `0`, ..."""
    found = (name.removeprefix("step_") for name in _folders_in(cgroup.path) if name.startswith("step_"))
    return tuple(sorted(found))


def pids(cgroup: JobCgroup, step: str = "") -> tuple[int, ...]:
    """Return the processes in the job's cgroup and below, or only in those of a step."""
    return tuple(_pids(f"{cgroup.path}/step_{step}" if step else cgroup.path, _MOST_DEPTH))


def is_alive(cgroups: Iterable[JobCgroup]) -> bool:
    """Tell whether a process is left in any of them; a group that is empty was left behind."""
    return any(next(iter(_pids(cgroup.path, _MOST_DEPTH)), None) is not None for cgroup in cgroups)


def _pids(path: str, depth: int) -> Iterator[int]:
    for name in ("cgroup.procs", "tasks"):
        try:
            yield from [int(line) for line in Path(f"{path}/{name}").read_bytes().split()]
            break
        except (OSError, ValueError):
            continue  # it went away meanwhile, or is a v2 group of threads
    if depth:
        for name in _folders_in(path):
            yield from _pids(f"{path}/{name}", depth - 1)


def _scopes_in(path: str) -> list[str]:
    return [name for name in _folders_in(path) if name == "slurmstepd.scope" or name.endswith("_slurmstepd.scope")]


def _folders_in(path: str) -> list[str]:
    """Return the folders in a cgroup; none where it went away."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:
        return []
