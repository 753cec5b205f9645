"""The invariants of a correct ledger, one test each, on one ledger of a mixed fleet."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest

from analytics.invoices import invoice_html
from collector.ledger.store import Ledger
from collector.periods.as_known import as_known
from collector.periods.closing import PeriodError, close_period
from collector.periods.verifying import verify_period
from collector.pricing.carbon import import_carbon
from collector.pricing.imports import import_owners, import_prices
from collector.pricing.shares import import_shares
from collector.queries.adjustments import adjustments
from collector.queries.audit import audit
from collector.queries.bill import bill
from collector.queries.billing import invoice, invoices, periods
from collector.queries.chargeback import chargeback
from collector.queries.quotas import quotas
from collector.queries.reconcile import reconcile
from collector.queries.utilization import utilization
from collector.rating import rate_dirty
from gpuledger.accounting.adjustments import LOAN
from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.periods import Period, iso, parse_period
from gpuledger.accounting.rating import METHOD
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError, PriceBookError
from gpuledger.model import Event, State, UsageRecord
from tests.collector.ask import ask, contents
from tests.collector.batches import START_US, device, frame, holder, records
from tests.collector.fleet import NOW_US, charges, open_ledger, owners, prices, usage_frame

HOUR = US_PER_HOUR
THIRD = HOUR // 3
FIRST = Period(START_US, START_US + 2 * HOUR, "first")
SECOND = Period(START_US + 2 * HOUR, START_US + 4 * HOUR, "second")
BOTH = Period(START_US, START_US + 4 * HOUR, "both")
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.491500007"\n'
OWNERS = "".join(f'[[owner]]\nteam = "t{n}"\nmatch.namespace = "team-{n}"\n' for n in (1, 2))
SHARED = ("pod:uid-1/c", "pod:uid-2/c", "pod:uid-3/c")
MIG = [device(10, key=f"MIG-{n}", kind="mig", parts=120, mig_profile="1g.10gb", board="GPU-0010") for n in range(1, 3)]
REMAINDER = device(10, key="GPU-0010/remainder", kind="remainder", parts=GPU_PARTS - 240, board="GPU-0010")
DEVICES = [device(1), device(2), *MIG, REMAINDER]
HOLDERS = [holder(number) for number in (1, 2, 3)]


def shared(key: str, start_us: int, end_us: int) -> list[UsageRecord]:
    """Return records of a device that three holders share in parts that no third of a minute divides."""
    found: list[UsageRecord] = []
    for minute in records(key, start_us, end_us):
        length_us = minute.end_us - minute.start_us
        parts = (length_us // 7, length_us // 7, length_us - 2 * (length_us // 7))
        for who, held_us in zip(SHARED, parts, strict=True):
            found += records(
                key, minute.start_us, minute.end_us, who, held_us=held_us, active_us=held_us // 3, energy_mj=held_us
            )
    return found


def usage(start_us: int, end_us: int) -> list[UsageRecord]:
    """Return what the fleet did: GPU 1 is shared; GPU 2 free, silent for an hour; a MIG board, a part of it stranded."""
    silent = (START_US + HOUR, START_US + 2 * HOUR)
    return [
        *shared("GPU-0001", start_us, end_us),
        *(each for each in records("GPU-0002", start_us, end_us) if not silent[0] <= each.start_us < silent[1]),
        *records("MIG-1", start_us, end_us, "pod:uid-2/c"),
        *records("MIG-2", start_us, end_us, "pod:uid-1/c", state=State.HELD_IDLE, reason="memory_held", active_us=0),
        *records(REMAINDER.key, start_us, end_us, reason="stranded"),
    ]


def batches() -> list[bytes]:
    """Return the frames that bring four hours of it."""
    hours = [(START_US + n * HOUR, START_US + (n + 1) * HOUR) for n in range(4)]
    return [usage_frame(n, usage(*hour), DEVICES, HOLDERS) for n, hour in enumerate(hours)]


def late() -> bytes:
    """Return a part of the silent hour, which was held after all."""
    return frame(9, records("GPU-0002", START_US + HOUR, START_US + HOUR + THIRD, "pod:uid-1/c"))


def fill(ledger: Ledger) -> Ledger:
    assert all(result.taken for result in ledger.ingest(batches()))
    prices(ledger, BOOK)
    owners(ledger, OWNERS)
    rate_dirty(ledger)
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give four rated hours of the fleet."""
    with open_ledger(tmp_path / "ledger") as found:
        yield fill(found)


