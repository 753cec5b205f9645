"""What an import did, for people and for scripts."""

from __future__ import annotations

from collections import Counter

import msgspec

from collector.imports.findings import MAX_PROBLEMS, Findings, Problem
from collector.imports.payload import Applied
from gpuledger.accounting.units import US_PER_SECOND


class ImportReport(msgspec.Struct, frozen=True):
    """The whole of one import.

    `jobs` counts the records of the log that held GPUs (new + extended + unchanged + conflicts); `rows`, `gpu_seconds`
    and `gpu_seconds_by_team` are what this import booked, so that they are zero where a log is read again. `open` jobs
    had not ended. `problem_count` counts all problems, `problems` lists the first of them.
    """

    source: str
    import_id: str
    jobs: int
    new: int
    extended: int
    unchanged: int
    conflicts: int
    open: int
    rows: int
    gpu_seconds: int | float
    gpu_seconds_by_team: dict[str, int | float]
    booked_until_us: int | None
    skipped: dict[str, int]
    problems: tuple[Problem, ...]
    problem_count: int


class Tally:
    """Adds up what became of the chunks of a log."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._teams: Counter[str] = Counter()
        self._problems: list[Problem] = []

    def add(self, applied: Applied) -> None:
        """Add one chunk."""
        for name in ("new", "extended", "unchanged", "conflicts", "open", "rows", "gpu_us"):
            self._counts[name] += getattr(applied, name)
        self._teams.update(applied.gpu_us_by_team)
        self._problems.extend(applied.problems)

    def report(self, source: str, import_id: str, findings: Findings, horizon_us: int | None) -> ImportReport:
        """Return the report once the log is read to its end."""
        counts = self._counts
        problems = sorted([*findings.problems, *self._problems])
        return ImportReport(
            source=source,
            import_id=import_id,
            jobs=sum(counts[name] for name in ("new", "extended", "unchanged", "conflicts")),
            new=counts["new"],
            extended=counts["extended"],
            unchanged=counts["unchanged"],
            conflicts=counts["conflicts"],
            open=counts["open"],
            rows=counts["rows"],
            gpu_seconds=seconds(counts["gpu_us"]),
            gpu_seconds_by_team={team: seconds(self._teams[team]) for team in sorted(self._teams)},
            booked_until_us=horizon_us,
            skipped=dict(sorted(findings.skipped.items())),
            problems=tuple(problems[:MAX_PROBLEMS]),
            problem_count=findings.problem_count + len(self._problems),
        )


def seconds(duration_us: int) -> int | float:
    """Return whole seconds as an integer, others to the microsecond."""
    whole, rest = divmod(duration_us, US_PER_SECOND)
    return whole if not rest else duration_us / US_PER_SECOND
