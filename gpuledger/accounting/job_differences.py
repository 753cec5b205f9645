"""What a scheduler says that a job held against what the ledger saw it hold, and why the two differ. Pure.

Times are microseconds UTC, half-open; amounts are microseconds x GPUs. The causes sum to the difference exactly.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.errors import ConservationError

NOT_IN_LEDGER: Final = "not_in_ledger"
NOT_IN_SACCT: Final = "not_in_sacct"
GPUS: Final = "gpus"
OUTAGE: Final = "outage"
START: Final = "start"
END: Final = "end"
NOT_HELD: Final = "not_held"
ACCOUNT: Final = "account"
CAUSES: Final = (NOT_IN_LEDGER, NOT_IN_SACCT, GPUS, OUTAGE, START, END, NOT_HELD, ACCOUNT)
_EARLIEST_US: Final = -(2**62)
_LATEST_US: Final = 2**62


class Granted(NamedTuple):
    """A run of a job as its scheduler has it: GPUs over `[start_us, end_us)`, within the period."""

    start_us: int
    end_us: int
    gpus: int

    @property
    def gpu_us(self) -> int:
        """Return its GPU time."""
        return (self.end_us - self.start_us) * self.gpus


class Hold(NamedTuple):
    """A stretch in which the ledger saw a job hold a device; `held_us` is its share, of a pool that of all its GPUs."""

    device: str
    start_us: int
    end_us: int
    held_us: int
    pool: bool = False


Watched = Mapping[str, Sequence[Interval]]  # when somebody watched a device; pools are not watched


def explain_job(granted: Iterable[Granted], holds: Sequence[Hold], watched: Watched) -> dict[str, int]:
    """Return why a job's GPU time differs, the scheduler's less the ledger's, by cause; causes of nothing are left out.

    Raises ConservationError where the causes do not sum to the difference.
    """
    causes: dict[str, int] = defaultdict(int)
    runs = merged(granted)
    if not runs:
        causes[NOT_IN_SACCT] = -sum(hold.held_us for hold in holds)
    for run, territory in zip(runs, _territories(runs), strict=True):
        _explain_run(run, [part for hold in holds if (part := _clip(hold, territory)).held_us], watched, causes)
    difference = sum(run.gpu_us for run in runs) - sum(hold.held_us for hold in holds)
    if sum(causes.values()) != difference:
        raise ConservationError(f"causes sum to {sum(causes.values())} us, the difference is {difference} us")
    return {name: causes[name] for name in CAUSES if causes.get(name)}


def merged(granted: Iterable[Granted]) -> list[Granted]:
    """Return runs in the order of time; those of one time (GPUs of several models) are one run of all their GPUs."""
    gpus: dict[tuple[int, int], int] = defaultdict(int)
    for run in granted:
        gpus[run.start_us, run.end_us] += run.gpus
    return [Granted(start_us, end_us, count) for (start_us, end_us), count in sorted(gpus.items())]


def _territories(runs: Sequence[Granted]) -> list[Interval]:
    """Return which time is seen as that of which run: up to the middle between two of them, each instant once."""
    if not runs:
        return []
    edges = [_EARLIEST_US]
    for run, following in pairwise(runs):
        edges.append(max(edges[-1], (run.end_us + following.start_us) // 2))
    return [Interval(*pair) for pair in zip(edges, [*edges[1:], _LATEST_US], strict=True)]


def _explain_run(run: Granted, holds: Sequence[Hold], watched: Watched, causes: dict[str, int]) -> None:
    by_device: dict[str, list[Hold]] = defaultdict(list)
    for hold in holds:
        by_device[hold.device].append(hold)
    if not by_device:
        causes[NOT_IN_LEDGER] += run.gpu_us
        return
    seen = 0
    for device, of_device in by_device.items():
        weight = _weight(of_device)
        seen += weight
        _explain_device(run, of_device, weight, watched.get(device, ()), causes)
    causes[GPUS] += (run.gpus - seen) * (run.end_us - run.start_us)


def _explain_device(
    run: Granted, holds: Sequence[Hold], weight: int, watched: Sequence[Interval], causes: dict[str, int]
) -> None:
    causes[START] -= sum(_clip(hold, Interval(_EARLIEST_US, run.start_us)).held_us for hold in holds)
    causes[END] -= sum(_clip(hold, Interval(run.end_us, _LATEST_US)).held_us for hold in holds)
    inside = [part for hold in holds if (part := _clip(hold, Interval(run.start_us, run.end_us))).held_us]
    first_us = min((hold.start_us for hold in inside), default=run.start_us)
    last_us = max((hold.end_us for hold in inside), default=run.start_us)
    pool = any(hold.pool for hold in holds)
    seen = [Interval(run.start_us, run.end_us)] if pool else [Interval(hold.start_us, hold.end_us) for hold in inside]
    watches = [*watched, *seen]
    spans = {
        START: Interval(run.start_us, first_us),
        NOT_HELD: Interval(first_us, last_us),
        END: Interval(last_us, run.end_us),
    }
    for cause, span in spans.items():
        unwatched_us = sum(gap.length_us for gap in gaps(watches, span)) if span.length_us else 0
        causes[OUTAGE] += weight * unwatched_us
        causes[cause] += weight * (span.length_us - unwatched_us)
    causes[NOT_HELD] -= sum(hold.held_us for hold in inside)


def _weight(holds: Sequence[Hold]) -> int:
    """Return how many GPUs a device stands for: one, or of a pool the most that the job held at once."""
    return max(-(-hold.held_us // (hold.end_us - hold.start_us)) if hold.pool else 1 for hold in holds)


def _clip(hold: Hold, to: Interval) -> Hold:
    """Return the part of a hold within an interval; its parts over adjoining intervals sum to it."""
    start_us, end_us = max(hold.start_us, to.start_us), min(hold.end_us, to.end_us)
    if end_us <= start_us:
        return hold._replace(held_us=0)
    length_us = hold.end_us - hold.start_us
    upto, before = (hold.held_us * (at_us - hold.start_us) // length_us for at_us in (end_us, start_us))
    return hold._replace(start_us=start_us, end_us=end_us, held_us=upto - before)