def close(ledger: Ledger, period: Period) -> None:
    close_period(ledger, period, closed_by="ann")


def priced(ledger: Ledger) -> dict[tuple[str, int], list[dict[str, int]]]:
    rows = sorted(charges(ledger), key=lambda row: (row["device"], row["hour_us"]))
    return {key: list(hour) for key, hour in itertools.groupby(rows, lambda row: (row["device"], row["hour_us"]))}


def test_i1_conservation(ledger: Ledger) -> None:
    """What a device's hour is charged, whoever had it, is exactly what its capacity cost: in whole quanta, no float."""
    found = priced(ledger)
    assert len(found) == 4 * len(DEVICES)
    for hour in found.values():
        assert sum(row["held_us"] for row in hour) == HOUR
        assert sum(row["cost_quanta"] for row in hour) == cost_quanta(hour[0]["rate_quanta"], HOUR)
        assert all(type(row["cost_quanta"]) is int for row in hour)
    assert reconcile(ledger, BOTH).ok


def test_i2_no_double_billing(ledger: Ledger) -> None:
    """One charge per device, hour, holder and state; the slices of a board are one card, which itself is not billed."""
    keys = Counter(tuple(row[k] for k in ("device", "hour_us", "holder", "state", "reason")) for row in charges(ledger))
    assert set(keys.values()) == {1}
    board = [row for row in charges(ledger) if row["device"] in {each.key for each in (*MIG, REMAINDER)}]
    assert sum(row["held_us"] * row["parts"] for row in board) == 4 * HOUR * GPU_PARTS
    assert "GPU-0010" not in {row["device"] for row in charges(ledger)}
    [twice] = ledger.ingest([frame(8, records("GPU-0001", START_US, START_US + HOUR, "pod:uid-1/c"), boot="other")])
    assert (twice.taken, twice.code) == (False, "overlap"), "it is refused, never clamped"
    assert reconcile(ledger, BOTH).ok
    parent = records("GPU-0010", START_US + THIRD, START_US + HOUR, "pod:uid-1/c")
    assert ledger.ingest([usage_frame(12, parent, [device(10)], HOLDERS)])[0].taken
    proof = reconcile(ledger, FIRST)
    assert (proof.ok, {each.code for each in proof.violations}) == (False, {"overbooked"})
    assert "charged as 2.000 GPUs" in proof.violations[-1].detail


def test_i3_idempotent_ingest(ledger: Ledger, tmp_path: Path) -> None:
    """Batches again, and in another order, and after a restart: the same ledger."""
    before, bills = contents(ledger), charges(ledger)
    assert all(result.duplicate for result in ledger.ingest(batches()))
    assert contents(ledger) == before
    with open_ledger(tmp_path / "other") as other:
        other.ingest(batches()[2:])
    with open_ledger(tmp_path / "other") as other:
        other.ingest(list(reversed(batches())))
        prices(other, BOOK)
        owners(other, OWNERS)
        rate_dirty(other)
        assert charges(other) == bills


