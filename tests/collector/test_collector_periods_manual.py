"""Adjustments that people enter: on one bill, once; and prices for time that was closed without one, once an hour."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.periods.closing import CloseReport, close_period
from collector.periods.entries import EntryError
from collector.periods.late_prices import price_closed
from collector.periods.manual import add_adjustment, withdraw_adjustment
from collector.queries.adjustments import AdjustmentRow, adjustments
from collector.queries.billing import invoices, periods
from collector.queries.charge_id import parse_charge_id
from collector.queries.entered import entered
from collector.queries.explain import explain
from collector.queries.facts import charges
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso, month_of, parse_period
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import ConfigError
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

HOUR = US_PER_HOUR
FIRST = Period(START_US, START_US + 2 * HOUR, f"{iso(START_US)}..{iso(START_US + 2 * HOUR)}")
SECOND = Period(START_US + 2 * HOUR, START_US + 4 * HOUR, f"{iso(START_US + 2 * HOUR)}..{iso(START_US + 4 * HOUR)}")
THIRD = Period(START_US + 4 * HOUR, START_US + 6 * HOUR, f"{iso(START_US + 4 * HOUR)}..{iso(START_US + 6 * HOUR)}")
ALL = Period(START_US, THIRD.end_us, "all")
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n'
UNPRICED = BOOK.replace('"*"', '"A100"')
OWNERS = "".join(
    f'[[owner]]\norganisation = "acme"\nteam = "{team}"\nproject = "p"\nmatch.namespace = "{space}"\n'
    for team, space in (("vision", "team-1"), ("speech", "team-2"))
)
VISION, SPEECH = "pod:uid-1/c", "pod:uid-2/c"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give six hours: vision holds GPU 1, GPU 2 is free and silent in the second half of the second hour."""
    with open_ledger(tmp_path) as found:
        silent = (START_US + HOUR + HOUR // 2, START_US + 2 * HOUR)
        usage = [
            *records("GPU-0001", START_US, ALL.end_us, VISION),
            *(each for each in records("GPU-0002", *ALL.interval) if not silent[0] <= each.start_us < silent[1]),
        ]
        assert found.ingest([frame(0, usage)])[0].taken
        prices(found, BOOK)
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


def close(ledger: Ledger, period: Period, exception: str = "") -> CloseReport:
    return close_period(ledger, period, closed_by="ann", exception=exception)


def add(ledger: Ledger, **options: str) -> int:
    given = {"owner": "vision", "amount": "-12.50", "currency": "EUR", "by": "ann", "why": "agreed in OPS-7"}
    return add_adjustment(ledger, **{**given, **options})


def lines(ledger: Ledger, *, final: bool = True) -> list[AdjustmentRow]:
    found = adjustments(ledger, parse_period("2026-01-01..2027-01-01")).rows
    return [row for row in found if row.final == final]


def test_an_adjustment_is_on_the_next_bill_once(ledger: Ledger) -> None:
    """It says who and why; the bill comes to so much more or less, and the one after it has nothing of it."""
    assert add(ledger) == 1
    [waiting] = lines(ledger, final=False)
    assert waiting.cost == "-12.50"
    report = close(ledger, FIRST)
    assert (report.adjustments, report.cost) == (1, "-2.50")
    [made] = lines(ledger)
    assert (made.team, made.reference, made.because) == ("vision", "adjustment 1", "agreed in OPS-7 (entered by ann)")
    assert (made.from_, made.to) == (iso(FIRST.start_us), iso(FIRST.end_us))
    assert {(each.team, each.kind) for each in invoices(ledger).rows} == {("", "invoice"), ("vision", "credit_note")}
    assert close(ledger, SECOND).adjustments == 0
    assert [(row.state, row.bill) for row in entered(ledger).rows] == [("billed", FIRST.label)]
    assert reconcile(ledger, ALL).ok


def test_what_is_for_a_closed_period_corrects_it(ledger: Ledger) -> None:
    """It is on the next bill with its original time; one with another side moves cost and makes none."""
    close(ledger, FIRST)
    add(ledger, period=FIRST.label, from_owner="acme/speech")
    add(ledger, period=THIRD.label, amount="1")
    assert close(ledger, SECOND).cost == "10.00"
    assert [(row.team, row.cost, row.corrects, row.from_) for row in lines(ledger)] == [
        ("vision", "-12.50", FIRST.label, iso(FIRST.start_us)),
        ("speech", "12.50", FIRST.label, iso(FIRST.start_us)),
    ]
    assert close(ledger, THIRD).cost == "11.00", "what is for an open period is on its own bill"


def test_one_is_withdrawn_as_long_as_no_bill_has_it(ledger: Ledger) -> None:
    """After that another one takes it back; numbers have no gap."""
    add(ledger)
    withdraw_adjustment(ledger, 1, by="bob", why="entered twice")
    with pytest.raises(EntryError, match="withdrawn by bob already"):
        withdraw_adjustment(ledger, 1, by="bob", why="again")
    assert add(ledger) == 2
    assert close(ledger, FIRST).adjustments == 1
    with pytest.raises(EntryError, match="is on the bill of"):
        withdraw_adjustment(ledger, 2, by="bob", why="too late")
    with pytest.raises(ConfigError, match="no adjustment 3"):
        withdraw_adjustment(ledger, 3, by="bob", why="what")
    assert [(row.adjustment, row.state) for row in entered(ledger).rows] == [(1, "withdrawn"), (2, "billed")]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"currency": "USD"}, 'counts in EUR, not in "USD"'),
        ({"amount": "0.00"}, "not an amount"),
        ({"amount": "12,50"}, "not an amount"),
        ({"amount": "NaN"}, "not an amount"),
        ({"amount": "9999999999"}, "not an amount"),
        ({"owner": "visoin"}, 'no owner is called "visoin"'),
        ({"from_owner": "acme/vision"}, "on both sides"),
        ({"why": ""}, "reason is missing"),
        ({"why": "bell \x07"}, "not a line"),
        ({"by": " "}, "who enters it is missing"),
        ({"period": "2026-13"}, "not a month"),
        ({"period": "2025-01"}, "neither one closed period nor open"),
        ({"period": f"{iso(START_US + 1)}..{iso(START_US + HOUR)}"}, "not start and end on the hour"),
    ],
)
def test_what_cannot_be_entered(ledger: Ledger, asked: dict[str, str], words: str) -> None:
    """What the ledger cannot bill, or nobody stands behind, is refused, and no number is used up."""
    close(ledger, FIRST)
    with pytest.raises(ConfigError, match=words):
        add(ledger, **asked)
    assert not entered(ledger).rows


