"""Quiet hours: between two times of the day, by the clocks of a zone, nobody is told anything."""

from __future__ import annotations

from datetime import date, datetime, timedelta, tzinfo
from typing import NamedTuple

from gpuledger.accounting.periods import from_us, to_us

_DAY_MINUTES = 1_440


class QuietHours(NamedTuple):
    """From a minute of the day until another, which is on the next day where it is not later."""

    from_minute: int
    to_minute: int
    zone: str = "UTC"


def quiet_until(quiet: QuietHours, at_us: int, zone: tzinfo) -> int | None:
    """Return when the quiet hours end that `at_us` lies in; None where it lies in none. `zone` is that of `quiet`."""
    today = from_us(at_us).astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        start_us = _at(day, quiet.from_minute, zone)
        overnight = quiet.to_minute <= quiet.from_minute
        end_us = _at(day + timedelta(days=1) if overnight else day, quiet.to_minute, zone)
        if start_us <= at_us < end_us:
            return end_us
    return None


def _at(day: date, minute: int, zone: tzinfo) -> int:
    hour, rest = divmod(minute % _DAY_MINUTES, 60)
    return to_us(datetime(day.year, day.month, day.day, hour, rest, tzinfo=zone))
