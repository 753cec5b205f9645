"""What changed against a reference window, told from what scatters anyway; the only door to Evidently.

Two windows of observations are compared by metric and group. A change is told where both hold: it is significant among
all that was tested (Benjamini-Hochberg), and it is large enough to matter (`drift_metrics`). Samples count for what
they are worth as independent ones (`drift_scatter`): minutes and hours of GPUs resemble the ones before them, so rows
are days of devices, days, or jobs, and even those are taken with their day.
"""

from __future__ import annotations

import enum
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl

from analytics import drift_samples as samples
from analytics import drift_scatter as scattering
from analytics import drift_tests as tests
from analytics.drift_frames import AT, Observations, Prepared, calendar, check, prepare
from analytics.drift_metrics import metric_named
from gpuledger.errors import AnalysisError

LEVEL: Final = 0.05
LEAST_NORMED: Final = 0.1  # of the normed distances: the threshold of Evidently 0.7
LEAST_OBSERVATIONS: Final = 5


class Verdict(enum.StrEnum):
    """What was found of a metric of a group."""

    DRIFT = "drift"  # significant and large enough
    SMALL = "small"  # significant, but too small to matter
    STEADY = "steady"  # no more than chance
    CONSTANT = "constant"  # one and the same value in both windows
    TOO_FEW = "too_few"  # no difference could be told from chance
    APPEARED = "appeared"  # nothing of it in the reference
    VANISHED = "vanished"  # nothing of it in the current window
    NO_VALUES = "no_values"  # no number in either
    EMPTY_REFERENCE = "empty_reference"  # the reference holds nothing of anybody
    EMPTY_CURRENT = "empty_current"  # the current window holds nothing of anybody


SCHEMA: Final = pl.Schema(
    {
        "group": pl.String(),
        "metric": pl.String(),
        "unit": pl.String(),
        "verdict": pl.String(),
        "test": pl.String(),
        "p": pl.Float64(),
        "q": pl.Float64(),
        "distance": pl.String(),
        "moved": pl.Float64(),
        "moved_ratio": pl.Float64(),
        "normed": pl.Float64(),
        "reference_mean": pl.Float64(),
        "current_mean": pl.Float64(),
        "reference_count": pl.Int64(),
        "current_count": pl.Int64(),
        "reference_effective": pl.Float64(),
        "current_effective": pl.Float64(),
        "left_out": pl.Int64(),
    }
)


class Finding(msgspec.Struct, frozen=True):
    """One metric of one group. Null: not known, or does not apply.

    `moved` is how far a value moved on average (Wasserstein), in the metric's unit, and `moved_ratio` that by the
    reference's mean; `normed` is the distance that has no unit: Wasserstein by the reference's standard deviation, or
    Jensen-Shannon of categories. `*_effective` is how many independent observations a window is worth; `left_out`
    counts values that are null, NaN or infinite.
    """

    group: str
    metric: str
    unit: str
    verdict: Verdict
    test: str | None
    p: float | None
    q: float | None
    distance: str | None
    moved: float | None
    moved_ratio: float | None
    normed: float | None
    reference_mean: float | None
    current_mean: float | None
    reference_count: int
    current_count: int
    reference_effective: float | None
    current_effective: float | None
    left_out: int


class Drift(msgspec.Struct, frozen=True):
    """What was found by `by`, drift first, at a level: the chance of any false alarm where nothing changed.

    `tested` counts the tests that shared it, `days` what was compared of each window, `days_left_out` the days that
    were not, so that both windows have the same weekdays. `frame` has the columns of `Finding`.
    """

    by: str
    level: float
    tested: int
    reference_days: int
    current_days: int
    days_left_out: int
    frame: pl.DataFrame

    def findings(self, *verdicts: Verdict) -> list[Finding]:
        """Return the rows with these verdicts, or all."""
        rows = self.frame.filter(pl.col("verdict").is_in(list(verdicts))) if verdicts else self.frame
        return msgspec.convert(rows.to_dicts(), list[Finding])


