"""The tests behind drift: two windows of many groups at once, for what their observations are worth (`drift_scatter`).

Two tests look at numbers: Kolmogorov-Smirnov at the shape of a distribution, Mann-Whitney at its place. The smaller
p-value counts, twice. Values of few kinds are compared by their shares.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy import special

from analytics.drift_samples import (
    Flags,
    Floats,
    Integers,
    Sample,
    Windows,
    count_of,
    moments,
    ranks_of,
    sizes,
    window_means,
)
from analytics.drift_scatter import Scatter, at_least_usual, day_blocks, effective, persistence

MAX_CATEGORIES: Final = 5  # values as few as these are categories (the rule of Evidently 0.7)
MIN_EXPECTED: Final = 5.0  # of a category in a window, for chi-square to hold (Cochran 1954)
MIN_P: Final = 1e-300


class Distances(NamedTuple):
    """How far apart the two samples of each group are."""

    kolmogorov: Floats  # the largest distance between the two cumulative distributions
    wasserstein: Floats  # how far a value moved on average, in the metric's own unit
    distinct: Integers  # different values


def distances(sample: Sample) -> Distances:
    """Return how far apart the windows of each group are; groups without observations in one of them are NaN."""
    rows = sample.sorted()
    if not len(rows.group):
        unknown = np.full(rows.groups, np.nan)
        return Distances(unknown, unknown, np.zeros(rows.groups, np.int64))
    counts = sizes(rows)
    with np.errstate(invalid="ignore", divide="ignore"):
        below = [
            _running(chosen, rows) / count[rows.group]
            for chosen, count in zip((~rows.current, rows.current), counts, strict=True)
        ]
    gap = np.abs(below[0] - below[1])
    same_group = np.append(rows.group[1:] == rows.group[:-1], False)
    step = np.where(same_group, np.append(np.diff(rows.value), 0.0), 0.0)
    last_of_value = ~same_group | (step > 0)
    starts = np.flatnonzero(np.append(True, ~same_group[:-1]))
    kolmogorov, wasserstein = np.full((2, rows.groups), np.nan)
    kolmogorov[rows.group[starts]] = np.maximum.reduceat(np.where(last_of_value, gap, 0.0), starts)
    wasserstein[rows.group[starts]] = np.add.reduceat(gap * step, starts)
    return Distances(kolmogorov, wasserstein, np.bincount(rows.group[last_of_value], minlength=rows.groups))


def kolmogorov_p(distance: Floats, effective_counts: Windows) -> Floats:
    """Return the p-values of the two-sample Kolmogorov-Smirnov test (Stephens 1970): half the exact ones, or more."""
    reference, current = effective_counts
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(reference * current / (reference + current))
        found = special.kolmogorov((root + 0.12 + 0.11 / root) * distance)
    return np.where(np.isfinite(found), found, 1.0)


def mann_whitney_p(sample: Sample, found: Scatter) -> Floats:
    """Return the p-values of the Mann-Whitney test as Student's t of ranks (Conover and Iman 1981)."""
    rows = sample.sorted()
    ranks = ranks_of(rows)
    window = rows.group * 2 + rows.current
    mean = window_means(window, ranks, rows.groups)
    variance = np.bincount(rows.group, (ranks - mean.ravel()[window]) ** 2, rows.groups).astype(np.float64)
    return _student_p(mean[:, 1] - mean[:, 0], variance, sizes(sample), found)


def separated_p(counts: Windows, found: Scatter) -> Floats:
    """Return the p-values that windows would have with all values of one above all of the other: none is smaller."""
    both = counts.reference + counts.current
    variance = (counts.reference**3 + counts.current**3) / 12
    apart = _student_p(both / 2, variance, counts, found)
    shape = widened(kolmogorov_p(np.ones_like(both), effective(counts, found.inflation)), found.freedom)
    return twice_the_smaller(shape, apart)


def twice_the_smaller(first: Floats, second: Floats) -> Floats:
    """Return what the smaller of two p-values is worth as one of two (Bonferroni)."""
    return np.asarray(np.minimum(2 * np.minimum(first, second), 1.0))


