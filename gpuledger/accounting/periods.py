"""Periods as commands and requests write them: `2026-10`, `2026-Q4`, `2026-W45` or `FROM..TO`, half-open.

Days begin at midnight of a zone, which is the caller's to give; what comes out is UTC. A month in which clocks change
has an hour more or less than its days.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, NamedTuple

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError

HINT: Final = (
    "write a month, quarter or week such as 2026-11, 2026-Q4 or 2026-W45, or FROM..TO such as 2026-11-01..2026-11-08 or"
    " 2026-11-01T06:00Z..2026-11-01T18:00Z (TO itself is not included)"
)
_FIRST_YEAR: Final = 1970
_LAST_YEAR: Final = 9998  # what follows it is on the calendar too
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CUT: Final = re.compile(r"(?P<year>\d{4})-((?P<month>\d{2})|Q(?P<quarter>\d)|W(?P<week>\d{2}))", re.ASCII)
_INSTANT_OF_DAY: Final = re.compile(r"[T ]")
_INSTANT: Final = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}(:\d{2}(:\d{2}(\.\d{1,6})?)?)?(Z|[+-]\d{2}:?\d{2})?)?")


class Period(NamedTuple):
    """`[start_us, end_us)` in UTC, the words that asked for it, and the zone whose days they mean."""

    start_us: int
    end_us: int
    label: str
    zone: str = "UTC"

    @property
    def interval(self) -> Interval:
        """Return the period without its label."""
        return Interval(self.start_us, self.end_us)


def parse_period(text: str, zone: tzinfo = UTC) -> Period:
    """Return the period that `text` names by the days of `zone`; raises ConfigError with a hint where it names none.

    A time in FROM..TO is the zone's too, unless it ends in `Z`.
    """
    words = text.strip()
    cut = _CUT.fullmatch(words)
    if cut:
        return _cut(*_days(cut, words), words, zone)
    start, separator, end = words.partition("..")
    if not separator:
        raise ConfigError(f'"{text}" is not a period', hint=HINT)
    start_us, end_us = parse_instant(start, zone), parse_instant(end, zone)
    if end_us <= start_us:
        raise ConfigError(f'the period "{words}" ends before or where it starts', hint=HINT)
    return Period(start_us, end_us, words, str(zone))


def parse_instant(text: str, zone: tzinfo = UTC) -> int:
    """Return the instant of an ISO 8601 date or time of `zone`, or in UTC where it ends in `Z`.

    Raises ConfigError where it is something else, has another offset, or clocks show it never or twice.
    """
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
    if found.tzinfo:
        return to_us(found)
    if _INSTANT_OF_DAY.search(words):
        return _once(found, text, zone)
    return _midnight(found.date(), zone)


def to_us(instant: datetime) -> int:
    """Return a datetime (without a zone: UTC) in microseconds since the epoch."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def from_us(at_us: int) -> datetime:
    """Return microseconds since the epoch as a datetime in UTC."""
    return _EPOCH + timedelta(microseconds=at_us)


def iso(at_us: int) -> str:
    """Return an instant as `2026-11-01T00:00:00Z`, with a fraction only where there is one."""
    text = from_us(at_us).isoformat().removesuffix("+00:00")
    return f"{text}Z"


def month_of(at_us: int, zone: tzinfo = UTC) -> Period:
    """Return the calendar month of `zone` in which `at_us` lies."""
    first = from_us(at_us).astimezone(zone).date().replace(day=1)
    return _cut(first, _months_after(first, 1), f"{first:%Y-%m}", zone)


def period_before(period: Period, zone: tzinfo = UTC) -> Period:
    """Return the month, quarter or week before one that is called so; before any other, as many hours as it has."""
    cut = _CUT.fullmatch(period.label)
    if not cut:
        start_us = period.start_us - (period.end_us - period.start_us)
        return Period(start_us, period.start_us, f"{iso(start_us)}..{iso(period.start_us)}", period.zone)
    first, _ = _days(cut, period.label)
    last = first - timedelta(days=1)
    year, week, _ = last.isocalendar()
    if cut["week"]:
        return parse_period(f"{year}-W{week:02d}", zone)
    return parse_period(f"{last:%Y-%m}" if cut["month"] else f"{last.year}-Q{(last.month + 2) // 3}", zone)


def day_of(at_us: int, zone: tzinfo = UTC) -> int:
    """Return when the day of `zone` began in which `at_us` lies."""
    return _midnight(from_us(at_us).astimezone(zone).date(), zone)


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


def _days(cut: re.Match[str], label: str) -> tuple[date, date]:
    """Return the first day of a month, quarter or week (of ISO 8601), and the first one after it."""
    year, month, quarter, week = (int(cut[name]) if cut[name] else 0 for name in ("year", "month", "quarter", "week"))
    if not _FIRST_YEAR <= year <= _LAST_YEAR:
        raise ConfigError(f'"{label}" is not between {_FIRST_YEAR} and {_LAST_YEAR}', hint=HINT)
    try:
        if cut["week"]:
            first = date.fromisocalendar(year, week, 1)
            return first, first + timedelta(weeks=1)
        first = date(year, month if cut["month"] else 3 * quarter - 2, 1)
    except ValueError as error:
        kind = "week" if cut["week"] else "quarter" if cut["quarter"] else "month"
        raise ConfigError(f'"{label}" is not a {kind}', hint=HINT) from error
    return first, _months_after(first, 1 if cut["month"] else 3)


def _cut(first: date, after: date, label: str, zone: tzinfo) -> Period:
    """Return the days `[first, after)` of a zone. Raises ConfigError where they begin or end off the hour in UTC."""
    found = Period(_midnight(first, zone), _midnight(after, zone), label, str(zone))
    for at_us in (found.start_us, found.end_us):
        if at_us % US_PER_HOUR:
            raise ConfigError(
                f"{label} in {zone} begins or ends at {iso(at_us)}, and charges are hourly in UTC",
                hint="bill in a zone that is whole hours from UTC",
            )
    return found


def _months_after(first: date, count: int) -> date:
    months = first.month - 1 + count
    return date(first.year + months // 12, months % 12 + 1, 1)


def _midnight(day: date, zone: tzinfo) -> int:
    """Return when a day begins: where clocks skip midnight, when they do; where they show it twice, the first time."""
    return to_us(datetime(day.year, day.month, day.day, tzinfo=zone))


def _once(found: datetime, text: str, zone: tzinfo) -> int:
    """Return the one instant at which clocks of `zone` show `found`."""
    first, second = (to_us(found.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first != second:
        how = "never" if first > second else "twice"
        raise ConfigError(
            f'clocks in {zone} show "{text}" {how}', hint=f"write it in UTC: {iso(first)} or {iso(second)}"
        )
    return first