def unpriced(ledger: Ledger) -> None:
    """Close the first period without a price."""
    prices(ledger, UNPRICED)
    report = close(ledger, FIRST, "the contract comes later, agreed with Ann")
    assert report.cost == "0.00"


def test_time_that_was_closed_unpriced_gets_its_price_later(ledger: Ledger) -> None:
    """By today's book, for the original hours, to whom they were; a second time there is nothing to price."""
    unpriced(ledger)
    prices(ledger, BOOK)
    number = price_closed(ledger, FIRST, by="ann", why="the contract is signed")
    rows = entered(ledger).rows
    assert [(row.owner, row.cost, row.gpu_hours) for row in rows] == [
        ("platform", "3.75", 1.5),
        ("platform", "1.25", 0.5),
        ("acme/vision", "5.00", 2.0),
    ]
    with pytest.raises(EntryError, match=r"nothing in .* waits for a price"):
        price_closed(ledger, FIRST, by="ann", why="again")
    assert close(ledger, SECOND).cost == "20.00"
    made = lines(ledger)
    assert {(row.reference, row.corrects, row.from_, row.to) for row in made} == {
        (f"adjustment {number}, price version 3", FIRST.label, iso(FIRST.start_us), iso(FIRST.end_us))
    }
    assert "2.50 an hour by entry 1 of version 3" in made[0].because
    [[part_us]] = ask(ledger, "SELECT sum(part_us)::BIGINT FROM adjustments")
    assert part_us == 4 * HOUR * GPU_PARTS
    prices(ledger, BOOK.replace("2.50", "9"))
    with pytest.raises(EntryError, match="waits for a price"):
        price_closed(ledger, FIRST, by="ann", why="dearer now")
    assert reconcile(ledger, ALL).ok
    name = charges(ledger, Period(START_US, START_US + HOUR, ""), device="GPU-0001").rows[0].charge
    [note] = explain(ledger, charge=parse_charge_id(name)).adjustments
    assert (note.kind, note.cost, note.reference) == ("manual", "5.00", made[0].reference)


