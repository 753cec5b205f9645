"""The tests behind drift: two samples of many groups at once, as arrays, with no more independence than they have.

Observations of one day resemble one another, and so do days that follow each other. Taken as independent they make
any p-value meaningless, so each group's sample counts as `effective` observations: its size divided by how much
more the means of its days scatter than they would if all its observations were independent.

* The scatter is measured on ranks within the group, about each window's own mean: a change between the windows does
  not count as scatter, and no outlier rules it.
* What repeats with the weekday is taken out where there are four weeks of days, for both windows have the same weekdays.
* Days that follow each other add (1 + r) / (1 - r), r being their correlation, corrected for the bias of short series
  (Kendall 1954).
* No group is taken for less alike than the median of all groups: one group's days alone tell too little.
* The scatter is itself known from few days only, so small p-values are widened as Student's t widens a normal's.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]

WEEKDAY_DAYS: Final = 28  # fewer days than this say too little about weekdays
MAX_CORRELATION: Final = 0.97
MAX_CATEGORIES: Final = 5  # values as few as these are categories (the rule of Evidently 0.7)
MIN_EXPECTED: Final = 5.0  # of a category in a window, for chi-square to hold (Cochran 1954)
MIN_P: Final = 1e-300


class Sample(NamedTuple):
    """One metric of many groups, a row an observation; no value is NaN or infinite.

    `group` counts from 0 to `groups`; `day` counts days from any Monday; `current` tells the current window from the
    reference.
    """

    group: Integers
    current: Flags
    day: Integers
    value: Floats
    groups: int

    def sorted(self) -> Sample:
        """Return the same rows by group and value."""
        order = np.lexsort((self.value, self.group))
        return Sample(self.group[order], self.current[order], self.day[order], self.value[order], self.groups)


class Windows(NamedTuple):
    """A figure of each group for the reference and the current window."""

    reference: Floats
    current: Floats


class Distances(NamedTuple):
    """How far apart the two samples of each group are."""

    kolmogorov: Floats  # the largest distance between the two cumulative distributions
    wasserstein: Floats  # how far a value moved on average, in the metric's own unit
    distinct: Integers  # different values


def sizes(sample: Sample) -> Windows:
    """Return how many observations each window of each group has."""
    return Windows(*(_count(sample.group[chosen], sample.groups) for chosen in (~sample.current, sample.current)))


def means(sample: Sample) -> Windows:
    """Return the mean of each window of each group; NaN for an empty one."""
    return _moments(sample)[0]


def deviations(sample: Sample) -> Windows:
    """Return the standard deviation (of a population) of each window of each group; NaN for an empty one."""
    return _moments(sample)[1]


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


class Scatter(NamedTuple):
    """How far a group's observations are from independent ones."""

    inflation: Floats  # by how much more than those of independent ones the means of its windows vary: 1 or more
    freedom: Floats  # from how many independent days that is known, less what was taken out: 1 or more


