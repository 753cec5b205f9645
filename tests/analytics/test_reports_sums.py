"""Whatever the ledger: an export sums to the bill exactly, in all, by team, by invoice, and hour by hour."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.queries.billing import invoices, periods
from collector.queries.chargeback import chargeback
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso, parse_instant
from gpuledger.cli.main import main
from gpuledger.model import Device, UsageRecord
from tests.analytics.focus_checks import by, check_cost_and_usage, read
from tests.analytics.ledgers import hours
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import BOOK, HOLDERS, HOUR, fleets

T4 = '[[price]]\nmodel = "Tesla T4"\nrate = "0.333333333"\n'
OWNERS = '[[owner]]\nteam = "even"\nmatch.slurm_account = "acct0"\n[[owner]]\nteam = "odd"\nmatch.user = "u1"\n'
ALL = hours(0, 3)
FIRST, REST = hours(0, 1), hours(1, 3)


def fill(ledger: Ledger, fleet: list[tuple[Device, list[UsageRecord]]], rate: Decimal, held_back: int) -> None:
    """Write a fleet, close its first hour in between, and deliver the rest of the records late."""
    prices(ledger, BOOK.format(rate=f"{rate:.9f}", middle=iso(START_US + HOUR)) + T4)
    owners(ledger, OWNERS)
    batches = [(device, usage) for device, usage in fleet if usage]
    early, late = batches[held_back:], batches[:held_back]
    for sequence, (device, usage) in enumerate(early):
        assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
    close_period(ledger, FIRST, closed_by="ann", exception="whatever there is")
    for sequence, (device, usage) in enumerate(late, start=len(early)):
        assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
    if late:
        close_period(ledger, REST, closed_by="ann", exception="whatever there is")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets(), rate=st.decimals("0", "99", places=9), held_back=st.integers(0, 2))
def test_any_bill_is_exported_to_the_last_digit(
    fleet: list[tuple[Device, list[UsageRecord]]], rate: Decimal, held_back: int
) -> None:
    """Rows sum to every closed bill and open chargeback, to each team's part and each invoice; every row is exact."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        with open_ledger(Path(folder)) as ledger:
            fill(ledger, fleet, rate, held_back)
            costs = _costs(ledger)
            billed = {
                each.from_: Decimal(each.cost or 0)
                for each in periods(ledger).rows
                if each.state == "closed" and each.charges + each.corrections
            }
            documents = {f"INV-{each.number}": Decimal(each.cost or 0) for each in invoices(ledger).rows}
        if not any(usage for _, usage in fleet):
            return
        assert (
            main(["export", "focus", "--ledger", folder, "--period", ALL.label, "--out", str(out), "--format", "csv"])
            == 0
        )
        rows = read(out / "focus_1_4_cost_and_usage.csv")
    check_cost_and_usage(rows, "1.4")
    charges = [row for row in rows if not row["ChargeClass"]]
    teams = by(charges, "SubAccountName")
    assert {name: teams.get(name) for name in costs} == costs
    assert not any(amount for name, amount in teams.items() if name not in costs)  # a share of no time at all
    assert {name: amount for name, amount in by(rows, "InvoiceId").items() if name} == documents
    assert {start: amount for start, amount in by(rows, "BillingPeriodStart").items() if start in billed} == billed


def _costs(ledger: Ledger) -> dict[str, Decimal]:
    """Return what each team is charged for the time that is exported; what no team owns is the platform's.

    Of what is open that is the hours that are over and known.
    """
    rate_dirty(ledger)
    known_us = parse_instant(chargeback(ledger, ALL).as_of or iso(0)) // HOUR * HOUR
    end_us = max([known_us, *(parse_instant(each.to) for each in periods(ledger).rows if each.state == "closed")])
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in chargeback(ledger, Period(ALL.start_us, min(end_us, ALL.end_us), "exported")).rows:
        found[row.key if row.kind == "owner" else "platform"] += Decimal(row.cost or 0)
    return dict(found)