def test_late_data_of_an_hour_that_was_priced_later_is_the_difference_at_its_price(ledger: Ledger) -> None:
    """The hour keeps its first price; who turns out to have had it pays it, and who paid it gets it back."""
    unpriced(ledger)
    prices(ledger, BOOK)
    price_closed(ledger, FIRST, by="ann", why="signed")
    close(ledger, SECOND)
    late = records("GPU-0002", START_US + HOUR + HOUR // 2, START_US + 2 * HOUR, SPEECH)
    assert ledger.ingest([frame(1, late)])[0].taken
    prices(ledger, BOOK.replace("2.50", "9"))
    number = price_closed(ledger, FIRST, by="ann", why="late data")
    found = [(row.owner, row.cost, row.gpu_hours) for row in entered(ledger, number=number).rows]
    assert found == [("platform", "-1.25", 0.0), ("acme/speech", "1.25", 0.0)]
    with pytest.raises(EntryError, match="waits for a price"):
        price_closed(ledger, FIRST, by="ann", why="again")


def test_prices_that_were_withdrawn_can_be_given_again(ledger: Ledger) -> None:
    """What is on no bill does not count."""
    unpriced(ledger)
    prices(ledger, BOOK.replace("2.50", "25"))
    withdraw_adjustment(ledger, price_closed(ledger, FIRST, by="ann", why="signed"), by="ann", why="a wrong price")
    prices(ledger, BOOK)
    price_closed(ledger, FIRST, by="ann", why="the right one")
    assert sum(Decimal(row.cost or 0) for row in entered(ledger, number=2).rows) == 10
    close(ledger, SECOND)
    assert sum(Decimal(row.cost or 0) for row in lines(ledger)) == 10


def test_what_cannot_be_priced_later(ledger: Ledger) -> None:
    """An open period is priced by importing prices, a priced one needs none."""
    with pytest.raises(ConfigError, match="is not closed"):
        price_closed(ledger, FIRST, by="ann", why="why not")
    close(ledger, FIRST)
    with pytest.raises(EntryError, match="nothing in"):
        price_closed(ledger, FIRST, by="ann", why="why not")
    with pytest.raises(ConfigError, match="reason is missing"):
        price_closed(ledger, FIRST, by="ann", why="")
    assert not entered(ledger).rows


def test_what_waits_is_shown_where_everything_known_is_closed(tmp_path: Path) -> None:
    """An adjustment stands on the next period even before that has data."""
    month = month_of(START_US)
    last = Period(month.end_us - HOUR, month.end_us, f"{iso(month.end_us - HOUR)}..{iso(month.end_us)}")
    with open_ledger(tmp_path) as ledger:
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        assert ledger.ingest([frame(0, records("GPU-0001", *last.interval))])[0].taken
        close(ledger, last)
        add(ledger)
        waiting = periods(ledger).rows[1]
        assert (waiting.from_, waiting.adjustments, waiting.cost) == (iso(month.end_us), 1, "-12.50")


def test_closed_time_gets_the_prices_of_its_part_of_the_hour_its_owner_and_its_contract(ledger: Ledger) -> None:
    """Of an hour that was cut, what had no price; the team has a price of its own, and a lease covers GPU 2."""
    turn = START_US + 1207 * 1_000_000
    prices(ledger, f"{BOOK.replace('2.50', '3.60')}to = {iso(turn)}\n")
    close(ledger, FIRST, "the contract comes later, agreed with Ann")
    later = (
        f'{BOOK.replace("2.50", "7.20")}[[price]]\nmodel = "*"\nteam = "vision"\nrate = "14.40"\n'
        '[[price]]\nmodel = "*"\ncontract = "lease"\nrate = "0.36"\n'
        '[[contract]]\nname = "lease"\ncluster = "c1"\ngpus = 1\nmodel = "*"\nrate = "0.36"\nfrom = 2026-01-01\n'
    )
    prices(ledger, later)
    price_closed(ledger, FIRST, by="ann", why="signed")
    rest = Decimal(7200 - 1207)
    found = {row.owner: Decimal(0) for row in entered(ledger).rows}
    for row in entered(ledger).rows:
        found[row.owner] += Decimal(row.cost or 0)
    assert found.keys() == {"platform", "acme/vision"}
    assert abs(found["acme/vision"] - rest / 3600 * Decimal("0.36")) < Decimal("1e-7"), "the lease has GPU 1 first"
    assert abs(found["platform"] - rest / 3600 * Decimal("7.20")) < Decimal("1e-7")
    withdraw_adjustment(ledger, 1, by="ann", why="no lease yet")
    prices(ledger, later.split("[[contract]]", maxsplit=1)[0].split('[[price]]\nmodel = "*"\ncontract', maxsplit=1)[0])
    price_closed(ledger, FIRST, by="ann", why="by list")
    mine = [row for row in entered(ledger, number=2).rows if row.owner == "acme/vision"]
    assert abs(sum(Decimal(row.cost or 0) for row in mine) - rest / 3600 * Decimal("14.40")) < Decimal("1e-7")
    with pytest.raises(EntryError, match="waits for a price"):
        price_closed(ledger, FIRST, by="ann", why="again")
    close(ledger, SECOND)
    assert reconcile(ledger, ALL).ok