def scatter(sample: Sample) -> Scatter:
    """Return how far each group's observations are from independent ones."""
    rows = sample.sorted()
    ranks = _centred_ranks(rows)
    blocks = _day_blocks(rows, ranks)
    weekday, used = _weekday_means(blocks, rows.groups)
    spread = blocks.total - blocks.count * weekday
    days = _count(blocks.group, rows.groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        persistence = _at_least_usual(_persistence(blocks, spread, days))
        free = np.maximum(days - np.minimum(2 * persistence, days / 2) - used, 1)
        squares = np.bincount(rows.group, ranks**2, rows.groups)
        together = np.bincount(blocks.group, spread**2, rows.groups) / squares * days / free
        others = np.bincount(rows.group, minlength=rows.groups) / days - 1  # observations of a day beside one
        alike = _at_least_usual(np.where(others > 0, (together - 1) / others, np.nan))
        found = np.maximum(together, 1 + others * np.nan_to_num(alike)) * persistence
    inflation = np.where(np.isfinite(found), np.maximum(found, 1.0), 1.0)
    return Scatter(inflation, np.maximum(free / persistence, 1.0))


def _at_least_usual(values: Floats) -> Floats:
    """Return values raised to the median of all groups: one group's days alone tell too little to go below it."""
    known = values[np.isfinite(values)]
    return np.maximum(values, np.median(known)) if len(known) else values


def effective(counts: Windows, inflation: Floats) -> Windows:
    """Return how many independent observations each window is worth."""
    return Windows(counts.reference / inflation, counts.current / inflation)


def kolmogorov_p(distance: Floats, effective_counts: Windows) -> Floats:
    """Return the p-values of the two-sample Kolmogorov-Smirnov test (Stephens 1970): never below the exact ones."""
    reference, current = effective_counts
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(reference * current / (reference + current))
        found = special.kolmogorov((root + 0.12 + 0.11 / root) * distance)
    return np.where(np.isfinite(found), found, 1.0)


def widened(p: Floats, freedom: Floats) -> Floats:
    """Return what p-values are when the scatter behind them is known with so many degrees of freedom."""
    deviation = -special.ndtri(np.clip(p, MIN_P, 1.0) / 2)
    return np.asarray(np.clip(2 * special.stdtr(freedom, -deviation), 0.0, 1.0))


def location_p(sample: Sample, resolution: float = 0.0) -> Floats:
    """Return the p-values of Student's t for the windows' means: for series of one value a day, close to normal.

    Small p-values are known better than by ranks, which is what telling one device of thousands takes. Days that follow
    each other count for less, as in `scatter` and a little more, for tails are what matters; the deviation is taken as `resolution` at least.
    """
    rows = sample.sorted()
    window = rows.group * 2 + rows.current
    centre = np.stack(_moments(rows)[0], axis=1).ravel()
    blocks = _day_blocks(rows, rows.value - centre[window])
    days, counts = _count(blocks.group, rows.groups), sizes(rows)
    persistence = _at_least_usual(_persistence(blocks, blocks.total, days, errors=1.0))
    free = np.maximum(days - np.minimum(2 * persistence, days / 2), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.bincount(blocks.group, blocks.total**2, rows.groups) / free + resolution**2
        error = np.sqrt(variance * persistence * (1 / counts.reference + 1 / counts.current))
        found = 2 * special.stdtr(np.maximum(free / persistence, 1), -np.abs(centre[1::2] - centre[0::2]) / error)
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


class _Blocks(NamedTuple):
    """The days of each window of each group, in their order: sums of centred ranks, and of how many."""

    group: Integers
    current: Flags
    day: Integers
    total: Floats
    count: Floats


def _day_blocks(rows: Sample, ranks: Floats) -> _Blocks:
    first = int(rows.day.min()) if len(rows.day) else 0
    days = int(rows.day.max()) - first + 1 if len(rows.day) else 1
    keys, positions = np.unique((rows.group * 2 + rows.current) * days + (rows.day - first), return_inverse=True)
    window, day = np.divmod(keys, days)
    return _Blocks(
        window // 2,
        (window % 2).astype(np.bool_),
        day + first,
        np.bincount(positions, ranks, len(keys)),
        np.bincount(positions, minlength=len(keys)).astype(np.float64),
    )


def _weekday_means(blocks: _Blocks, groups: int) -> tuple[Floats, Floats]:
    """Return each day's mean by its weekday (0 where days are too few), and what that takes of each group's freedom."""
    keys = blocks.group * 7 + blocks.day % 7
    counts = np.bincount(keys, blocks.count, groups * 7)
    with np.errstate(invalid="ignore"):
        found = (np.bincount(keys, blocks.total, groups * 7) / counts)[keys]
    enough = np.bincount(blocks.group, minlength=groups) >= WEEKDAY_DAYS
    weekdays = (counts.reshape(groups, 7) > 0).sum(1)
    return np.where(enough[blocks.group], found, 0.0), np.where(enough, weekdays - 1.0, 0.0)


def _persistence(blocks: _Blocks, spread: Floats, days: Floats, *, errors: float = 0.0) -> Floats:
    """Return (1 + r) / (1 - r) for the correlation r of a day's mean with the next day's, so many errors of it up."""
    mean = spread / blocks.count
    follows = (
        (blocks.group[1:] == blocks.group[:-1])
        & (blocks.current[1:] == blocks.current[:-1])
        & (blocks.day[1:] == blocks.day[:-1] + 1)
    )
    groups = len(days)
    pairs = _count(blocks.group[1:][follows], groups)
    together = np.bincount(blocks.group[1:][follows], (mean[1:] * mean[:-1])[follows], groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (together / pairs) / (np.bincount(blocks.group, mean**2, groups) / days)
        found = np.where(np.isfinite(found), found, 0.0)
        found += errors * np.sqrt((1 - np.minimum(found**2, 1)) / np.maximum(pairs, 1))
        found = np.clip(found + (1 + 4 * found) / np.maximum(pairs, 1), 0.0, MAX_CORRELATION)
    return np.asarray((1 + found) / (1 - found))


def _centred_ranks(rows: Sample) -> Floats:
    """Return each observation's rank in its group (of rows sorted by value; ties share theirs) less its window's mean."""
    new_run = np.append(True, (rows.group[1:] != rows.group[:-1]) | (rows.value[1:] != rows.value[:-1]))
    if not len(rows.group):
        return np.zeros(0)
    run_starts = np.flatnonzero(new_run)
    run_ends = np.append(run_starts[1:], len(rows.group)) - 1
    ranks = ((run_starts + run_ends) / 2)[np.cumsum(new_run) - 1]
    window = rows.group * 2 + rows.current
    counts = np.bincount(window, minlength=2 * rows.groups)
    with np.errstate(invalid="ignore"):
        centre = np.bincount(window, ranks, 2 * rows.groups) / counts
    return np.asarray(ranks - centre[window])


def _moments(sample: Sample) -> tuple[Windows, Windows]:
    """Return means and standard deviations, each taken about the window's own mean."""
    window = sample.group * 2 + sample.current
    cells = 2 * sample.groups
    counts = np.bincount(window, minlength=cells)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(window, sample.value, cells) / counts
        squares = np.bincount(window, (sample.value - mean[window]) ** 2, cells) / counts
    return Windows(mean[0::2], mean[1::2]), Windows(np.sqrt(squares[0::2]), np.sqrt(squares[1::2]))


def _running(chosen: Flags, rows: Sample) -> Floats:
    """Return how many of `chosen` lie at or before each row, within its group."""
    total = np.append(0, np.cumsum(chosen))
    starts = np.append(0, np.cumsum(np.bincount(rows.group, minlength=rows.groups)))
    return np.asarray(total[1:] - total[starts[rows.group]], dtype=np.float64)


def _count(group: Integers, groups: int) -> Floats:
    return np.bincount(group, minlength=groups).astype(np.float64)
