"""Periods as people write them: months and half-open ranges in UTC, everything else refused with a hint."""

from __future__ import annotations

import pytest

from gpuledger.accounting.periods import iso, month_of, parse_instant, parse_period, period_before, require_hours
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.zones import find_zone

NOVEMBER_US = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z


def test_a_month_is_from_its_first_day_to_the_next_ones() -> None:
    """`2026-11` is thirty days; December ends with the year."""
    assert parse_period("2026-11") == (NOVEMBER_US, NOVEMBER_US + 30 * US_PER_DAY, "2026-11", "UTC")
    assert iso(parse_period("2026-12").end_us) == "2027-01-01T00:00:00Z"
    assert parse_period("2024-02").interval.length_us == 29 * US_PER_DAY


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("2026-11-01..2026-11-08", "2026-11-01T00:00:00Z", "2026-11-08T00:00:00Z"),
        ("2026-11-01T06..2026-11-01T18", "2026-11-01T06:00:00Z", "2026-11-01T18:00:00Z"),
        ("2026-11-01T06:30Z..2026-11-01T06:30:00.5Z", "2026-11-01T06:30:00Z", "2026-11-01T06:30:00.500000Z"),
        (" 2026-11-01 06:00 .. 2026-11-02T00:00:00+00:00 ", "2026-11-01T06:00:00Z", "2026-11-02T00:00:00Z"),
    ],
)
def test_a_range_is_half_open_and_in_utc(text: str, start: str, end: str) -> None:
    """Dates, hours, minutes and fractions are taken as UTC; a zone of zero may be written out."""
    period = parse_period(text)
    assert (iso(period.start_us), iso(period.end_us)) == (start, end)
    assert period.label == text.strip()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a period"),
        ("november", "not a period"),
        ("2026", "not a period"),
        ("2026-13", "not a month"),
        ("2026-11-02..2026-11-01", "ends before or where it starts"),
        ("2026-11-01..2026-11-01", "ends before or where it starts"),
        ("2026-11-01..", "not an ISO 8601"),
        ("2026-11-31..2026-12-01", "not on the calendar"),
        ("2026-11-01T25..2026-12-01", "not on the calendar"),
        ("2026-11-01T00:00+02:00..2026-12-01", "not in UTC"),
        ("2026-W45..2026-W46", "not an ISO 8601"),
    ],
)
def test_what_is_no_period_is_refused_with_a_hint(text: str, says: str) -> None:
    """Bad input names itself and shows how to write it."""
    with pytest.raises(ConfigError, match=says) as caught:
        parse_period(text)
    assert caught.value.hint


def test_another_zone_comes_with_the_time_in_utc() -> None:
    """The hint of a time in another zone is the same time in UTC."""
    with pytest.raises(ConfigError) as caught:
        parse_instant("2026-11-01T00:00+02:00")
    assert "2026-10-31T22:00:00Z" in caught.value.hint


def test_charges_are_hourly() -> None:
    """A period off the hour is refused with the nearest one that is on it."""
    good = parse_period("2026-11-01T06..2026-11-01T07")
    assert require_hours(good) is good
    with pytest.raises(ConfigError, match="on the hour") as caught:
        require_hours(parse_period("2026-11-01T06:30..2026-11-01T07:10"))
    assert caught.value.hint == "ask for 2026-11-01T06:00:00Z..2026-11-01T08:00:00Z"


def test_an_instant_lies_in_its_month() -> None:
    """The first instant of a month belongs to it, the last microsecond before to the one before."""
    assert month_of(NOVEMBER_US).label == "2026-11"
    assert month_of(NOVEMBER_US - 1) == (NOVEMBER_US - 31 * US_PER_DAY, NOVEMBER_US, "2026-10", "UTC")
    assert month_of(NOVEMBER_US + US_PER_HOUR) == parse_period("2026-11")


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00+14:00", "1969-12-31", "2026-01-01..9999-12-31T23:30", "9999-01-01", "0001-01"]
)
def test_instants_off_the_calendar_are_refused_and_not_a_crash(text: str) -> None:
    """What lies outside of the years that can be counted is an error with a hint, whatever its zone."""
    with pytest.raises(ConfigError):
        require_hours(parse_period(text if ".." in text or len(text) == 7 else f"{text}..9998-01-01"))


@pytest.mark.parametrize(
    ("label", "before"),
    [
        ("2026-11", "2026-10"),
        ("2026-01", "2025-12"),
        ("2026-Q1", "2025-Q4"),
        ("2026-Q3", "2026-Q2"),
        ("2026-W45", "2026-W44"),
        ("2027-W01", "2026-W53"),
        ("2026-11-08..2026-11-10", "2026-11-06T00:00:00Z..2026-11-08T00:00:00Z"),
    ],
)
def test_the_period_before_is_of_the_same_kind(label: str, before: str) -> None:
    """A month follows a month; hours follow as many hours; both end where the other begins."""
    period = parse_period(label)
    found = period_before(period)
    assert (found.label, found.end_us) == (before, period.start_us)
    assert found.interval == parse_period(before).interval


def test_the_month_before_is_by_the_days_of_the_zone() -> None:
    """The end of one month in Berlin is the beginning of the next, in winter and in summer time."""
    november = parse_period("2026-11", find_zone("Europe/Berlin"))
    found = period_before(november, find_zone("Europe/Berlin"))
    assert (found.end_us, found.zone) == (november.start_us, "Europe/Berlin")
