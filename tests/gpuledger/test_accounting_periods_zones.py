"""Periods of a zone: its months, whatever its clocks do, in whole hours of UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.periods import day_of, from_us, iso, month_of, parse_instant, parse_period
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.zones import find_zone, require_whole_hours

BERLIN = find_zone("Europe/Berlin")
WHOLE = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Tokyo",
    "Pacific/Auckland",
    "Africa/Cairo",
)


@pytest.mark.parametrize(
    ("label", "hours"), [("2026-03", 743), ("2026-10", 745), ("2026-11", 720), ("2026-Q1", 2159), ("2026-W43", 169)]
)
def test_a_period_in_which_clocks_change_has_an_hour_more_or_less(label: str, hours: int) -> None:
    """March loses an hour in Berlin, October has one twice."""
    period = parse_period(label, BERLIN)
    assert period.interval.length_us == hours * US_PER_HOUR
    assert (period.label, period.zone) == (label, "Europe/Berlin")


def test_a_month_begins_at_midnight_of_its_zone() -> None:
    """Its bounds are UTC: two hours before UTC's midnight in summer, one in winter."""
    period = parse_period("2026-10", BERLIN)
    assert (iso(period.start_us), iso(period.end_us)) == ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z")
    assert month_of(period.end_us - 1, BERLIN) == period
    assert month_of(period.end_us, BERLIN).label == "2026-11"


@pytest.mark.parametrize(
    ("label", "start", "end"),
    [
        ("2026-Q4", "2026-10-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("2026-W01", "2025-12-29T00:00:00Z", "2026-01-05T00:00:00Z"),
        ("2026-W53", "2026-12-28T00:00:00Z", "2027-01-04T00:00:00Z"),
    ],
)
def test_quarters_and_weeks_are_those_of_iso_8601(label: str, start: str, end: str) -> None:
    """A week begins on Monday, and may begin in the year before."""
    period = parse_period(label)
    assert (iso(period.start_us), iso(period.end_us)) == (start, end)


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ("2026-Q5", "not a quarter"),
        ("2026-Q0", "not a quarter"),
        ("2025-W53", "not a week"),
        ("2026-W00", "not a week"),
    ],
)
def test_what_is_no_quarter_or_week_is_refused(label: str, words: str) -> None:
    """2025 has 52 weeks."""
    with pytest.raises(ConfigError, match=words):
        parse_period(label)


def test_times_are_of_the_zone_unless_they_end_in_z() -> None:
    """A date is that day's midnight there."""
    assert iso(parse_instant("2026-07-01T06:00", BERLIN)) == "2026-07-01T04:00:00Z"
    assert iso(parse_instant("2026-07-01", BERLIN)) == "2026-06-30T22:00:00Z"
    assert iso(parse_instant("2026-07-01T06:00Z", BERLIN)) == "2026-07-01T06:00:00Z"


@pytest.mark.parametrize(("text", "how"), [("2026-10-25T02:30", "twice"), ("2026-03-29T02:30", "never")])
def test_a_time_that_clocks_show_twice_or_never_is_refused_with_both(text: str, how: str) -> None:
    """Which of them was meant is nobody's guess; the hint has both in UTC."""
    with pytest.raises(ConfigError, match=how) as caught:
        parse_instant(text, BERLIN)
    day = text[:10]
    assert f"{day}T00:30:00Z" in caught.value.hint
    assert f"{day}T01:30:00Z" in caught.value.hint


def test_a_day_whose_midnight_clocks_skip_begins_when_they_do() -> None:
    """In Cairo the 24th of April 2026 begins at one o'clock; the days before and after meet without a gap."""
    cairo = find_zone("Africa/Cairo")
    day = parse_period("2026-04-24..2026-04-25", cairo)
    assert day.interval.length_us == 23 * US_PER_HOUR
    assert parse_period("2026-04-23..2026-04-24", cairo).end_us == day.start_us


@pytest.mark.parametrize("name", ["Asia/Kolkata", "Australia/Adelaide"])
def test_a_zone_within_an_hour_of_utc_is_refused(name: str) -> None:
    """Charges are hourly in UTC: its month begins in the middle of one."""
    with pytest.raises(ConfigError, match="charges are hourly") as caught:
        require_whole_hours(name, datetime(2026, 11, 1, tzinfo=UTC))
    assert caught.value.hint
    with pytest.raises(ConfigError, match="charges are hourly"):
        parse_period("2026-10", ZoneInfo(name))


def test_a_zone_is_judged_by_the_time_asked_for() -> None:
    """Pyongyang was half an hour off from 2015 to 2018: those months cannot be billed, today's can."""
    zone = require_whole_hours("Asia/Pyongyang", datetime(2026, 11, 1, tzinfo=UTC))
    assert parse_period("2026-10", zone).interval.length_us == 31 * US_PER_DAY
    with pytest.raises(ConfigError, match="charges are hourly"):
        parse_period("2016-10", zone)


@pytest.mark.parametrize("name", ["Europa/Berlin", "", "../../etc/passwd", "/etc/localtime", "localtime", "Europe"])
def test_a_zone_that_is_none_is_refused_with_a_hint(name: str) -> None:
    """Neither a path nor whatever this machine calls its own is one."""
    with pytest.raises(ConfigError, match="no time zone") as caught:
        find_zone(name)
    assert caught.value.hint


def test_a_zone_that_is_mistyped_gets_the_nearest_name() -> None:
    """Europa is how many write it."""
    with pytest.raises(ConfigError) as caught:
        find_zone("Europa/Berlin")
    assert caught.value.hint == 'did you mean "Europe/Berlin"?'


@given(st.sampled_from(WHOLE), st.integers(946_684_800_000_000, 2_143_238_400_000_000))
def test_months_of_a_zone_follow_each_other_without_a_gap(name: str, at_us: int) -> None:
    """Every instant lies in exactly one month and one day, which are what clocks there show."""
    zone = find_zone(name)
    month = month_of(at_us, zone)
    assert month.start_us <= at_us < month.end_us
    assert month == parse_period(month.label, zone)
    assert month_of(month.end_us, zone).start_us == month.end_us
    assert month.label == f"{from_us(at_us).astimezone(zone):%Y-%m}"
    assert month.start_us <= day_of(at_us, zone) <= at_us < day_of(at_us, zone) + 25 * US_PER_HOUR
