"""Any fleet, any policies: the bill is whole, its proof holds, and both views differ by the causes that are named."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.policies.stored import policy_rows
from collector.queries.adjustments import adjustments
from collector.queries.billing import invoices, periods
from collector.queries.chargeback import chargeback
from collector.queries.gap import gap
from collector.queries.reconcile import reconcile
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.policybook import PolicyBook
from gpuledger.model import Device, Event, UsageRecord
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import BOOK, HOLDERS, HOUR, fleets
from tests.gpuledger.policy_sums import books

OWNERS = '[[owner]]\nteam = "even"\nmatch.slurm_account = "acct0"\n[[owner]]\nteam = "odd"\nmatch.user = "u1"\n'
PERIOD = Period(START_US, START_US + 3 * HOUR, "all")


BOOKS = books(("", "even"), ("", "train"), ("", "Tesla T4", "NVIDIA*"), (None, START_US + HOUR))


def keep(ledger: Ledger, book: PolicyBook) -> None:
    """Store a book that no file says."""
    facts = {"policy_version": 1, "imported_us": 0, "source": "random", "digest": b"", "content": ""}
    with ledger.transaction() as session:
        session.execute("policy_insert_book", facts)
        session.execute("policy_insert_entries", {"policy_version": 1}, {"new_policies": policy_rows(book)})


def lost(fleet: Sequence[tuple[Device, list[UsageRecord]]]) -> list[Event]:
    """Return an event of each device's first record that is unavailable, as its agent would send it."""
    first = {record.device: record.start_us for _, usage in fleet for record in reversed(usage) if record.state == 4}
    return [Event(at, "gpu_lost", "lost", "error", key, details={"reason": "gpu_lost"}) for key, at in first.items()]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets(), book=BOOKS, priced=st.booleans())
def test_policies_move_what_was_charged_and_nothing_else(
    fleet: list[tuple[Device, list[UsageRecord]]], book: PolicyBook, *, priced: bool
) -> None:
    """Adjustments sum to zero, invoices to the charges, a book reads back as it was stored, and the gap adds up."""
    used = [(device, usage) for device, usage in fleet if usage]
    t4 = '[[price]]\nmodel = "Tesla T4"\nrate = "0.333333333"\n' if priced else ""
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        prices(ledger, BOOK.format(rate="1.234567891", middle=iso(START_US + HOUR)) + t4)
        owners(ledger, OWNERS)
        keep(ledger, book)
        for sequence, (device, usage) in enumerate(used):
            events = lost([(device, usage)])
            assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS, events=events)])[0].taken
        report = close_period(ledger, PERIOD, closed_by="ann", exception="whatever there is")
        moved = adjustments(ledger, PERIOD).rows
        assert sum(Decimal(row.cost or 0) for row in moved) == 0
        [closed] = [row for row in periods(ledger).rows if row.state == "closed"]
        assert Decimal(report.cost or 0) == Decimal(closed.charge_cost or 0)
        assert sum(Decimal(row.cost or 0) for row in invoices(ledger).rows) == Decimal(report.cost or 0)
        assert [each for each in reconcile(ledger, PERIOD).violations if each.code in {"closed", "invoice"}] == []
        _check_gap(ledger)


def _check_gap(ledger: Ledger) -> None:
    """Hold the gap against both views of chargeback."""
    found = gap(ledger, PERIOD)
    held = {row.key: row.cost for row in chargeback(ledger, PERIOD).rows if row.kind in {"owner", "unattributed"}}
    for row in [*found.rows, found.total]:
        if row.allocation_cost is None:
            continue
        parts = sum(Decimal(cost) for cost in row.parts.values())
        assert Decimal(row.allocation_cost) == Decimal(row.usage_cost or 0) + Decimal(row.gap or 0)
        assert parts == Decimal(row.gap or 0)
    assert {row.team or "unattributed": row.allocation_cost for row in found.rows} == held
    assert msgspec.json.encode(found)