def test_i4_as_known_on_date_d(tmp_path: Path) -> None:
    """After late data, new prices, a new mapping, closes and a correction, every earlier state is found again."""
    clock = VirtualClock(NOW_US)
    steps: list[Callable[[], object]] = [
        lambda: ledger.ingest(batches()),
        lambda: book(import_prices, BOOK),
        lambda: book(import_owners, OWNERS),
        lambda: close(ledger, FIRST),
        lambda: ledger.ingest([late()]),
        lambda: book(import_prices, BOOK.replace("2.4", "9.4")),
        lambda: book(import_owners, OWNERS.replace("t1", "other")),
        lambda: ledger.ingest([retired()]),
        lambda: close(ledger, SECOND),
        lambda: book(import_prices, BOOK.replace("2.4", "1.4")),
    ]

    def book(take: Callable[..., object], text: str) -> None:
        take(ledger, text.encode(), "toml", source="book.toml", imported_us=clock.now_us())

    with Ledger.open(tmp_path, clock=clock) as ledger:
        known: list[tuple[int, object]] = []
        for step in steps:
            step()
            rate_dirty(ledger)
            known.append((clock.now_us(), everything(ledger)))
            clock.advance_to(clock.now_us() + HOUR)
        assert len({repr(found) for _, found in known}) >= len(steps) - 1, "each step has changed something"
        for at_us, found in known:
            with as_known(ledger, at_us) as before:
                assert everything(before) == found
                assert reconcile(before, BOTH).ok
        assert everything(ledger) == known[-1][1], "and asking has changed nothing"
        assert not list(tmp_path.glob(".replica-*"))
        with pytest.raises(ConfigError, match="not known yet"), as_known(ledger, clock.now_us() + 1):
            pass


def everything(ledger: Ledger) -> object:
    """Return what a ledger answers about money, time and bills, without the versions that rated open hours."""
    shown = [(p.label, p.state, p.cost, p.corrections, p.correction_cost, p.digest) for p in periods(ledger).rows]
    found = [chargeback(ledger, period) for period in (FIRST, SECOND, BOTH)]
    return shown, invoices(ledger).rows, found, utilization(ledger, BOTH), contents(ledger)["hourly"]


def retired() -> bytes:
    """Return the news that the second GPU was taken out for the last hour, which nobody had reported."""
    gone = Event(SECOND.end_us, "device_retired", "info", device="GPU-0002")
    return frame(10, records("GPU-0003", SECOND.end_us - HOUR, SECOND.end_us), events=[gone])


def test_i5_a_closed_bill_is_rebuilt_from_raw(ledger: Ledger) -> None:
    """From usage and the books that it pins, whatever came since: the same digest, totals, invoices and lines."""
    prices(ledger, f'{BOOK}[[price]]\nmodel = "B200"\nrate = "4"\nfrom = "2036-01-01"\n')  # rates no hour again
    close(ledger, FIRST)
    ledger.ingest([late()])
    prices(ledger, BOOK.replace("2.4", "9.4"))
    owners(ledger, OWNERS.replace("t1", "other"))
    close(ledger, SECOND)
    prices(ledger, BOOK)
    for period in (FIRST, SECOND):
        found = verify_period(ledger, period)
        assert (found.ok, found.differences, found.rebuilt_digest) == (True, [], found.digest)
    assert found.corrections > 0
    with ledger.transaction() as session:
        session.script("UPDATE usage SET held_us = held_us - 1 WHERE holder_id = 1", label="tampering")
    assert not verify_period(ledger, FIRST).ok


def test_i5_every_line_pins_what_it_was_made_from(ledger: Ledger, tmp_path: Path) -> None:
    """Versions of prices and owners stand on each charge, that of the rules on the close; the same inputs make the same bill."""
    assert {(row["price_version"], row["price_entry"], row["owner_version"]) for row in charges(ledger)} == {(1, 0, 1)}
    close(ledger, BOTH)
    [sealed] = audit(ledger, None, act="period.close", actor="", limit=9).rows
    assert sealed.details["method"] == METHOD
    with open_ledger(tmp_path / "again") as again:
        close(fill(again), BOTH)
        assert [row.digest for row in periods(again).rows][:1] == [row.digest for row in periods(ledger).rows][:1]


