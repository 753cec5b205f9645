"""Which processes are still the ones that they were, asked of the kernel once for all of them (pidfd_open(2), poll(2)).

A descriptor stands for one process, whoever has its pid later: until it becomes readable, pid and start are as noted.
That is one call for each reading, in place of a file opened, read and closed for each process.
"""

from __future__ import annotations

import os
import select
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import Final

_MOST: Final = 256  # descriptors: a soft limit of 1,024 leaves room for everything else


class PidFds:
    """Holds descriptors of processes that were listed; what it does not hold is to be looked up."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._poll = select.poll()
        self._descriptors: dict[int, int] = {}  # by pid
        self._starts: dict[int, int] = {}
        self._works = hasattr(os, "pidfd_open")
        weakref.finalize(self, _close_all, self._descriptors)

    @staticmethod
    def usable(root: str) -> bool:
        """Tell whether pids in the proc filesystem at `root` are pids as this process knows them."""
        try:
            return root == "/proc" and Path("/proc/self").readlink().name == str(os.getpid())
        except OSError:
            return False

    def begin(self, pids: Collection[int]) -> None:
        """Let go of processes that are not among `pids`, and of those that have ended."""
        for pid in [pid for pid in self._descriptors if pid not in pids]:
            self._let_go(pid)
        if self._descriptors:
            ended = {descriptor for descriptor, _ in self._poll.poll(0)}
            for pid in [pid for pid, descriptor in self._descriptors.items() if descriptor in ended]:
                self._let_go(pid)

    def start_us(self, pid: int) -> int | None:
        """Return what was noted of a process that ran when this reading began, or None: look it up."""
        return self._starts.get(pid)

    def open(self, pid: int) -> bool:
        """Open a descriptor; then, and not before, its start is to be read and noted, so that it is of no one else."""
        if not self._works or len(self._descriptors) >= self._most or pid in self._descriptors:
            return False
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        except OSError:
            self._works = False  # an old kernel, a seccomp profile, no descriptors left
            return False
        self._descriptors[pid] = descriptor
        self._poll.register(descriptor, select.POLLIN)
        return True

    def note(self, pid: int, start_us: int | None) -> None:
        """Note the start of the process that `open` was called for; None: it has ended."""
        if start_us is None:
            self._let_go(pid)
        else:
            self._starts[pid] = start_us

    def _let_go(self, pid: int) -> None:
        descriptor = self._descriptors.pop(pid)
        self._starts.pop(pid, None)
        self._poll.unregister(descriptor)
        os.close(descriptor)

    def __len__(self) -> int:
        return len(self._descriptors)


def _close_all(descriptors: dict[int, int]) -> None:
    for descriptor in descriptors.values():
        os.close(descriptor)
    descriptors.clear()
