"""The jobs that run on this node, seen from outside: their cgroups, and what their processes were started with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from agent.holders.slurm.cgroup_jobs import JobCgroup, JobCgroups, is_alive, steps
from agent.holders.slurm.facts import NO_FACTS, JobFacts, filled
from agent.holders.slurm.job_environ import FoundEnviron, JobEnvirons
from gpuledger.accounting.units import US_PER_MINUTE

_TRIES: Final = 6  # readings in which a new job's first process is looked for
_NOTHING: Final = FoundEnviron()


class WatchedJob(NamedTuple):
    """A job with a cgroup. `since_us` is when its first slurmstepd that still runs started."""

    facts: JobFacts
    cgroups: tuple[JobCgroup, ...]
    since_us: int | None
    problem: str = ""
    heard: bool = True  # a process of it could be read


class _Known(NamedTuple):
    found: FoundEnviron
    since_us: int | None
    tries: int


class JobWatch:
    """Watches the job cgroups. Environments are read when the set of jobs, or of an unclear job's steps, changes."""

    def __init__(self, cgroups: JobCgroups, environs: JobEnvirons, start_us: Callable[[int], int | None]) -> None:
        """Watch; `start_us` tells when a process started."""
        self._cgroups = cgroups
        self._environs = environs
        self._start_us = start_us
        self._at_us: int | None = None
        self._known: dict[str, _Known] = {}
        self._jobs: dict[str, WatchedJob] = {}
        self.gone: dict[str, WatchedJob] = {}  # by each of their paths, since the look before
        self._titles_at_us: int | None = None
        self._titles: frozenset[str] = frozenset()
        self.environs_read = 0

    def jobs(self, at_us: int, sluids: Mapping[str, str]) -> Mapping[str, WatchedJob]:
        """Return the jobs by their id, at most one look for each instant; `sluids` are job ids that others know."""
        if at_us == self._at_us:
            return self._jobs
        groups: dict[str, list[JobCgroup]] = {}
        for cgroup in self._cgroups.list():
            groups.setdefault(cgroup.job or cgroup.sluid, []).append(cgroup)
        known = {name: self._look(name, found[0]) for name, found in groups.items()}
        before, self._jobs = self._jobs, {}
        for name, (found, since_us, _) in known.items():
            first = groups[name][0]
            facts = filled(found.facts, JobFacts(job=first.job, sluid=first.sluid, uid=first.uid))
            job = facts.job or sluids.get(first.sluid, "")
            if job:
                heard = bool(found.facts.job)
                watched = WatchedJob(facts._replace(job=job), tuple(groups[name]), since_us, found.problem, heard)
                self._jobs[job] = watched
        left = [watched for job, watched in before.items() if job not in self._jobs]
        self.gone = {cgroup.path: watched for watched in left for cgroup in watched.cgroups}
        self._known = known
        self._at_us = at_us
        return self._jobs

    def facts(self, job: str) -> JobFacts:
        """Return what the processes of a job say, at the last look."""
        watched = self._jobs.get(job)
        return watched.facts if watched else NO_FACTS

    def is_alive(self, job: str, at_us: int) -> bool:
        """Tell whether a process of the job is left: in a cgroup of it, or a slurmstepd that works for it."""
        watched = self._jobs.get(job)
        if watched is not None and is_alive(watched.cgroups):
            return True
        if self._titles_at_us is None or not 0 <= at_us - self._titles_at_us < US_PER_MINUTE:
            self._titles = self._environs.titles()
            self._titles_at_us = at_us
        return job in self._titles

    def _look(self, name: str, cgroup: JobCgroup) -> _Known:
        known = self._known.get(name)
        if known is not None and not self._is_due(known, cgroup):
            return known
        self.environs_read += 1
        found = self._environs.find(cgroup)
        starts = [self._start_us(pid) for pid in found.stepds]
        since_us = min((start for start in starts if start is not None), default=known.since_us if known else None)
        return _Known(found, since_us, known.tries + 1 if known and known.found.steps == found.steps else 1)

    @staticmethod
    def _is_due(known: _Known, cgroup: JobCgroup) -> bool:
        """Tell whether more may be learnt of a job: its GPUs are not known, and its steps start or have changed."""
        if known.found.settled:
            return False
        return (not known.found.facts.job and known.tries < _TRIES) or steps(cgroup) != known.found.steps
