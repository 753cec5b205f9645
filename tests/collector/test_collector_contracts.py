"""Contracts and prices of owners in the ledger: what is covered, what is short, on which bill, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.queries.adjustments import adjustments
from collector.queries.bill import bill
from collector.queries.billing import invoices
from collector.queries.books import prices as prices_of
from collector.queries.charge_id import parse_charge_id
from collector.queries.contracts import contracts
from collector.queries.explain import explain
from collector.queries.facts import charges as charge_rows
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.money import cost_quanta, from_quanta
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import charges, open_ledger, owners, prices

HOUR = US_PER_HOUR
FIRST = Period(START_US, START_US + 2 * HOUR, "first")
SECOND = Period(FIRST.end_us, FIRST.end_us + HOUR, "second")
WHO = "pod:uid-1/c"
TURN_US = START_US + HOUR // 2 + 1_000_000
BOOK = f"""
currency = "EUR"
[[price]]
model = "*"
rate = "3"
[[price]]
model = "*"
team = "vision"
rate = "2.5"
from = {iso(TURN_US)}
[[price]]
model = "*"
contract = "lease-a"
rate = "2"
[[contract]]
name = "lease-a"
vendor = "rent-a-rack"
cluster = "c1"
gpus = {{gpus}}
rate = "1.90"
from = {{begins}}
to = {iso(FIRST.end_us)}
"""


def book(gpus: int = 1, begins: str = iso(START_US)) -> str:
    return BOOK.format(gpus=gpus, begins=begins)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of two GPUs for three hours: vision holds the second one for the first hour."""
    with open_ledger(tmp_path) as found:
        usage = [
            *records("GPU-0001", START_US, SECOND.end_us),
            *records("GPU-0002", START_US, START_US + HOUR, WHO),
            *records("GPU-0002", START_US + HOUR, SECOND.end_us),
        ]
        assert found.ingest([frame(0, usage)])[0].taken
        owners(found, '[[owner]]\nteam = "vision"\nmatch.namespace = "*"\n')
        yield found


