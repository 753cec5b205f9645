"""Jobs whose cgroup came and went between two samples: seen as it happens, in a thread that sleeps in between.

Without our prolog this is the only trace of a short job. Its processes are read a few times in the first two seconds,
until they say what Slurm gave to the job; the folder's making and removal date its start and its end.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.holders.slurm.cgroup_jobs import JobCgroup, JobCgroups
from agent.holders.slurm.facts import NO_FACTS, JobFacts
from agent.holders.slurm.inotify import FolderEvent, FolderEvents
from agent.holders.slurm.job_environ import JobEnvirons
from gpuledger.accounting.units import US_PER_SECOND

_LOOKS_US: Final = (10_000, 30_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000)  # after the cgroup was made
_MOST_DEPARTED: Final = 10_000
_MOST_SAID: Final = 2_000
_CLOSE_S: Final = 5.0

_log = logging.getLogger(__name__)


class DepartedJob(NamedTuple):
    """A job whose cgroup was removed. Without `since_us` it was there before anybody watched."""

    path: str
    facts: JobFacts
    since_us: int | None
    until_us: int


@dataclass
class _Seen:
    cgroup: JobCgroup
    created_us: int
    facts: JobFacts = NO_FACTS
    looks: int = 0
    settled: bool = False

    @property
    def next_us(self) -> int | None:
        """Return when to look at its processes next; None: no more."""
        if self.settled or self.looks >= len(_LOOKS_US):
            return None
        return self.created_us + _LOOKS_US[self.looks]


class CgroupEvents:
    """Watches job cgroups from `start` to `close`."""

    def __init__(
        self,
        cgroups: JobCgroups,
        environs: JobEnvirons,
        now_us: Callable[[], int],
        *,
        open_events: Callable[[], FolderEvents] = FolderEvents,
    ) -> None:
        self._open_events = open_events
        self._cgroups = cgroups
        self._environs = environs
        self._now_us = now_us
        self._seen: dict[str, _Seen] = {}
        self._departed: deque[DepartedJob] = deque(maxlen=_MOST_DEPARTED)
        self._said: dict[str, JobFacts] = {}  # by job, oldest first
        self._folders: FolderEvents | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False
        self.problem = ""  # why nothing is watched

    def start(self) -> None:
        """Begin to watch, once."""
        if self._thread is not None or self.problem:
            return
        try:
            self._folders = self._open_events()
        except OSError as error:
            self.problem = error.strerror or str(error)
            _log.warning("short jobs without a prolog are not seen: no inotify watch: %s", self.problem)
            return
        self._watch_all()
        self._thread = threading.Thread(target=self._run, args=(self._folders,), name="slurm-cgroups", daemon=True)
        self._thread.start()

    def departed(self) -> tuple[DepartedJob, ...]:
        """Return the jobs that left since this was asked last."""
        found: list[DepartedJob] = []
        while self._departed:
            found.append(self._departed.popleft())
        return tuple(found)

    def facts(self, job: str) -> JobFacts:
        """Return what the processes of a job said that came while this watched, also after it left."""
        return self._said.get(job, NO_FACTS)

    @property
    def watched(self) -> dict[str, str]:
        """Return the cgroups of jobs that came while this watched, and which job each is known to be."""
        return {path: seen.facts.job for path, seen in tuple(self._seen.items())}

    @property
    def waiting(self) -> int:
        """Return how many jobs have left and were not asked for."""
        return len(self._departed)

    def wake(self) -> None:
        """Let the thread look now at whatever is due."""
        if self._folders is not None:
            self._folders.wake()

    def close(self) -> None:
        """Stop watching."""
        if self._folders is None or self._thread is None:
            return
        self._stopping = True
        self.wake()
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            self._folders.close()

    def _run(self, folders: FolderEvents) -> None:
        try:
            while not self._stopping:
                self._turn(folders)
        except OSError as error:
            self.problem = error.strerror or str(error)
            _log.warning("short jobs without a prolog are not seen any more: %s", self.problem)

    def _turn(self, folders: FolderEvents) -> None:
        for event in folders.wait(self._patience_s()):
            self._handle(event)
        now_us = self._now_us()
        for seen in list(self._seen.values()):
            if seen.next_us is not None and seen.next_us <= now_us:
                self._look(seen)

    def _patience_s(self) -> float | None:
        """Return how long nothing needs to be looked at."""
        due = min((seen.next_us for seen in self._seen.values() if seen.next_us is not None), default=None)
        return None if due is None else max(0, due - self._now_us()) / US_PER_SECOND

    def _handle(self, event: FolderEvent) -> None:
        cgroup = self._cgroups.job_at(event.path)
        if cgroup is None:
            if event.created:
                self._take_in(event.path)
        elif event.created:
            self._seen.setdefault(event.path, _Seen(cgroup, self._now_us()))
        else:
            seen = self._seen.pop(event.path, None)
            facts, since_us = (seen.facts, seen.created_us) if seen else (NO_FACTS, None)
            facts = facts if facts.job else facts._replace(job=cgroup.job, sluid=cgroup.sluid)
            self._departed.append(DepartedJob(event.path, facts, since_us, self._now_us()))

    def _take_in(self, path: str) -> None:
        """Watch a new folder too (a user's first job, a slurmd that started), and see jobs that were quicker."""
        self._watch_all()
        for cgroup in self._cgroups.list():
            if cgroup.path.startswith(f"{path}/"):
                self._seen.setdefault(cgroup.path, _Seen(cgroup, self._now_us()))

    def _look(self, seen: _Seen) -> None:
        seen.looks += 1
        found = self._environs.find(seen.cgroup)
        if found.problem:
            return
        seen.facts = found.facts
        seen.settled = found.settled
        if found.facts.job:
            self._said[found.facts.job] = found.facts
            if len(self._said) > _MOST_SAID:
                del self._said[next(iter(self._said))]

    def _watch_all(self) -> None:
        """Watch every folder that job cgroups appear in."""
        if self._folders is not None:
            for path in self._cgroups.to_watch():
                self._folders.watch(path)
