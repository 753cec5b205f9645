"""Two windows of one kind of observation: what they must hold to be compared, and which of their days are compared."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final, NamedTuple

import numpy as np
import polars as pl

from analytics.drift_samples import Integers, Sample, Windows, sizes
from gpuledger.errors import AnalysisError

AT: Final = "at"
DEVICE: Final = "device"
JOB: Final = "job"
NOBODY: Final = "unattributed"  # the group of observations that name none
_MONDAY: Final = date(1970, 1, 5)


class Observations(NamedTuple):
    """Observations of a reference and a current window: a row for each `unit`, columns `at` and metrics.

    `unit` says what one row stands for. Rows of jobs (`job`) have the instant of the job; those of other units, such as
    `device-day` and `day`, the midnight (UTC) at which their day begins, and what is not known is null or absent.
    """

    unit: str
    reference: pl.DataFrame
    current: pl.DataFrame
    metrics: tuple[str, ...]


class Calendar(NamedTuple):
    """Which days are compared: in both windows each weekday has the same share of them."""

    reference: frozenset[date]
    current: frozenset[date]
    left_out: int


def check(found: Observations, by: str) -> None:
    """Raise AnalysisError where the frames cannot be compared: columns, times, grains, days that are in both."""
    for side, frame in (("reference", found.reference), ("current", found.current)):
        where = f"the {side} window of {found.unit}"
        for column in (AT, by, *found.metrics):
            if column not in frame.columns:
                near = difflib.get_close_matches(column, frame.columns, n=1)
                hint = f'is it "{near[0]}"?' if near else f"it has: {', '.join(frame.columns)}"
                raise AnalysisError(f'{where} has no column "{column}"', hint=hint)
        if not isinstance(frame.schema[AT], pl.Datetime) or frame[AT].null_count():
            raise AnalysisError(
                f'"{AT}" of {where} is not an instant in every row',
                hint="give instants in UTC: pl.Datetime('us', 'UTC')",
            )
        if found.unit != JOB:
            _check_days(frame, by, where)
    both = _days(found.reference) & _days(found.current)
    if both:
        raise AnalysisError(
            f"{min(both)} is in both windows of {found.unit}", hint="end the reference before the current window begins"
        )


def _check_days(frame: pl.DataFrame, by: str, where: str) -> None:
    """Refuse rows of another grain than days, and several rows for one day: each would count as one more proof."""
    finer = frame.filter(pl.col(AT).dt.truncate("1d") != pl.col(AT))
    if len(finer):
        raise AnalysisError(
            f"{where} has {len(finer):,} rows that begin within a day, the first at {finer[AT].sort()[0]}",
            hint="add up to whole days first: analytics.windows does",
        )
    keys = [AT, *dict.fromkeys(name for name in (by, DEVICE) if name in frame.columns)]
    again = len(frame) - frame.select(keys).n_unique()
    if again:
        raise AnalysisError(
            f"{where} has {again:,} rows more than days of {' and '.join(keys[1:])}",
            hint="add up to one row a day first: analytics.windows does",
        )


def calendar(observations: Sequence[Observations]) -> Calendar:
    """Return the days that are compared: the latest of each window, with each weekday as often, or a multiple, in both.

    Weekends are not like other days, so a window with more of them would differ for that alone. Of the ways to give
    both windows the same weekdays, the one that tells most is taken.
    """
    reference = set[date]().union(*(_days(each.reference) for each in observations))
    current = set[date]().union(*(_days(each.current) for each in observations))
    has, needs = Counter(day.weekday() for day in reference), Counter(day.weekday() for day in current)
    shared = {weekday: count for weekday, count in needs.items() if has[weekday]}
    best: tuple[dict[int, int], int] = ({}, 1)
    if not reference or not current:
        return Calendar(frozenset(reference), frozenset(current), 0)
    for most in range(1, max(shared.values(), default=0) + 1):
        wanted = {weekday: min(count, most, has[weekday]) for weekday, count in shared.items()}
        times = min(has[weekday] // count for weekday, count in wanted.items())
        best = max(best, (wanted, times), key=_worth)
    wanted, times = best
    kept_current = _latest(current, wanted)
    kept_reference = _latest(reference, {weekday: count * times for weekday, count in wanted.items()})
    left_out = len(reference) + len(current) - len(kept_reference) - len(kept_current)
    return Calendar(kept_reference, kept_current, left_out)


def _worth(plan: tuple[dict[int, int], int]) -> float:
    """Return what grows with how well two windows can be told apart: 1 / (1 / days + 1 / days of the other)."""
    wanted, times = plan
    return sum(wanted.values()) * times / (1 + times)


class Prepared(NamedTuple):
    """One metric of all groups: its sample, the names of its groups, and how many values of each were no numbers."""

    sample: Sample
    groups: pl.Series
    left_out: Integers
    seen: Windows  # values on any day, compared or not
    categorical: bool


def prepare(found: Observations, by: str, metric: str, days: Calendar) -> Prepared:
    """Return the values of a metric on the days that are compared; nulls, NaN and infinities are left out."""
    rows = pl.concat(
        [
            frame.select(
                pl.col(by).cast(pl.String).fill_null(NOBODY).alias("group"),
                pl.lit(value=current).alias("current"),
                pl.col(AT).dt.date().alias("day"),
                _plain(frame, metric).alias("value"),
                pl.col(AT).dt.date().is_in(list(kept)).alias("kept"),
            )
            for frame, kept, current in (
                (found.reference, days.reference, False),
                (found.current, days.current, True),
            )
        ],
        how="vertical_relaxed",
    )
    groups = rows["group"].unique().sort()
    codes = rows["group"].replace_strict(groups, pl.Series(range(len(groups)), dtype=pl.Int64), return_dtype=pl.Int64)
    categorical = rows.schema["value"] == pl.String
    value = rows["value"].rank("dense").cast(pl.Float64) if categorical else rows["value"].cast(pl.Float64)
    known = value.is_finite().fill_null(value=False).to_numpy().astype(np.bool_)
    code = codes.to_numpy().astype(np.int64)
    kept = rows["kept"].to_numpy().astype(np.bool_)
    whole = Sample(
        code,
        rows["current"].to_numpy().astype(np.bool_),
        (rows["day"] - _MONDAY).dt.total_days().to_numpy().astype(np.int64),
        value.fill_null(0.0).to_numpy().astype(np.float64),
        len(groups),
    )
    left_out = np.bincount(code[kept & ~known], minlength=len(groups))
    return Prepared(whole.where(kept & known), groups, left_out, sizes(whole.where(known)), categorical)


def _plain(frame: pl.DataFrame, metric: str) -> pl.Expr:
    kind = frame.schema[metric]
    return pl.col(metric) if kind == pl.String else pl.col(metric).cast(pl.Float64)


def _latest(days: Iterable[date], counts: dict[int, int]) -> frozenset[date]:
    kept: list[date] = []
    for weekday, count in counts.items():
        kept += sorted(day for day in days if day.weekday() == weekday)[-count:]
    return frozenset(kept)


def _days(frame: pl.DataFrame) -> set[date]:
    return set(frame[AT].dt.date().unique().to_list()) if len(frame) else set()