def find_drift(observations: Sequence[Observations], by: str, *, level: float = LEVEL) -> Drift:
    """Compare the current with the reference windows, for each value of the column `by` and each metric.

    Raises AnalysisError on frames that cannot be compared (`drift_frames.check`) and on a level that is no chance.
    """
    if not 0 < level < 1:
        raise AnalysisError(f"a level of {level} is not between 0 and 1", hint="0.05 is one false alarm in twenty")
    for each in observations:
        check(each, by)
    days = calendar(observations)
    compared = [
        _compare(prepare(each, by, metric, days), each, metric, level)
        for each in observations
        for metric in each.metrics
    ]
    frame = pl.concat([pl.DataFrame(schema=SCHEMA), *compared])
    frame = _judge(frame, level)
    return Drift(
        by,
        level,
        int(frame["q"].count()),
        len(days.reference),
        len(days.current),
        days.left_out,
        frame.sort(pl.col("verdict") != Verdict.DRIFT, "q", "group", "metric", nulls_last=True),
    )


def _compare(prepared: Prepared, observations: Observations, metric: str, level: float) -> pl.DataFrame:
    """Return the rows of one metric; `verdict` is null where it waits for all the others, `p` where none is due."""
    sample = prepared.sample
    counts, found = samples.sizes(sample), tests.distances(sample)
    means, deviations, scatter = samples.means(sample), samples.deviations(sample), scattering.scatter(sample)
    effective = scattering.effective(counts, scatter.inflation)
    worst = tests.separated_p(counts, scatter)
    shape = tests.widened(tests.kolmogorov_p(found.kolmogorov, effective), scatter.freedom)
    place = tests.mann_whitney_p(sample, scatter)
    p = np.maximum(tests.twice_the_smaller(shape, place), worst)
    with np.errstate(invalid="ignore", divide="ignore"):
        normed = found.wasserstein / deviations.reference
        ratio = found.wasserstein / np.abs(means.reference)
    test = np.where(shape <= place, "Kolmogorov-Smirnov", "Mann-Whitney").astype(object)
    distance = np.full(sample.groups, "Wasserstein", dtype=object)
    few = (np.minimum(counts.reference, counts.current) < LEAST_OBSERVATIONS) | (worst > level)
    verdict = _without_test(observations, prepared.seen, found.distinct, few)
    for group in np.flatnonzero((found.distinct <= tests.MAX_CATEGORIES) & (verdict == "")):
        rows = sample.group == group
        shares = tests.categories_of(
            sample.value[rows & ~sample.current], sample.value[rows & sample.current], float(scatter.inflation[group])
        )
        if shares:
            p[group] = tests.widened(np.array([shares.p]), scatter.freedom[[group]])[0]
            test[group], distance[group], normed[group] = shares.test, "Jensen-Shannon", shares.distance
        elif prepared.categorical:
            verdict[group] = Verdict.TOO_FEW
    due = verdict == ""
    numbers = {
        "moved": found.wasserstein,
        "moved_ratio": ratio,
        "reference_mean": means.reference,
        "current_mean": means.current,
    }
    return pl.DataFrame(
        {
            "group": prepared.groups,
            "metric": metric,
            "unit": observations.unit,
            "verdict": pl.Series(verdict.tolist(), dtype=pl.String).replace("", None),
            "test": pl.Series(
                [each if known else None for each, known in zip(test, due, strict=True)], dtype=pl.String
            ),
            "p": _or_null(np.where(due, p, np.nan)),
            "q": pl.Series([None] * sample.groups, dtype=pl.Float64),
            "distance": pl.Series(
                [each if known else None for each, known in zip(distance, due, strict=True)], dtype=pl.String
            ),
            "normed": _or_null(normed),
            **{name: None if prepared.categorical else _or_null(values) for name, values in numbers.items()},
            "reference_count": counts.reference.astype(np.int64),
            "current_count": counts.current.astype(np.int64),
            "reference_effective": effective.reference,
            "current_effective": effective.current,
            "left_out": prepared.left_out,
        },
        schema_overrides=SCHEMA,
    ).select(SCHEMA.names())


