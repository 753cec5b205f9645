"""Where a forecast ends up: what a period comes to, when a budget is spent, when the devices of a model are all held.

The seam for budgets: `land` and `exhaust` take what is known of a period and any outcome of `forecast`. Each answer
says which part of it is known, and gives chances between 0.5 % and 99.5 %: a short past proves no more.
"""

from __future__ import annotations

import enum
from typing import Final, NamedTuple

import numpy as np

from analytics.drift_samples import Flags, Floats, Integers
from analytics.forecast import LEVELS, Forecast, Outcome
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import AnalysisError

EARLY, EVEN, LATE = 0.1, 0.5, 0.9
FULL: Final = 0.95  # of capacity: the rest is what turns over between holders


class Landing(NamedTuple):
    """What a period comes to: what is known of it, and with what is expected of the rest.

    `expected` is None where there is no forecast; bounds are None where nothing says how far it may be off.
    """

    known: float
    expected: float | None
    low_80: float | None = None
    high_80: float | None = None
    low_95: float | None = None
    high_95: float | None = None


class Spent(enum.StrEnum):
    """How a limit fares in a period."""

    ALREADY = "already"  # what is known is above it
    EXPECTED = "expected"  # what is expected passes it
    POSSIBLE = "possible"  # it is not expected to, but its chance is 10 % or more
    UNLIKELY = "unlikely"
    NOT_KNOWN = "not_known"  # no forecast


class Exhaustion(NamedTuple):
    """When a limit is passed: `at_us` is the end of the step by which it is expected to be.

    By `early_us` the chance is 10 %, by `late_us` 90 %; None: not in this period. `chance` is of the whole period, None
    where nothing says how far the forecast may be off.
    """

    verdict: Spent
    limit: float
    at_us: int | None = None
    early_us: int | None = None
    late_us: int | None = None
    chance: float | None = None


class Fullness(NamedTuple):
    """How near the devices of a group come to all being held: `held` and `capacity` as mean GPUs.

    `full_us` is when a step first is as likely full (FULL of capacity) as not; `chance` is of the last step.
    """

    held: float
    capacity: float
    full_us: int | None
    chance: float | None


def land(outcome: Outcome, known: float, from_us: int, until_us: int) -> Landing:
    """Return what `[.., until_us)` comes to, where `known` is what it has up to `from_us`.

    `from_us` may lie inside the forecast's first step, and `until_us` inside its last: of those the rest counts.
    """
    if not isinstance(outcome, Forecast):
        return Landing(known, None)
    parts = _parts(outcome, from_us, until_us)
    rest = float((outcome.frame["expected"].to_numpy() * parts).sum())
    ahead = float(parts.sum())
    if outcome.trials is None or ahead <= 0:
        return Landing(known, known + rest, *([known + rest] * 4 if ahead <= 0 else []))
    bounds = []
    for level in LEVELS:
        for probability in ((1 - level) / 2, (1 + level) / 2):
            bound = rest + float(outcome.trials.sums.at(probability, ahead))
            bounds.append(known + (max(0.0, bound) if outcome.never_negative else bound))
    return Landing(known, known + rest, *bounds)


def exhaust(outcome: Outcome, limit: float, known: float, from_us: int, until_us: int) -> Exhaustion:
    """Return when what a period has passes `limit`, by the end of which step; arguments as of `land`.

    Raises AnalysisError on a limit that is no positive number.
    """
    if not (np.isfinite(limit) and limit > 0):
        raise AnalysisError(f"a budget of {limit} is not possible", hint="give a number above zero")
    if known > limit:
        return Exhaustion(Spent.ALREADY, limit, from_us, from_us, from_us, 1.0)
    if not isinstance(outcome, Forecast):
        return Exhaustion(Spent.NOT_KNOWN, limit)
    parts = _parts(outcome, from_us, until_us)
    sums = known + np.cumsum(outcome.frame["expected"].to_numpy() * parts)
    ends = np.minimum(outcome.edges[1:], until_us)
    at_us = _first(sums > limit, ends)
    if outcome.trials is None:
        return Exhaustion(Spent.EXPECTED if at_us else Spent.UNLIKELY, limit, at_us)
    ahead = np.cumsum(parts)
    chances = np.array(
        [
            outcome.trials.sums.chance_above(limit - total, steps) if steps > 0 else 0.0
            for total, steps in zip(sums, ahead, strict=True)
        ]
    )
    if outcome.never_negative:  # what is spent stays spent
        chances = np.maximum.accumulate(chances)
    chance = float(chances[-1])
    verdict = Spent.EXPECTED if at_us else Spent.POSSIBLE if chance >= EARLY else Spent.UNLIKELY
    return Exhaustion(verdict, limit, at_us, _first(chances >= EARLY, ends), _first(chances >= LATE, ends), chance)


def fill_up(outcome: Outcome, capacity: float) -> Fullness | None:
    """Return when the devices of a group are all held: `capacity` in GPUs, the forecast in GPU-hours.

    None where there is no forecast. What is held never passes capacity: a fleet that is short shows as one that stays
    full.
    """
    if not isinstance(outcome, Forecast) or capacity <= 0:
        return None
    expected = outcome.frame["expected"].to_numpy()
    full = FULL * capacity * outcome.nominal_us / US_PER_HOUR
    held = float(expected[0]) * US_PER_HOUR / outcome.nominal_us
    if outcome.trials is None:
        return Fullness(held, capacity, _first(expected >= full, outcome.edges[:-1]), None)
    chances = np.array(
        [outcome.trials.steps.chance_above(full - each, number + 1) for number, each in enumerate(expected)]
    )
    return Fullness(held, capacity, _first(chances >= EVEN, outcome.edges[:-1]), float(chances[-1]))


def _parts(outcome: Forecast, from_us: int, until_us: int) -> Floats:
    """Return how much of each step lies in `[from_us, until_us)`, by the nominal length of a step."""
    inside = np.minimum(outcome.edges[1:], until_us) - np.maximum(outcome.edges[:-1], from_us)
    return np.asarray(np.maximum(inside, 0) / outcome.nominal_us, dtype=np.float64)


def _first(where: Flags, at: Integers) -> int | None:
    found = np.flatnonzero(where)
    return int(at[found[0]]) if len(found) else None