def test_i6_rerating_is_a_reversal_and_new_rows(ledger: Ledger) -> None:
    """Of a closed hour: what was charged and what corrects it sum to what it costs now; the original is untouched."""
    close(ledger, FIRST)
    before = ask(ledger, f"SELECT * FROM charges WHERE hour_us < {FIRST.end_us} ORDER BY ALL")
    ledger.ingest([late()])
    close(ledger, SECOND)
    assert ask(ledger, f"SELECT * FROM charges WHERE hour_us < {FIRST.end_us} ORDER BY ALL") == before
    key = "hour_us, device_id, holder_id, state, reason_id, owner_id, price_version, price_entry"
    summed = f"SELECT {key}, sum(held_us)::BIGINT, sum(cost_quanta)::BIGINT FROM {{}} WHERE hour_us < {FIRST.end_us}"
    rest = f"GROUP BY {key} HAVING sum(held_us) <> 0 ORDER BY ALL"
    both = f"(SELECT {key}, held_us, cost_quanta FROM charges UNION ALL SELECT {key}, held_us, cost_quanta FROM corrections)"
    assert ask(ledger, f"{summed.format(both)} {rest}") == ask(ledger, f"{summed.format('current_charges')} {rest}")
    assert ask(ledger, "SELECT sum(held_us)::BIGINT, sum(cost_quanta)::BIGINT FROM corrections") == [(0, 0)]


def test_i7_a_closed_period_is_immutable(ledger: Ledger) -> None:
    """New prices, new owners and late data change neither its bill nor a byte of its invoices; they go to the next."""
    close(ledger, FIRST)
    pages = [invoice_html(_plain(ledger, row.number)) for row in invoices(ledger).rows]
    before = periods(ledger).rows[0], bill(ledger, FIRST)
    prices(ledger, BOOK.replace("2.4", "9.4"))
    owners(ledger, OWNERS.replace("t1", "other"))
    ledger.ingest([late()])
    close(ledger, SECOND)
    assert (periods(ledger).rows[0], bill(ledger, FIRST)) == before
    assert [invoice_html(_plain(ledger, number)) for number in range(1, len(pages) + 1)] == pages
    corrections = bill(ledger, SECOND, kind="correction").rows
    assert {(row.hour_us, row.corrects) for row in corrections} == {(START_US + HOUR, "first")}
    assert reconcile(ledger, BOTH).ok


def test_i7_a_closed_bill_keeps_its_carbon(ledger: Ledger) -> None:
    """An intensity that is imported after the close counts in what is open, and changes no export of what is closed."""
    prices(ledger, f'{BOOK}carbon_g_per_kwh = "500"\ncarbon_region = "north"\n')
    close(ledger, FIRST)
    before = bill(ledger, FIRST), chargeback(ledger, FIRST)
    hours = "".join(f"north,{iso(START_US + n * HOUR)},100\n" for n in range(4))
    text = f"region,hour,g_per_kwh\n{hours}".encode()
    import_carbon(ledger, text, "csv", source="carbon.csv", imported_us=NOW_US + 1)
    assert (bill(ledger, FIRST), chargeback(ledger, FIRST)) == before
    assert {row.carbon_g_per_kwh for row in bill(ledger, FIRST).rows} == {500}
    assert {row.carbon_g_per_kwh for row in bill(ledger, SECOND).rows} == {100}


def test_i8_owners_are_taken_as_at_the_time(ledger: Ledger) -> None:
    """A rule that starts later leaves earlier hours with who had them, in an open period too."""
    turn = f'from = "{iso(SECOND.start_us)}"\n'
    until = f'to = "{iso(SECOND.start_us)}"\n'
    rules = '[[owner]]\nteam = "{}"\nmatch.namespace = "*"\n{}'
    owners(ledger, rules.format("early", until) + rules.format("late", turn))
    rate_dirty(ledger)
    assert {row["team"] for row in charges(ledger) if row["hour_us"] < SECOND.start_us} == {"early", None}
    assert {row["team"] for row in charges(ledger) if row["hour_us"] >= SECOND.start_us} == {"late", None}


