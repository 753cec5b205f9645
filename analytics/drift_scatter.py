"""How far observations are from independent ones, group by group.

Observations of one day resemble one another, and so do days that follow each other. Taken as independent they make
any p-value meaningless, so each group's sample counts as `effective` observations: its size divided by how much
more the means of its days scatter than they would if all its observations were independent.

* The scatter is measured on ranks within the group, about each window's own mean: a change between the windows does
  not count as scatter, and no outlier rules it.
* What repeats with the weekday is taken out where there are four weeks of days: both windows have the same weekdays.
* Days that follow each other add (1 + r) / (1 - r), r being their correlation, corrected for the bias of short series
  (Kendall 1954).
* No group is taken for less alike than the median of all groups: one group's days alone tell too little.
* The scatter is itself known from few days only, so small p-values are widened as Student's t widens a normal's.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from analytics.drift_samples import Flags, Floats, Integers, Sample, Windows, centred_ranks, count_of

WEEKDAY_DAYS: Final = 28  # fewer days than this say too little about weekdays
MAX_CORRELATION: Final = 0.97


class Scatter(NamedTuple):
    """How far a group's observations are from independent ones."""

    inflation: Floats  # by how much more than those of independent ones the means of its windows vary: 1 or more
    freedom: Floats  # from how many independent days that is known, less what was taken out: 1 or more


def scatter(sample: Sample) -> Scatter:
    """Return how far each group's observations are from independent ones."""
    rows = sample.sorted()
    ranks = centred_ranks(rows)
    blocks = day_blocks(rows, ranks)
    weekday, used = _weekday_means(blocks, rows.groups)
    spread = blocks.total - blocks.counts * weekday
    days = count_of(blocks.group, rows.groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        repeats = at_least_usual(persistence(blocks, spread, days))
        free = np.maximum(days - np.minimum(2 * repeats, days / 2) - used, 1)
        squares = np.bincount(rows.group, ranks**2, rows.groups)
        together = np.bincount(blocks.group, spread**2, rows.groups) / squares * days / free
        others = np.bincount(rows.group, minlength=rows.groups) / days - 1  # observations of a day beside one
        alike = at_least_usual(np.where(others > 0, (together - 1) / others, np.nan))
        found = np.maximum(together, 1 + others * np.nan_to_num(alike)) * repeats
    inflation = np.where(np.isfinite(found), np.maximum(found, 1.0), 1.0)
    return Scatter(inflation, np.maximum(free / repeats, 1.0))


def effective(counts: Windows, inflation: Floats) -> Windows:
    """Return how many independent observations each window is worth."""
    return Windows(counts.reference / inflation, counts.current / inflation)


def at_least_usual(values: Floats) -> Floats:
    """Return values raised to the median of all groups: one group's days alone tell too little to go below it."""
    known = values[np.isfinite(values)]
    return np.maximum(values, np.median(known)) if len(known) else values


class Blocks(NamedTuple):
    """The days of each window of each group, in their order: sums of centred ranks, and of how many."""

    group: Integers
    current: Flags
    day: Integers
    total: Floats
    counts: Floats


def day_blocks(rows: Sample, ranks: Floats) -> Blocks:
    """Return the sums of the days of each window of each group."""
    first = int(rows.day.min()) if len(rows.day) else 0
    days = int(rows.day.max()) - first + 1 if len(rows.day) else 1
    keys, positions = np.unique((rows.group * 2 + rows.current) * days + (rows.day - first), return_inverse=True)
    window, day = np.divmod(keys, days)
    return Blocks(
        window // 2,
        (window % 2).astype(np.bool_),
        day + first,
        np.bincount(positions, ranks, len(keys)).astype(np.float64),
        np.bincount(positions, minlength=len(keys)).astype(np.float64),
    )


def _weekday_means(blocks: Blocks, groups: int) -> tuple[Floats, Floats]:
    """Return each day's mean by its weekday (0 where days are too few), and what that takes of each group's freedom."""
    keys = blocks.group * 7 + blocks.day % 7
    counts = np.bincount(keys, blocks.counts, groups * 7)
    with np.errstate(invalid="ignore"):
        found = (np.bincount(keys, blocks.total, groups * 7) / counts)[keys]
    enough = np.bincount(blocks.group, minlength=groups) >= WEEKDAY_DAYS
    weekdays = (counts.reshape(groups, 7) > 0).sum(1)
    return np.where(enough[blocks.group], found, 0.0), np.where(enough, weekdays - 1.0, 0.0)


def persistence(blocks: Blocks, spread: Floats, days: Floats, *, errors: float = 0.0) -> Floats:
    """Return (1 + r) / (1 - r) for the correlation r of a day's mean with the next day's, so many errors of it up."""
    mean = spread / blocks.counts
    follows = (
        (blocks.group[1:] == blocks.group[:-1])
        & (blocks.current[1:] == blocks.current[:-1])
        & (blocks.day[1:] == blocks.day[:-1] + 1)
    )
    groups = len(days)
    pairs = count_of(blocks.group[1:][follows], groups)
    together = np.bincount(blocks.group[1:][follows], (mean[1:] * mean[:-1])[follows], groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (together / pairs) / (np.bincount(blocks.group, mean**2, groups) / days)
        found = np.where(np.isfinite(found), found, 0.0)
        found += errors * np.sqrt((1 - np.minimum(found**2, 1)) / np.maximum(pairs, 1))
        found = np.clip(found + (1 + 4 * found) / np.maximum(pairs, 1), 0.0, MAX_CORRELATION)
    return np.asarray((1 + found) / (1 - found))
