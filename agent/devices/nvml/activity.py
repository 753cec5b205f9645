"""From a driver's utilisation samples to each process's activity since the previous reading."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

_PPM_PER_PERCENT: Final = 10_000


class Sample(NamedTuple):
    """One process over one of the driver's sample periods. The time is the CPU's, in microseconds since the epoch."""

    pid: int
    at_us: int
    percent: int


class ProcessActivity(NamedTuple):
    """What samples say together."""

    ppm: dict[int, int] | None  # per pid; None: a process had only samples that cannot be believed
    last_seen_us: int  # the newest believed time stamp, to ask from next time
    dropped: int  # samples that were not believed
    seen_us: dict[int, tuple[int, int]]  # per pid, the time stamps of its first and last believed sample


def decide_process_activity(samples: Iterable[Sample], last_seen_us: int) -> ProcessActivity:
    """Return each process's mean activity over the samples newer than `last_seen_us`.

    A process has one sample for each period in which it worked, whose length the driver does not tell: the plain mean
    is the estimate that assumes nothing about it. A value above 100 % is not believed. A process without a sample did
    no work; one that has only unbelievable samples makes the whole answer unknown, since it would pass for idle.

    A time stamp is the end of its sample period by the CPU's clock: a process was there a period earlier, too.
    """
    values: dict[int, list[int]] = {}
    seen_us: dict[int, tuple[int, int]] = {}
    doubtful: set[int] = set()
    newest, dropped = last_seen_us, 0
    for pid, at_us, percent in samples:
        if at_us <= last_seen_us:
            continue
        if percent > 100:
            dropped += 1
            doubtful.add(pid)
            continue
        newest = max(newest, at_us)
        known = values.get(pid)
        if known is None:
            values[pid], seen_us[pid] = [percent], (at_us, at_us)
        else:
            known.append(percent)
            first_us, last_us = seen_us[pid]
            seen_us[pid] = min(first_us, at_us), max(last_us, at_us)
    if doubtful - values.keys():
        return ProcessActivity(None, newest, dropped, seen_us)
    ppm = {pid: sum(of_pid) * _PPM_PER_PERCENT // len(of_pid) for pid, of_pid in values.items()}
    return ProcessActivity(ppm, newest, dropped, seen_us)