def test_i9_lines_sum_to_invoices_and_invoices_to_the_bill(ledger: Ledger) -> None:
    """Exactly, and in cents: lines to their invoice, invoices to the period, numbers without a gap."""
    close(ledger, FIRST)
    ledger.ingest([late()])
    close(ledger, SECOND)
    documents = ask(ledger, "SELECT invoice_number, cost_quanta, payable_cents FROM invoices ORDER BY ALL")
    lines = """SELECT invoice_number, sum(cost_quanta)::BIGINT, sum(payable_cents)::BIGINT FROM invoice_lines
        GROUP BY ALL ORDER BY ALL"""
    assert ask(ledger, lines) == documents
    assert [number for number, *_ in documents] == list(range(1, len(documents) + 1))
    billed = sum(row.cost_quanta or 0 for period in (FIRST, SECOND) for row in bill(ledger, period).rows)
    corrected = sum(row.cost_quanta or 0 for row in bill(ledger, SECOND, kind="correction").rows)
    assert sum(cost for _, cost, _ in documents) == billed + corrected


def test_i10_missing_time_is_neither_idle_nor_free(ledger: Ledger) -> None:
    """A silent hour is unobserved and has its cost; a model without a price has none, and does not close quietly."""
    silent = [row for row in charges(ledger) if (row["device"], row["hour_us"]) == ("GPU-0002", START_US + HOUR)]
    assert [(row["state"], row["reason"], row["held_us"], row["cost_quanta"]) for row in silent] == [
        (State.UNOBSERVED, "no_data", HOUR, 2_491_500_007)
    ]
    prices(ledger, BOOK.replace('"*"', '"L40S"'))
    rate_dirty(ledger)
    assert {row["cost_quanta"] for row in charges(ledger)} == {None}
    assert chargeback(ledger, FIRST).total.cost is None
    with pytest.raises(PeriodError, match="have no price"):
        close(ledger, FIRST)


def test_i11_what_mig_leaves_over_is_a_cost_of_its_own(ledger: Ledger) -> None:
    """Slices are priced by their part of the card, and the part that no profile can use is stranded, not lost."""
    rows = [row for row in charges(ledger) if row["device"].startswith(("MIG-", REMAINDER.key))]
    stranded = [row for row in rows if row["reason"] == "stranded"]
    assert {row["device"] for row in stranded} == {REMAINDER.key}
    assert {row["parts"] for row in stranded} == {GPU_PARTS - 240}
    hour = [row["cost_quanta"] for row in rows if row["hour_us"] == START_US]
    assert abs(sum(hour) - 2_491_500_007) <= len(hour), "each rounded once"


def test_i12_what_is_borrowed_is_lent_and_what_is_paid_is_credited(ledger: Ledger) -> None:
    """Each part of a share is used, lent, or idle, once; borrowers pay their usage as before, and lenders get the rest."""
    before = {row.key: row.cost for row in chargeback(ledger, FIRST).rows}
    shares = 'loan_percent = "33.333333"\n' + "".join(
        f'[[share]]\nteam = "t{number}"\ngpus = "{gpus}"\n' for number, gpus in ((1, "1/7"), (2, "13/14"))
    )
    import_shares(ledger, shares.encode(), "toml", source="shares.toml", imported_us=NOW_US)
    found = quotas(ledger, FIRST).rows
    for row in found:
        used = row.own_gpu_hours + row.borrowed_gpu_hours + row.unowned_gpu_hours + row.unlent_gpu_hours
        share = row.own_gpu_hours + row.lent_gpu_hours + row.taken_gpu_hours + row.idle_gpu_hours
        assert (round(used, 5), round(share, 5)) == (round(row.used_gpu_hours, 5), round(row.available_gpu_hours, 5))
    held = sum(row.gpu_hours for row in chargeback(ledger, FIRST).rows if row.kind in {"owner", "unattributed"})
    assert sum(row.used_gpu_hours for row in found) == pytest.approx(held)
    assert sum(row.borrowed_gpu_hours for row in found) == pytest.approx(sum(row.lent_gpu_hours for row in found))
    close_period(ledger, FIRST, closed_by="ann")
    lines = [row for row in adjustments(ledger, FIRST).rows if row.kind == LOAN]
    assert lines
    assert sum(Decimal(row.cost or "0") for row in lines) == 0
    for paid, credited in zip(lines[::2], lines[1::2], strict=True):
        assert Decimal(paid.cost or "0") == -Decimal(credited.cost or "0") > 0
    assert {row.key: row.cost for row in chargeback(ledger, FIRST).rows} == before