def rates(ledger: Ledger, key: str) -> list[tuple[int, int, int]]:
    """Return when segments of a device begin (minutes since the start), how long they are, and the rate."""
    rate_dirty(ledger)
    return [
        ((r["hour_us"] + r["offset_us"] - START_US) // 10**6, r["held_us"] // 10**6, r["rate_quanta"] // 10**6)
        for r in charges(ledger)
        if r["device"] == key
    ]


def test_each_segment_is_charged_at_its_own_price(ledger: Ledger) -> None:
    """What the contract covers costs its price; vision's own price begins within the hour, for what vision holds."""
    prices(ledger, book())
    turn_s = (TURN_US - START_US) // 10**6
    assert rates(ledger, "GPU-0001") == [
        (0, turn_s, 2_000),  # cut too: vision might hold it
        (turn_s, 3600 - turn_s, 2_000),
        (3600, 3600, 2_000),
        (7200, 3600, 3_000),
    ]
    assert rates(ledger, "GPU-0002") == [
        (0, turn_s, 3_000),
        (turn_s, 3600 - turn_s, 2_500),
        (3600, 3600, 3_000),
        (7200, 3600, 3_000),
    ]
    proof = reconcile(ledger, Period(START_US, SECOND.end_us, "all"))
    assert proof.ok, proof.violations


def test_a_contract_that_begins_within_an_hour_cuts_only_what_it_covers(ledger: Ledger) -> None:
    """The first GPU by key is covered from that second on; the other one's hour stays whole."""
    prices(ledger, book(begins=iso(FIRST.end_us - 600_000_000)))
    assert rates(ledger, "GPU-0001")[-3:] == [(3600, 3000, 3_000), (6600, 600, 2_000), (7200, 3600, 3_000)]
    assert rates(ledger, "GPU-0002")[-2:] == [(3600, 3600, 3_000), (7200, 3600, 3_000)]


def test_a_changed_contract_rates_its_hours_again(ledger: Ledger) -> None:
    """Another number of GPUs covers other devices; nothing else in the file changed."""
    prices(ledger, book())
    rate_dirty(ledger)
    prices(ledger, book(gpus=2))
    assert {rate for at, _, rate in rates(ledger, "GPU-0002") if at < 7_200} == {2_000}


def test_a_shortfall_is_told_and_billed(ledger: Ledger) -> None:
    """Of three GPUs two were there: one is short for two hours at 1.90, on the platform's invoice, and it is answered."""
    prices(ledger, book(gpus=3))
    rate_dirty(ledger)
    [row] = contracts(ledger, FIRST).rows
    assert (row.committed_gpu_hours, row.covered_gpu_hours, row.short_gpu_hours) == (6.0, 4.0, 2.0)
    assert (row.committed_cost, row.covered_cost, row.short_cost) == ("11.40", "7.60", "3.80")
    assert (row.contract, row.vendor, row.gpus, row.rate, row.final) == ("lease-a", "rent-a-rack", 3, "1.90", False)
    report = close_period(ledger, FIRST, closed_by="ann")
    assert (report.adjustments, report.cost) == (1, "11.80")
    assert {each.team: each.cost for each in invoices(ledger).rows} == {"": "9.80", "vision": "2.00"}
    [line] = adjustments(ledger, FIRST).rows
    assert line.because == ('2.0 of 6.0 GPU-hours that contract "lease-a" with rent-a-rack commits were not there')
    assert [each.final for each in contracts(ledger, FIRST).rows] == [True]
    assert reconcile(ledger, FIRST).ok


def test_devices_that_become_known_later_take_a_shortfall_back(ledger: Ledger) -> None:
    """A node whose data came after the close covered the third GPU: its charges and the credit are on the next bill."""
    prices(ledger, book(gpus=3))
    close_period(ledger, FIRST, closed_by="ann")
    late = frame(0, records("GPU-0003", START_US, FIRST.end_us), agent="node-b")
    assert ledger.ingest([late])[0].taken
    rate_dirty(ledger)
    report = close_period(ledger, SECOND, closed_by="ann")
    assert [(each.cost, each.corrects) for each in adjustments(ledger, SECOND).rows] == [("-3.80", "first")]
    assert report.corrections
    assert reconcile(ledger, Period(START_US, SECOND.end_us, "both")).ok


def test_an_explanation_names_segment_owner_and_contract(ledger: Ledger) -> None:
    """A charge of a cut hour has the instant in its name, and says where it was cut and whose price it is."""
    prices(ledger, book())
    rate_dirty(ledger)
    found = {row.charge: row for row in charge_rows(ledger, FIRST).rows}
    mine = next(name for name, row in found.items() if row.team == "vision" and row.rate == "2.50")
    assert mine.startswith(f"{iso(TURN_US).removesuffix('Z')}@c1@node-a@GPU-0002@")
    said = explain(ledger, charge=parse_charge_id(mine))
    assert (said.cost, said.held_us) == (found[mine].cost, HOUR - (TURN_US - START_US))
    assert said.steps[0] == (
        f"a price of GPU-0002 turned in that hour, which is cut there: this is from {iso(TURN_US)} until"
        f" {iso(START_US + HOUR)}; 1 of its records lie across that, and the part inside counts"
    )
    assert any('price entry 2 (model "*", team "vision")' in step for step in said.steps)
    leased = next(name for name, row in found.items() if row.device == "GPU-0001")
    assert any('contract "lease-a"' in step for step in explain(ledger, charge=parse_charge_id(leased)).steps)


def test_the_proof_finds_a_price_that_is_somebody_elses(ledger: Ledger) -> None:
    """A charge at the price of another owner, or of a contract that does not cover the device, is a violation."""
    prices(ledger, book())
    rate_dirty(ledger)
    whole = Period(START_US, SECOND.end_us, "all")
    assert reconcile(ledger, whole).ok
    with ledger.transaction() as session:
        session.script(
            "UPDATE owners SET team = 'speech'; UPDATE contracts SET pool = 'elsewhere'", label="behind its back"
        )
    found = [violation.detail for violation in reconcile(ledger, whole).violations]
    assert any("GPU-0002" in detail and "not what price entry 2 is for" in detail for detail in found)
    assert any("GPU-0001" in detail and "not what price entry 3 is for" in detail for detail in found)


def test_the_proof_finds_an_hour_that_should_have_been_cut(ledger: Ledger) -> None:
    """A charge that goes on after its price entry ended is a violation, also where both ends lie within one hour."""
    prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3"\n')
    rate_dirty(ledger)
    with ledger.transaction() as session:
        session.script(f"UPDATE price_entries SET to_us = {SECOND.end_us - 60_000_000}", label="behind its back")
    found = [each.detail for each in reconcile(ledger, SECOND).violations if each.code == "price"]
    assert len(found) == 2
    assert all("does not follow from price entry 1" in detail for detail in found)


def test_a_closed_bill_keeps_its_digest_with_cut_hours(ledger: Ledger) -> None:
    """Closed with two segments, the period stays as it was when prices change later."""
    prices(ledger, book())
    report = close_period(ledger, FIRST, closed_by="ann")
    prices(ledger, book().replace('rate = "2.5"', 'rate = "9"'))
    rate_dirty(ledger)
    assert reconcile(ledger, FIRST).ok
    of_turned_hour = cost_quanta(3 * 10**9, TURN_US - START_US) + cost_quanta(25 * 10**8, START_US + HOUR - TURN_US)
    assert Decimal(report.cost or 0) == from_quanta((4 + 3) * 10**9 + of_turned_hour)


@pytest.mark.parametrize("since", ["1970-01-01T00:00:00Z", iso(TURN_US)])
def test_a_digest_is_over_the_same_text_as_ever_and_an_offset_only_where_there_is_one(
    ledger: Ledger, since: str
) -> None:
    """So bills that were closed before hours were cut keep their digest."""
    prices(ledger, f'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3"\n[[price]]\nmodel = "*"\npool = "x"\nrate = "4"\n'
           f'[[price]]\nmodel = "NVIDIA*"\nrate = "5"\nfrom = {since}')  # fmt: skip
    report = close_period(ledger, FIRST, closed_by="ann")
    texts: dict[int, list[str]] = {}
    for row in bill(ledger, FIRST).rows:
        names = [row.cluster, row.node, row.device, row.holder or "", str(row.state), row.reason]
        owner = [row.organisation, row.department, row.team, row.project]
        amounts = [row.held_us, row.active_us, row.active_unknown_us, row.energy_mj, row.energy_unknown_us]
        pinned = [row.price_version, row.price_entry, row.owner_version, row.rate_quanta, row.cost_quanta]
        last = ["-" if each is None else str(each) for each in (*pinned, row.active_cost_quanta)]
        cut = [str(row.offset_us)] if row.offset_us else []
        text = "\x1f".join(["charge", *names, *owner, *map(str, amounts), *last, *cut])
        texts.setdefault(row.hour_us, []).append(text)
    hours = [f"{hour}:{_sha256(chr(30).join(sorted(lines)))}" for hour, lines in sorted(texts.items())]
    assert report.digest == _sha256(chr(30).join(hours))
    assert any(row.offset_us for row in bill(ledger, FIRST).rows) == (since == iso(TURN_US))


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_the_listed_book_says_whom_a_price_is_for(ledger: Ledger) -> None:
    """Each entry names its owner and its contract, or neither."""
    prices(ledger, book())
    assert [(row.team, row.contract) for row in prices_of(ledger).rows] == [("", ""), ("vision", ""), ("", "lease-a")]
