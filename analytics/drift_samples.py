"""Samples of many groups at once, as arrays: how many there are, their moments and their ranks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
        return self.where(np.lexsort((self.value, self.group)))

    def where(self, chosen: Flags | Integers) -> Sample:
        """Return some of the rows, or all in another order; groups stay what they are."""
        return Sample(self.group[chosen], self.current[chosen], self.day[chosen], self.value[chosen], self.groups)


class Windows(NamedTuple):
    """A figure of each group for the reference and the current window."""

    reference: Floats
    current: Floats


def sizes(sample: Sample) -> Windows:
    """Return how many observations each window of each group has."""
    return Windows(*(count_of(sample.group[chosen], sample.groups) for chosen in (~sample.current, sample.current)))


def means(sample: Sample) -> Windows:
    """Return the mean of each window of each group; NaN for an empty one."""
    return moments(sample)[0]


def deviations(sample: Sample) -> Windows:
    """Return the standard deviation (of a population) of each window of each group; NaN for an empty one."""
    return moments(sample)[1]


def moments(sample: Sample) -> tuple[Windows, Windows]:
    """Return means and standard deviations, each taken about the window's own mean."""
    window = sample.group * 2 + sample.current
    cells = 2 * sample.groups
    counts = np.bincount(window, minlength=cells)
    with np.errstate(invalid="ignore"):
        mean = np.bincount(window, sample.value, cells) / counts
        squares = np.bincount(window, (sample.value - mean[window]) ** 2, cells) / counts
    return Windows(mean[0::2], mean[1::2]), Windows(np.sqrt(squares[0::2]), np.sqrt(squares[1::2]))


def ranks_of(rows: Sample) -> Floats:
    """Return the rank of each of the rows, sorted by value, in its group but for a constant; ties share theirs."""
    if not len(rows.group):
        return np.zeros(0)
    new_run = np.append(True, (rows.group[1:] != rows.group[:-1]) | (rows.value[1:] != rows.value[:-1]))
    run_starts = np.flatnonzero(new_run)
    run_ends = np.append(run_starts[1:], len(rows.group)) - 1
    return np.asarray(((run_starts + run_ends) / 2)[np.cumsum(new_run) - 1])


def centred_ranks(rows: Sample) -> Floats:
    """Return each observation's rank in its group less the mean of its window."""
    ranks = ranks_of(rows)
    window = rows.group * 2 + rows.current
    return np.asarray(ranks - window_means(window, ranks, rows.groups).ravel()[window])


def window_means(window: Integers, values: Floats, groups: int) -> Floats:
    """Return the mean of each group's reference and current window; NaN for an empty one."""
    with np.errstate(invalid="ignore"):
        means = np.bincount(window, values, 2 * groups) / np.bincount(window, minlength=2 * groups)
    return np.asarray(means.reshape(groups, 2))


def count_of(group: Integers, groups: int) -> Floats:
    """Return how many rows each group has."""
    return np.bincount(group, minlength=groups).astype(np.float64)