def _without_test(
    observations: Observations, seen: samples.Windows, distinct: samples.Integers, few: samples.Flags
) -> np.ndarray[tuple[int], np.dtype[Any]]:
    """Return the verdicts that need no test, and "" for groups that do."""
    no_reference, no_current = seen.reference == 0, seen.current == 0
    gone = Verdict.EMPTY_CURRENT if observations.current.is_empty() else Verdict.VANISHED
    new = Verdict.EMPTY_REFERENCE if observations.reference.is_empty() else Verdict.APPEARED
    return np.select(
        [no_reference & no_current, no_reference, no_current, few & (distinct != 1), distinct == 1],
        [Verdict.NO_VALUES.value, new.value, gone.value, Verdict.TOO_FEW.value, Verdict.CONSTANT.value],
        "",
    ).astype(object)


def _judge(frame: pl.DataFrame, level: float) -> pl.DataFrame:
    """Give each tested row its q-value among all, and its verdict."""
    due = frame["p"].is_not_null().to_numpy()
    q = np.full(len(frame), np.nan)
    q[due] = tests.adjusted(frame["p"].to_numpy()[due], any_dependence=False)
    metrics = {name: metric_named(name) for name in frame["metric"].unique()}
    least = pl.col("metric").replace_strict({name: metric.least for name, metric in metrics.items()}, default=0.0)
    ratio = pl.col("metric").replace_strict({name: metric.least_ratio for name, metric in metrics.items()}, default=0.0)
    matters = (
        (pl.col("normed").fill_null(np.inf) >= LEAST_NORMED)
        & (pl.col("moved").fill_null(np.inf) >= least)
        & (pl.col("moved_ratio").fill_null(np.inf) >= ratio)
    )
    tested = (
        pl.when(pl.col("q") > level)
        .then(pl.lit(Verdict.STEADY.value))
        .when(matters)
        .then(pl.lit(Verdict.DRIFT.value))
        .otherwise(pl.lit(Verdict.SMALL.value))
    )
    judged = frame.with_columns(_or_null(q).alias("q"))
    return judged.with_columns(pl.coalesce("verdict", tested).alias("verdict"))


def _or_null(values: samples.Floats) -> pl.Series:
    """Return numbers, null where they are NaN or infinite."""
    return pl.Series(np.where(np.isfinite(values), values, np.nan), dtype=pl.Float64).fill_nan(None)


def write_report(observations: Observations, path: Path) -> None:
    """Write the full report of Evidently about all groups together, as one HTML page that needs no network.

    It takes every row as independent, so its p-values are smaller than those here; its pictures are what it is for.
    Raises AnalysisError where a window is empty or the file cannot be written.
    """
    from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415 - it takes seconds to import
    from evidently.presets import DataDriftPreset  # noqa: PLC0415

    if observations.reference.is_empty() or observations.current.is_empty():
        raise AnalysisError(f"a window of {observations.unit} is empty", hint="name periods that hold something")
    kinds = observations.reference.schema
    numerical = [name for name in observations.metrics if kinds[name] != pl.String]
    definition = DataDefinition(
        numerical_columns=numerical,
        categorical_columns=[name for name in observations.metrics if name not in numerical],
    )
    current, reference = (
        Dataset.from_pandas(_pandas(frame, observations.metrics), definition)
        for frame in (observations.current, observations.reference)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # constants divide by zero in its correlations
        page = Report([DataDriftPreset()]).run(current, reference).get_html_str(as_iframe=False)
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise AnalysisError(
            f"cannot write {path}: {error.strerror}", hint="name a file that this user may write"
        ) from error


def _pandas(frame: pl.DataFrame, metrics: Sequence[str]) -> Any:  # noqa: ANN401 - pandas is Evidently's alone
    """Return the columns as Evidently takes them; what is not known stays NaN."""
    return frame.select(
        pl.col(name) if frame.schema[name] == pl.String else pl.col(name).cast(pl.Float64) for name in metrics
    ).to_pandas()


__all__ = ["AT", "Drift", "Finding", "Observations", "Verdict", "find_drift", "write_report"]
