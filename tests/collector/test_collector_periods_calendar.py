"""The billing calendar: whose midnight begins a month, how long late data is waited for, and what a change leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ledger.calendar import Calendar, CalendarChange
from collector.ledger.store import Ledger, LedgerOptions
from collector.periods.closing import PeriodError, close_period
from collector.periods.verifying import verify_period
from collector.queries.billing import PeriodRow, invoice, invoices, periods
from collector.queries.timeline import timeline
from collector.rating import rate_dirty
from gpuledger.accounting.periods import parse_instant, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from gpuledger.model import Event, UsageRecord
from tests.collector.batches import device, frame, holder, records
from tests.collector.fleet import owners, prices

HOUR = US_PER_HOUR
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "1"\n'
FROM_US = parse_instant("2026-09-30T20:00Z")  # two hours before October begins in Berlin
UNTIL_US = parse_instant("2026-11-01T02:00Z")
OCTOBER = ("2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z")


def hourly(start_us: int, end_us: int, who: str | None, key: str = "GPU-0001") -> list[UsageRecord]:
    """Return one record an hour: a month of minutes would be long."""
    return records(key, start_us, end_us, who, step_us=HOUR)


@pytest.fixture
def clock() -> VirtualClock:
    """Give a clock that stands in the first hours of November."""
    return VirtualClock(UNTIL_US)


@pytest.fixture
def ledger(tmp_path: Path, clock: VirtualClock) -> Iterator[Ledger]:
    """Give a ledger billed in Berlin, with one GPU that is held all October and a little before and after."""
    options = LedgerOptions(calendar=CalendarChange("Europe/Berlin"))
    with Ledger.open(tmp_path, clock=clock, options=options) as found:
        usage = hourly(FROM_US, UNTIL_US, "pod:uid-1/c")
        assert found.ingest([frame(0, usage, devices=[device(1)], holders=[holder(1)])])[0].taken
        prices(found, BOOK)
        owners(found, '[[owner]]\nteam = "vision"\nmatch.namespace = "*"\n')
        rate_dirty(found)
        yield found


def row(ledger: Ledger, label: str) -> PeriodRow:
    [found] = [each for each in periods(ledger).rows if each.label == label]
    return found


def close(ledger: Ledger, label: str, **options: str) -> None:
    close_period(ledger, parse_period(label, ledger.calendar.days), **{"closed_by": "ann", **options})


def test_a_month_is_that_of_the_zone(ledger: Ledger) -> None:
    """October has 745 hours in Berlin, is listed and billed as such, and its invoice names the zone."""
    assert [(each.label, each.zone) for each in periods(ledger).rows] == [
        ("2026-09", "Europe/Berlin"),
        ("2026-10", "Europe/Berlin"),
        ("2026-11", "Europe/Berlin"),
    ]
    found = row(ledger, "2026-10")
    assert (found.from_, found.to, found.cost) == (*OCTOBER, "745.00")
    close(ledger, "2026-09")
    close(ledger, "2026-10")
    document = invoice(ledger, number=2)
    assert (document.invoice.payable, document.invoice.zone) == ("745.00", "Europe/Berlin")
    assert (document.period.from_, document.period.to, document.period.zone) == (*OCTOBER, "Europe/Berlin")
    assert verify_period(ledger, parse_period("2026-10", ledger.calendar.days)).ok


def test_days_are_those_of_the_zone(ledger: Ledger) -> None:
    """31 days, of which the one in which clocks go back has 25 hours."""
    answer = timeline(ledger, parse_period("2026-10", ledger.calendar.days), grain="day")
    assert len(answer.rows) == 31
    assert [each.at for each in answer.rows if each.gpu_hours != 24] == ["2026-10-24T22:00:00Z"]
    assert (answer.rows[0].at, max(each.gpu_hours for each in answer.rows)) == (OCTOBER[0], 25)


@pytest.mark.parametrize(
    ("zone", "left"),
    [
        ("UTC", [("2026-10-31T23:00:00Z..2026-11-01T00:00:00Z", "1.00"), ("2026-11", "2.00")]),
        ("America/New_York", [("2026-10-31T23:00:00Z..2026-11-01T04:00:00Z", "3.00")]),
        ("Asia/Tokyo", [("2026-10-31T23:00:00Z..2026-11-30T15:00:00Z", "3.00")]),
    ],
)
def test_another_zone_moves_no_closed_period(
    ledger: Ledger, tmp_path: Path, zone: str, left: list[tuple[str, str]]
) -> None:
    """What is closed stays; what is open is cut by the new days, and nothing is billed twice or left out."""
    close(ledger, "2026-09")
    close(ledger, "2026-10")
    before = [each for each in periods(ledger).rows if each.state == "closed"], invoices(ledger)
    ledger.change_calendar(CalendarChange(zone=zone))
    rows = periods(ledger).rows
    assert ([each for each in rows if each.state == "closed"], invoices(ledger)) == before
    assert [(each.label, each.cost) for each in rows if each.state != "closed"] == left
    if zone == "UTC":  # its October begins later than the one that is closed
        with pytest.raises(PeriodError, match="2026-10 is closed since"):
            close(ledger, "2026-10")


def test_the_same_words_in_another_zone_name_one_bill_only(ledger: Ledger) -> None:
    """An hour of Berlin and the hour that New York calls so are two; the second to close is called by its time in UTC."""
    hour = "2026-09-30T22:00..2026-09-30T23:00"
    close(ledger, hour)
    ledger.change_calendar(CalendarChange(zone="America/New_York"))
    close(ledger, "2026-09-30T21:00Z..2026-10-01T02:00Z")
    with pytest.raises(PeriodError, match=r"20:00:00Z\.\.2026-09-30T21:00:00Z was closed as") as raised:
        close(ledger, hour)
    assert "2026-10-01T02:00:00Z..2026-10-01T03:00:00Z" in raised.value.hint
    close(ledger, raised.value.hint.rpartition(" ")[2])


def test_late_data_is_waited_for(ledger: Ledger, clock: VirtualClock) -> None:
    """Until the grace is over a period closes with an exception only, which says so; then it is clean."""
    ledger.change_calendar(CalendarChange(grace_hours=72))
    close(ledger, "2026-09")
    until = "2026-11-03T23:00:00Z"
    assert (row(ledger, "2026-10").state, row(ledger, "2026-10").late_until) == ("closing", until)
    with pytest.raises(PeriodError, match=f"late data is waited for until {until}"):
        close(ledger, "2026-10")
    clock.advance_to(parse_instant(until) - 1)
    with pytest.raises(PeriodError, match="late data"):
        close(ledger, "2026-10")
    clock.advance_to(parse_instant(until))
    assert row(ledger, "2026-10").late_until is None
    close(ledger, "2026-10")
    assert row(ledger, "2026-10").exception == ""


def test_an_exception_says_that_late_data_was_not_waited_for(ledger: Ledger) -> None:
    """Who closes early says why; it stands on the period."""
    ledger.change_calendar(CalendarChange(grace_hours=72))
    close(ledger, "2026-09")
    close(ledger, "2026-10", exception="the year ends, agreed with Ann")
    assert row(ledger, "2026-10").exception == (
        "the year ends, agreed with Ann; late data is waited for until 2026-11-03T23:00:00Z"
    )


def test_a_hole_is_named_by_what_is_open_of_its_month(ledger: Ledger) -> None:
    """Between closed periods, and before the one that was asked for, in the labels that the list shows."""
    close(ledger, "2026-09")
    with pytest.raises(PeriodError) as caught:
        close(ledger, "2026-10-15..2026-11-01")
    assert caught.value.hint.endswith(" close 2026-09-30T22:00:00Z..2026-10-14T22:00:00Z")
    with pytest.raises(PeriodError) as caught:
        close(ledger, "2026-11")
    assert caught.value.hint.endswith(" close 2026-10")


def test_the_ledger_keeps_its_calendar(tmp_path: Path, clock: VirtualClock) -> None:
    """Whoever opens it means the same month; only what somebody sets is changed."""
    with Ledger.open(tmp_path, clock=clock) as ledger:
        assert ledger.calendar == Calendar("UTC", 0)
        ledger.change_calendar(CalendarChange("Europe/Berlin", 48))
    with Ledger.open(tmp_path, clock=clock, options=LedgerOptions(calendar=CalendarChange(grace_hours=24))) as ledger:
        assert ledger.calendar == ("Europe/Berlin", 24)
    with Ledger.open(tmp_path, read_only=True) as ledger:
        assert ledger.calendar == ("Europe/Berlin", 24)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (CalendarChange("Asia/Kolkata"), "charges are hourly"),
        (CalendarChange("Europa/Berlin"), "no time zone"),
        (CalendarChange(grace_hours=-1), "cannot be waited for"),
    ],
)
def test_a_calendar_that_cannot_be_followed_is_refused(ledger: Ledger, change: CalendarChange, words: str) -> None:
    """Nothing of it is kept."""
    with pytest.raises(ConfigError, match=words):
        ledger.change_calendar(change)
    assert ledger.calendar == ("Europe/Berlin", 0)


def test_data_older_than_the_first_closed_period_is_billed_apart(ledger: Ledger) -> None:
    """The next close says with which command, and that is all it takes; the late hours keep their time."""
    close(ledger, "2026-09")
    start_us = parse_instant("2026-08-15")
    usage = hourly(start_us, start_us + HOUR, "pod:uid-1/c", "GPU-0002")
    gone = Event(start_us + HOUR, "device_retired", "info", device="GPU-0002")
    older = frame(1, usage, devices=[device(2)], holders=[holder(1)], events=[gone])
    assert ledger.ingest([older])[0].taken
    with pytest.raises(PeriodError, match="2026-08-15T00:00:00Z on, before 2026-10, are still open") as caught:
        close(ledger, "2026-10")
    command, _, label = caught.value.hint.rpartition(" ")
    assert (command, label) == ("close them first: gpuledger period close", "2026-08")
    close(ledger, label)
    close(ledger, "2026-10")
    assert [(each.period, each.payable) for each in invoices(ledger).rows] == [
        ("2026-09", "2.00"),
        (label, "1.00"),
        ("2026-10", "745.00"),
    ]
    assert verify_period(ledger, parse_period(label, ledger.calendar.days)).ok
