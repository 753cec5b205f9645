"""Stretches of spend, GPU-hours or arrivals that were not expected: which, whose, how much, from when to when.

The window is gone through a week at a time: each week is forecast from what lies before it alone, and held against what
came. What is told is told among all that was tested (Benjamini-Hochberg), so that a fleet that goes on as it did stays
silent. A spike that is over is not learnt from; a level that stays is. Steps that are not known are neither.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from analytics.drift_samples import Flags, Floats, Integers
from analytics.drift_tests import adjusted
from analytics.forecast import GONE, Forecast, NoForecast, Reason, forecast
from analytics.forecast_series import Series
from gpuledger.errors import AnalysisError

LEVEL: Final = 0.05
LEAST_RATIO: Final = 0.2  # of what was expected: a smaller change is not worth telling
JOIN_DAYS: Final = 2  # between two stretches to the same side: a weekend does not end one
STAYS_DAYS: Final = 3  # from then on what goes on is a new level
OUT_RATIO: Final = 0.05  # of what was expected: less is nothing
NOT_LEARNT: Final = 0.001  # a step less likely than this is not learnt from once it is over
MOST_FREEDOM: Final = 8.0  # of the tail beyond what was seen: heavier than a normal one's however long the past
ALWAYS: Final = 0.98  # of the days before, those with something: of such a team nothing is no chance
LEAST_OFTEN: Final = 1 / 3  # of the days before, those with anything at all: of rarer use nothing is expected


class Kind(enum.StrEnum):
    """What an anomaly is."""

    SPIKE = "spike"  # more than expected, and over
    DIP = "dip"  # less than expected, and over
    LEVEL_SHIFT = "level_shift"  # another level, that lasts to the end of the window or for a week
    DROP_OUT = "drop_out"  # nothing, where there was something, to the end of the window
    APPEARED = "appeared"  # somebody who held nothing before, for a week at least


class Anomaly(NamedTuple):
    """A stretch `[start_us, end_us)`: what came, what was expected, and where 95 of 100 such sums would lie.

    `excess` is what came beyond what was expected; `money` the same in the currency, None where it has no price. `q` is
    the share of false alarms among what is at least as clear; None where no test told it: who appears has no past, who
    always had something and vanishes needs no test, and a series that never varied has no chance. `known_ratio` is the
    share of the steps that is known.
    """

    name: str
    kind: Kind
    start_us: int
    end_us: int
    seen: float
    expected: float | None
    low_95: float | None
    high_95: float | None
    excess: float
    money: float | None
    q: float | None
    known_ratio: float


class Anomalies(NamedTuple):
    """What was found, the largest first, at a level: the chance of any false alarm where nothing changed.

    `tested` counts comparisons that shared it; `skipped` names whom nothing can be told of, and why.
    """

    level: float
    tested: int
    found: list[Anomaly]
    skipped: list[NoForecast]


class _Week(NamedTuple):
    """A week of a series: the place of its first step, its forecast, errors of steps, and their p-values."""

    first: int
    outcome: Forecast
    errors: Floats
    p: Floats
    p_sum: float


def find_anomalies(
    series: Sequence[Series], from_us: int, *, prices: Mapping[str, float] | None = None, level: float = LEVEL
) -> Anomalies:
    """Return the anomalies of each series from `from_us` to its end.

    `prices`, by name, is what one unit of the values costs; None: values are money. Raises AnalysisError on a level
    that is no chance.
    """
    if not 0 < level < 1:
        raise AnalysisError(f"a level of {level} is not between 0 and 1", hint="0.05 is one false alarm in twenty")
    weeks: list[tuple[Series, list[_Week]]] = []
    found: list[Anomaly] = []
    skipped: list[NoForecast] = []
    for each in series:
        own, why = _weeks(each, from_us)
        appeared = _appeared(each, from_us, prices)
        if appeared:
            found.append(appeared)
        elif why and not own:
            skipped.append(why)
        weeks.append((each, own))
    due = [p for _, own in weeks for week in own for p in (*week.p, week.p_sum)]
    told = np.array(due, dtype=np.float64)
    tested = np.isfinite(told)
    told[tested] = adjusted(told[tested], any_dependence=False)
    at = 0
    for each, own in weeks:
        count = sum(len(week.p) + 1 for week in own)
        stretches = _stretches(each, own, told[at : at + count], prices, level)
        found += _with_vanished(stretches, _vanished(each, from_us, prices))
        at += count
    found.sort(key=lambda one: (-abs(one.money or 0.0), -abs(one.excess), one.name, one.start_us))
    return Anomalies(level, int(tested.sum()), found, skipped)


def table(anomalies: Anomalies) -> pl.DataFrame:
    """Return what was found as a frame, a row an anomaly."""
    rows = [{**each._asdict(), "kind": each.kind.value} for each in anomalies.found]
    kinds = dict.fromkeys(("seen", "expected", "low_95", "high_95", "excess", "money", "q", "known_ratio"), pl.Float64)
    schema = {"name": pl.String, "kind": pl.String, "start_us": pl.Int64, "end_us": pl.Int64, **kinds}
    return pl.DataFrame(rows, schema=schema)


def _weeks(series: Series, from_us: int) -> tuple[list[_Week], NoForecast | None]:
    """Return each week from `from_us` on that can be held against a forecast, and why the last of the others cannot."""
    learnt = np.where(np.isfinite(series.values), series.values, np.nan)
    first = int(np.searchsorted(series.edges[:-1], from_us))
    weeks, why = [], None
    for start in range(first, len(learnt), series.grain.week):
        end = min(start + series.grain.week, len(learnt))
        past = series._replace(edges=series.edges[: start + 1], values=learnt[:start])
        if start == 0:
            why = NoForecast(series.name, Reason.TOO_SHORT, 0.0)
            continue
        outcome = forecast(past, int(series.edges[end]))
        if isinstance(outcome, NoForecast):
            why = outcome
            continue
        if outcome.way == GONE:
            continue
        if _share_above_zero(learnt[:start]) < LEAST_OFTEN:
            why = NoForecast(series.name, Reason.SPORADIC, outcome.known_steps / series.grain.per_day)
            continue
        week = _compare(outcome, learnt[start:end], start)
        weeks.append(week)
        unlikely = np.nan_to_num(week.p, nan=1.0) < NOT_LEARNT
        over = unlikely & ~_lasting(unlikely)
        learnt[start:end][over] = np.nan
    return weeks, why


def _share_above_zero(values: Floats) -> float:
    """Return the share of known steps with anything, since there first was something."""
    known = values[np.isfinite(values)]
    return float((known[np.flatnonzero(known)[0] :] != 0).mean()) if known.any() else 0.0


def _compare(outcome: Forecast, came: Floats, first: int) -> _Week:
    errors = came - outcome.frame["expected"].to_numpy()[: len(came)]
    p = np.full(len(came), np.nan)
    if outcome.trials is None:  # it never varied: there is no chance to state, only whether it does now
        return _Week(first, outcome, errors, p, np.nan)
    freedom = min(MOST_FREEDOM, outcome.trials.steps.freedom)
    known = np.isfinite(errors)
    for step in np.flatnonzero(known).tolist():
        p[step] = outcome.trials.steps.p_value(float(errors[step]), step + 1, freedom)
    total = outcome.trials.sums.p_value(float(errors[known].sum()), float(known.sum()), freedom) if known.any() else 1.0
    return _Week(first, outcome, errors, p, total)


def _lasting(flags: Flags) -> Flags:
    """Return which of the flagged steps belong to the run that reaches the end."""
    return np.flip(np.logical_and.accumulate(np.flip(flags)))


def _stretches(
    series: Series, weeks: list[_Week], q: Floats, prices: Mapping[str, float] | None, level: float
) -> list[Anomaly]:
    """Return the anomalies of one series: runs of steps to one side, of which at least one is told."""
    count = len(series.values)
    side, clear, expected = np.zeros(count, dtype=np.int64), np.full(count, np.inf), np.full(count, np.nan)
    constant = np.zeros(count, dtype=np.bool_)
    week_of: dict[int, _Week] = {}
    at = 0
    for week in weeks:
        steps = np.arange(week.first, week.first + len(week.errors))
        own, total = q[at : at + len(steps)], q[at + len(steps)]
        at += len(steps) + 1
        expected[steps] = week.outcome.frame["expected"].to_numpy()[: len(steps)]
        side[steps] = _side(week)
        clear[steps] = np.where(np.isfinite(own), own, np.inf)
        if total <= level:
            outside = steps[side[steps] == np.sign(np.nansum(week.errors))]
            clear[outside] = np.minimum(clear[outside], total)
        constant[steps] = week.outcome.trials is None
        week_of |= dict.fromkeys(steps.tolist(), week)
    told = [run for run in _runs(side, np.isfinite(series.values)) if clear[run].min() <= level or constant[run].all()]
    found = []
    for run in _joined(told, side, JOIN_DAYS * series.grain.per_day):
        anomaly = _anomaly(series, run, expected, week_of[int(run[0])], prices)
        if anomaly:
            found.append(anomaly._replace(q=None if constant[run].all() else float(clear[run].min())))
    return found


def _joined(runs: list[Integers], side: Integers, most: int) -> list[Integers]:
    """Return runs with those to the same side as one that have no more than `most` steps between them."""
    joined: list[Integers] = []
    for run in runs:
        last = joined[-1] if joined else None
        if last is not None and side[last[-1]] == side[run[0]] and run[0] - last[-1] <= most + 1:
            joined[-1] = np.arange(last[0], run[-1] + 1)
        else:
            joined.append(run)
    return joined


def _side(week: _Week) -> Integers:
    """Return 1 for steps above what four of five are, -1 for those below, 0 for the rest and what is not known."""
    errors = np.nan_to_num(week.errors)
    if week.outcome.trials is None:
        return np.sign(errors).astype(np.int64)
    ahead = np.arange(1, len(errors) + 1, dtype=np.float64)
    high, low = (week.outcome.trials.steps.at(probability, ahead) for probability in (0.9, 0.1))
    return (errors > high).astype(np.int64) - (errors < low)


def _runs(side: Integers, known: Flags) -> list[Integers]:
    """Return the runs of steps to one side; unknown steps between two of a run belong to it."""
    runs: list[list[int]] = []
    for at in np.flatnonzero(side != 0).tolist():
        joins = runs and side[runs[-1][-1]] == side[at] and not known[runs[-1][-1] + 1 : at].any()
        if joins:
            runs[-1].extend(range(runs[-1][-1] + 1, at + 1))
        else:
            runs.append([at])
    return [np.array(run, dtype=np.int64) for run in runs]


def _anomaly(
    series: Series, run: Integers, expected: Floats, week: _Week, prices: Mapping[str, float] | None
) -> Anomaly | None:
    """Return None for a change that is too small to tell."""
    known = run[np.isfinite(series.values[run])]
    lengths = (np.diff(series.edges) / week.outcome.nominal_us)[known]
    seen = float((series.values[known] * lengths).sum())
    awaited = float((expected[known] * lengths).sum())
    excess = seen - awaited
    if abs(excess) < LEAST_RATIO * abs(awaited):
        return None
    low, high = None, None
    if week.outcome.trials is not None:
        low, high = (
            awaited + float(week.outcome.trials.sums.at(probability, float(len(known))))
            for probability in (0.025, 0.975)
        )
        low = max(0.0, low) if week.outcome.never_negative else low
    price = 1.0 if prices is None else prices.get(series.name)
    return Anomaly(
        series.name,
        _kind(series, run, excess, awaited),
        int(series.edges[run[0]]),
        int(series.edges[run[-1] + 1]),
        seen,
        awaited,
        low,
        high,
        excess,
        None if price is None else excess * price,
        None,
        len(known) / len(run),
    )


def _kind(series: Series, run: Integers, excess: float, awaited: float) -> Kind:
    """Return what a run is: whether it lasts is told by what came after it, nearer to it or to what was expected."""
    known = series.values[run][np.isfinite(series.values[run])]
    before, now = awaited / len(run), float(np.median(known))
    after = series.values[run[-1] + 1 :]
    after = after[np.isfinite(after)]
    lasts = not len(after) or abs(float(np.median(after)) - now) < abs(float(np.median(after)) - before)
    days = len(run) / series.grain.per_day
    if lasts and days >= 1 and before > 0 and max(now, *after[-1:], 0.0) <= OUT_RATIO * before:
        return Kind.DROP_OUT
    if (lasts and days >= STAYS_DAYS) or days >= 7:
        return Kind.LEVEL_SHIFT
    return Kind.SPIKE if excess > 0 else Kind.DIP


def _vanished(series: Series, from_us: int, prices: Mapping[str, float] | None) -> Anomaly | None:
    """Return who had something almost always and has had nothing for STAYS_DAYS at least, up to the end."""
    known = np.flatnonzero(np.isfinite(series.values))
    there = known[series.values[known] != 0]
    gone = known[known > there[-1]] if len(there) else known[:0]
    if len(gone) < STAYS_DAYS * series.grain.per_day or series.edges[gone[0]] < from_us:
        return None
    past = series._replace(edges=series.edges[: gone[0] + 1], values=series.values[: gone[0]])
    outcome = forecast(past, series.end_us)
    before = past.values[np.isfinite(past.values)]
    if isinstance(outcome, NoForecast) or (before != 0).mean() < ALWAYS:
        return None
    run = np.arange(gone[0], len(series.values))
    expected = np.full(len(series.values), np.nan)
    expected[run] = outcome.frame["expected"].to_numpy()[: len(run)]
    found = _anomaly(series, run, expected, _Week(int(gone[0]), outcome, run * 0.0, run * 0.0, 1.0), prices)
    return found and found._replace(kind=Kind.DROP_OUT)


def _with_vanished(stretches: list[Anomaly], vanished: Anomaly | None) -> list[Anomaly]:
    """Return the stretches with who vanished as one of them, in the place of those that tell a part of it."""
    if vanished is None:
        return stretches
    parts = [one for one in stretches if one.excess < 0 and one.end_us > vanished.start_us]
    known = [one.q for one in parts if one.q is not None]
    whole = vanished._replace(q=min(known) if known else None)
    return [*(one for one in stretches if one not in parts), whole]


def _appeared(series: Series, from_us: int, prices: Mapping[str, float] | None) -> Anomaly | None:
    """Return who has something now and had nothing before, over a known week at least."""
    first = int(np.searchsorted(series.edges[:-1], from_us))
    values = np.nan_to_num(series.values)
    there = np.flatnonzero(values[first:] != 0)
    if not len(there):
        return None
    start = first + int(there[0])
    before = series.values[:start]
    known_before = before[np.isfinite(before)]
    if len(known_before) < series.grain.week or known_before.any():
        return None
    lengths = np.diff(series.edges) / np.median(np.diff(series.edges))
    seen = float((values * lengths)[start:].sum())
    price = 1.0 if prices is None else prices.get(series.name)
    known = float(np.isfinite(series.values[start:]).mean())
    end_us = int(series.edges[-1])
    money = None if price is None else seen * price
    return Anomaly(
        series.name, Kind.APPEARED, int(series.edges[start]), end_us, seen, None, None, None, seen, money, None, known
    )
