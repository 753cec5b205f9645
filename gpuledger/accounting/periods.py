"""Periods: `YYYY-MM` or `FROM..TO`, half-open and in UTC, as commands and requests write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError

HINT: Final = (
    "write a month such as 2026-11, or FROM..TO such as 2026-11-01..2026-11-08 or"
    " 2026-11-01T06:00..2026-11-01T18:00 (UTC; TO itself is not included)"
)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998  # what follows it is on the calendar too
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MONTH: Final = re.compile(r"(\d{4})-(\d{2})")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}:?\d{2})?)?")


class Period(NamedTuple):
    """`[start_us, end_us)` and the words that asked for it."""

    start_us: int
    end_us: int
    label: str

    @property
    def interval(self) -> Interval:
        """Return the period without its label."""
        return Interval(self.start_us, self.end_us)


def parse_period(text: str) -> Period:
    """Return the period that `text` names; raises ConfigError with a hint where it names none."""
    words = text.strip()
    month = _MONTH.fullmatch(words)
    if month:
        return _month(int(month[1]), int(month[2]), words)
    start, separator, end = words.partition("..")
    if not separator:
        raise ConfigError(f'"{text}" is not a period', hint=HINT)
    start_us, end_us = parse_instant(start), parse_instant(end)
    if end_us <= start_us:
        raise ConfigError(f'the period "{words}" ends before or where it starts', hint=HINT)
    return Period(start_us, end_us, words)


def parse_instant(text: str) -> int:
    """Return the instant of an ISO 8601 date or time in UTC; raises ConfigError where it is something else."""
    words = text.strip()
    if not _INSTANT.fullmatch(words):
        raise ConfigError(f'"{text}" is not an ISO 8601 date or time', hint=HINT)
    try:
        found = datetime.fromisoformat(words)
    except ValueError as error:
        raise ConfigError(f'"{text}" is not on the calendar: {error}', hint=HINT) from error
    if not _FIRST_YEAR <= found.year <= _LAST_YEAR:
        raise ConfigError(f'"{text}" is not between {_FIRST_YEAR} and {_LAST_YEAR}', hint=HINT)
    if found.utcoffset():
        raise ConfigError(f'"{text}" is not in UTC', hint=f"write it in UTC: {iso(to_us(found))}")
    return to_us(found)


def to_us(instant: datetime) -> int:
    """Return a datetime (without a zone: UTC) in microseconds since the epoch."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def iso(at_us: int) -> str:
    """Return an instant as `2026-11-01T00:00:00Z`, with a fraction only where there is one."""
    text = (_EPOCH + timedelta(microseconds=at_us)).isoformat().removesuffix("+00:00")
    return f"{text}Z"


def month_of(at_us: int) -> Period:
    """Return the calendar month in which `at_us` lies."""
    at = _EPOCH + timedelta(microseconds=at_us)
    return _month(at.year, at.month, f"{at.year:04d}-{at.month:02d}")


def require_hours(period: Period) -> Period:
    """Return `period` where it starts and ends on the hour; raises ConfigError where not: charges are hourly."""
    if period.start_us % US_PER_HOUR or period.end_us % US_PER_HOUR:
        start_us = period.start_us // US_PER_HOUR * US_PER_HOUR
        end_us = -(-period.end_us // US_PER_HOUR) * US_PER_HOUR
        raise ConfigError(
            f'the period "{period.label}" does not start and end on the hour, and charges are hourly',
            hint=f"ask for {iso(start_us)}..{iso(end_us)}",
        )
    return period


def _month(year: int, month: int, label: str) -> Period:
    if not (1 <= month <= 12 and _FIRST_YEAR <= year <= _LAST_YEAR):
        raise ConfigError(f'"{label}" is not a month', hint=HINT)
    end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    return Period(to_us(datetime(year, month, 1, tzinfo=UTC)), to_us(end), label)
