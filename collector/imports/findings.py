"""What reading a job log turned up besides jobs: entries left out and why, lines with a problem, the log's horizon."""

from __future__ import annotations

from collections import Counter
from typing import Final, NamedTuple

from collector.imports.jobs import LATEST_US

MAX_PROBLEMS: Final = 10_000  # kept in full; what comes after is counted


class Problem(NamedTuple):
    """One line (or entry) of a log and what is wrong with it; `line` is 0 where it is about the whole import."""

    line: int
    reason: str


class Findings:
    """Grows while a log is read: nothing that the log holds is passed over without a count or a reason."""

    def __init__(self) -> None:
        self.skipped: Counter[str] = Counter()
        self.problems: list[Problem] = []
        self.problem_count = 0
        self.latest_us: int | None = None

    def skip(self, reason: str, count: int = 1) -> None:
        """Count entries that hold no GPU time of their own."""
        if count:
            self.skipped[reason] += count

    def problem(self, line: int, reason: str) -> None:
        """Report a line; the import goes on."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(line, reason))

    def saw(self, *instants_us: int | None) -> None:
        """Remember the latest instant that the log gives evidence of: jobs that had not ended are booked up to it.

        An instant that no job can have seen is no evidence.
        """
        for at_us in instants_us:
            if at_us is not None and at_us < LATEST_US and (self.latest_us is None or at_us > self.latest_us):
                self.latest_us = at_us