def test_i13_hours_are_utc_and_cut_where_a_price_changes(ledger: Ledger) -> None:
    """A month has its hours whatever clocks do in it, an hour is cut at the second where a price turns, none is crossed."""
    october = parse_period("2026-10")
    assert october.end_us - october.start_us == 31 * 24 * HOUR
    with pytest.raises(ConfigError, match="not in UTC"):
        parse_period("2026-10-25T02:00+02:00..2026-10-26")
    with pytest.raises(PriceBookError, match="not a whole second"):
        prices(ledger, f'{BOOK}from = "{iso(START_US + THIRD + 1)}"\n')
    odd_us = 17 * 60_000_000 + 23_000_000
    at = iso(SECOND.start_us + odd_us)
    prices(ledger, f'{BOOK}to = "{at}"\n[[price]]\nmodel = "*"\nrate = "5"\nfrom = "{at}"\n')
    rate_dirty(ledger)
    whole = [row for row in charges(ledger) if row["device"] == "GPU-0002"]
    assert [(row["offset_us"], row["held_us"], row["rate_quanta"]) for row in whole] == [
        (0, HOUR, 2_491_500_007),
        (0, HOUR, 2_491_500_007),
        (0, odd_us, 2_491_500_007),
        (odd_us, HOUR - odd_us, 5_000_000_000),
        (0, HOUR, 5_000_000_000),
    ]
    of_shared = [row for row in charges(ledger) if row["device"] == "GPU-0001" and row["hour_us"] == SECOND.start_us]
    for offset_us, length_us, rate in ((0, odd_us, 2_491_500_007), (odd_us, HOUR - odd_us, 5_000_000_000)):
        mine = [row for row in of_shared if row["offset_us"] == offset_us]
        assert sum(row["held_us"] for row in mine) == length_us
        assert sum(row["cost_quanta"] for row in mine) == cost_quanta(rate, length_us)
    assert reconcile(ledger, BOTH).ok
    minute = records("GPU-0001", START_US, START_US + HOUR)[0]
    crossing = msgspec.structs.replace(minute, start_us=BOTH.end_us - 1, end_us=BOTH.end_us + 1, held_us=2, active_us=0)
    [refused] = ledger.ingest([frame(11, [crossing])])
    assert (refused.taken, refused.code) == (False, "interval")


def test_i14_time_that_did_no_work_has_a_cause(ledger: Ledger) -> None:
    """Free, stranded, held without work and unseen are told apart on every row."""
    causes = {(State(row["state"]), row["reason"]) for row in charges(ledger) if row["state"] != State.ACTIVE}
    assert causes == {
        (State.IDLE, "free"),
        (State.IDLE, "stranded"),
        (State.HELD_IDLE, "memory_held"),
        (State.UNOBSERVED, "no_data"),
    }


def _plain(ledger: Ledger, number: int) -> dict[str, object]:
    return dict(msgspec.to_builtins(invoice(ledger, number=number)))