def widened(p: Floats, freedom: Floats) -> Floats:
    """Return what p-values are when the scatter behind them is known with so many degrees of freedom."""
    deviation: Floats = -special.ndtri(np.clip(p, MIN_P, 1.0) / 2)
    found: Floats = np.clip(2 * special.stdtr(freedom, -deviation), 0.0, 1.0)
    return found


def location_p(sample: Sample, resolution: float = 0.0) -> Floats:
    """Return the p-values of Student's t for the windows' means: for series of one value a day, close to normal.

    Small p-values are known better than by ranks, which is what telling one device of thousands takes. Days that follow
    each other count for less, as in `scatter` and a little more, for tails are what matters here; the deviation is
    taken as `resolution` at least.
    """
    rows = sample.sorted()
    window = rows.group * 2 + rows.current
    centre = np.stack(moments(rows)[0], axis=1).ravel()
    blocks = day_blocks(rows, rows.value - centre[window])
    days, counts = count_of(blocks.group, rows.groups), sizes(rows)
    repeats = at_least_usual(persistence(blocks, blocks.total, days, errors=1.0))
    free = np.maximum(days - np.minimum(2 * repeats, days / 2), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.bincount(blocks.group, blocks.total**2, rows.groups) / free + resolution**2
        error = np.sqrt(variance * repeats * (1 / counts.reference + 1 / counts.current))
        found = 2 * special.stdtr(np.maximum(free / repeats, 1), -np.abs(centre[1::2] - centre[0::2]) / error)
    return np.where(np.isfinite(found), found, 1.0)


class Categories(NamedTuple):
    """A test of shares: its p-value, its name, and the Jensen-Shannon distance (natural logarithm, 0 to 0.83)."""

    p: float
    test: str
    distance: float


def categories_of(reference: Floats, current: Floats, inflated: float) -> Categories | None:
    """Compare the shares of the values of one group; None where a value is too rare for chi-square to hold.

    Two values make the z-test of proportions, whose square chi-square is.
    """
    values, positions = np.unique(np.concatenate([reference, current]), return_inverse=True)
    table = np.array(
        [
            np.bincount(positions[: len(reference)], minlength=len(values)),
            np.bincount(positions[len(reference) :], minlength=len(values)),
        ],
        dtype=np.float64,
    )
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    if len(values) < 2 or expected.min() / inflated < MIN_EXPECTED:
        return None
    statistic = float(((table - expected) ** 2 / expected).sum()) / inflated
    p = float(special.chdtrc(len(values) - 1, statistic))
    shares = table / table.sum(1, keepdims=True)
    return Categories(p, "z" if len(values) == 2 else "chi-square", jensen_shannon(shares[0], shares[1]))


def jensen_shannon(first: Floats, second: Floats) -> float:
    """Return the Jensen-Shannon distance of two discrete distributions, natural logarithm."""
    middle = (first + second) / 2
    divergence = (special.rel_entr(first, middle).sum() + special.rel_entr(second, middle).sum()) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def adjusted(p: Floats, *, any_dependence: bool = True) -> Floats:
    """Return q-values: what p-values are worth among all that were tested with them.

    Benjamini-Yekutieli, which holds for tests that depend on each other in any way; else Benjamini-Hochberg.
    """
    count = len(p)
    if not count:
        return p
    order = np.argsort(p)
    factor = float(np.sum(1 / np.arange(1, count + 1))) if any_dependence else 1.0
    scaled = p[order] * factor * count / np.arange(1, count + 1)
    found = np.empty(count)
    found[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return found


def _student_p(shift: Floats, squares: Floats, counts: Windows, found: Scatter) -> Floats:
    """Return the p-values of a shift, given the sum of squares within the windows."""
    both = counts.reference + counts.current
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(squares / (both - 2) * found.inflation * (1 / counts.reference + 1 / counts.current))
        p = 2 * special.stdtr(found.freedom, -np.abs(shift) / error)
    return np.where(np.isfinite(p), p, 1.0)


def _running(chosen: Flags, rows: Sample) -> Floats:
    """Return how many of `chosen` lie at or before each row, within its group."""
    total = np.append(0, np.cumsum(chosen))
    starts = np.append(0, np.cumsum(np.bincount(rows.group, minlength=rows.groups)))
    return np.asarray(total[1:] - total[starts[rows.group]], dtype=np.float64)
