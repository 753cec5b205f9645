"""CPU and memory of a process and those that it started, from /proc; work in a process of its own, with its peak."""

from __future__ import annotations

import multiprocessing
import os
import resource
import socket
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

_CPUCLOCK_SCHED: Final = 2  # as in clock_getcpuclockid(3)


class Usage(NamedTuple):
    """What processes have used together."""

    cpu_s: float
    pss_mib: float
    private_mib: float
    processes: int


def tree_of(pid: int) -> list[int]:
    """Return a process and all below it."""
    parents = {child: _parent(child) for child in (int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit())}
    found = [pid]
    for known in found:
        found.extend(child for child, parent in parents.items() if parent == known)
    return found


def usage_of(pids: list[int]) -> Usage:
    """Return what the processes have used so far, to the nanosecond of the scheduler."""
    memory = [_memory_kib(pid) for pid in pids]
    return Usage(
        sum(map(_cpu_ns, pids)) / 1e9,
        sum(pss for pss, _ in memory) / 1024,
        sum(private for _, private in memory) / 1024,
        len(pids),
    )


class Measured(NamedTuple):
    """What work in a process of its own returned, and what it took."""

    result: Any
    seconds: float
    cpu_s: float  # of all its threads: what neighbours do to a machine moves it less
    peak_mib: float


def apart(work: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - whatever the work returns
    """Return what `work`, a function of a module, returns in a process of its own; this one has no ledger open."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(work, *arguments).result()


def measured(work: Callable[[], Any]) -> Measured:
    """Do work in this process, which should be a fresh one: the peak is that of all that it has done."""
    began, used = time.perf_counter(), time.process_time()
    result = work()
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - used
    return Measured(result, seconds, cpu_s, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def gpus(default: int) -> int:
    """Return how many GPUs to measure with: BENCH_GPUS, or the size that a benchmark takes by itself."""
    return int(os.environ.get("BENCH_GPUS") or default)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def _cpu_ns(pid: int) -> int:
    """Return the time on the kernel's CPU clock of that process: threads that have ended count too."""
    return time.clock_gettime_ns(~pid << 3 | _CPUCLOCK_SCHED)


def _memory_kib(pid: int) -> tuple[int, int]:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return fields["Pss"], fields["Private_Clean"] + fields["Private_Dirty"]
