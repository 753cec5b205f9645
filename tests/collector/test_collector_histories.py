"""Histories at random: usage, late data, prices to the second, owners, shares, policies, closes, disputes and adjustments in any order.

After every step time and money are conserved, closed bills stand as they were closed, and all bills together are what
is known now and what was decided. `GPULEDGER_HISTORIES` is how many histories are tried (a few, unless set).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.ledger.database import Parameters, Session, Tables
from collector.periods.closing import close_period
from collector.periods.disputes import open_dispute, resolve_dispute, withdraw_dispute
from collector.periods.entries import EntryError
from collector.periods.late_prices import price_closed
from collector.periods.manual import add_adjustment, withdraw_adjustment
from collector.policies.imports import import_policies
from collector.pricing.shares import import_shares
from collector.queries.adjustments import adjustments
from collector.queries.bill import bill
from collector.queries.billing import PeriodRow, invoice, invoices, periods
from collector.queries.disputes import DisputeRow, disputes
from collector.queries.entered import entered
from collector.queries.facts import charges
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import LedgerError
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices

HISTORIES = int(os.environ.get("GPULEDGER_HISTORIES", "4"))
LONG = HISTORIES > 10
HOUR, HOURS = US_PER_HOUR, 4
ALL = Period(START_US, START_US + HOURS * HOUR, "all")
EVER = parse_period("2026-01-01..2027-01-01")
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "{model}"\nrate = "{rate}"\n'
TEAMS = ("vision", "speech")
OWNERS = "".join('[[owner]]\nteam = "{}"\nproject = "p"\nmatch.namespace = "team-{}"\n'.format("{}", n) for n in (1, 2))
STEPS = ("corrections_insert", "insert_adjustments", "period_insert", "insert_invoices", "insert_invoice_lines")
POLICIES = (
    'basis = "usage"',
    'basis = "max"\nidle = "even"',
    'idle = "proportional"\nfree = { gpu_hours = "5" }',
    'basis = "usage"\nidle = { team = "speech" }\nunobserved = { team = "vision" }',
)
LEASE = (
    '[[price]]\nmodel = "*"\ncontract = "lease"\nrate = "0.500000009"\n[[contract]]\nname = "lease"\ncluster = "c1"\n'
    'model = "*"\ngpus = 2\nrate = "0.7"\nfrom = {turn}\n'
)
ANY = st.integers(0, 10_000)  # picks one of what there is


class Histories(RuleBasedStateMachine):
    """A ledger, and what has to be true of it whatever was done."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.ledger = open_ledger(Path(self._folder.name))
        self.sequence = 0
        self.seen: set[tuple[str, int, int]] = set()
        self.closed: dict[str, tuple[PeriodRow, list[Any], list[Any]]] = {}

    def teardown(self) -> None:
        """Let the ledger go."""
        self.ledger.close()
        self._folder.cleanup()

    @initialize()
    def begin(self) -> None:
        """Begin with a GPU that is free throughout, a price and two teams."""
        prices(self.ledger, BOOK.format(model="*", rate="2.491500007"))
        owners(self.ledger, OWNERS.format(*TEAMS))
        assert self.ledger.ingest([frame(0, records("GPU-0000", *ALL.interval))])[0].taken

    @rule(
        gpu=st.sampled_from(["GPU-0001", "GPU-0002"]),
        hour=st.integers(0, HOURS - 1),
        third=st.integers(0, 2),
        who=st.sampled_from([None, "pod:uid-1/c", "pod:uid-2/c"]),
    )
    def usage(self, gpu: str, hour: int, third: int, who: str | None) -> None:
        """Twenty minutes of a GPU, late where its hour is closed."""
        if (gpu, hour, third) not in self.seen:
            self.seen.add((gpu, hour, third))
            self.sequence += 1
            start_us = START_US + hour * HOUR + third * HOUR // 3
            sent = frame(self.sequence, records(gpu, start_us, start_us + HOUR // 3, who))
            assert self.ledger.ingest([sent])[0].taken

    @rule(rate=st.integers(1, 9), model=st.sampled_from(["*", "*", "*", "A100"]))
    def price(self, rate: int, model: str) -> None:
        """Another price, or none for what there is."""
        prices(self.ledger, BOOK.format(model=model, rate=f"{rate}.370000001"))

    @rule(
        second=st.integers(1, HOURS * 3600 - 1),
        rate=st.integers(1, 9),
        also=st.sets(st.sampled_from(["before", "owner", "lease"])),
    )
    def price_turn(self, second: int, rate: int, also: set[str]) -> None:
        """Another price from a second on; one before it, one of a team's own, one of a lease, or none of these."""
        turn = iso(START_US + second * 1_000_000)
        text = f"{BOOK.format(model='*', rate=f'{rate}.000000011')}from = {turn}\n"
        if "before" in also:
            text += f'[[price]]\nmodel = "*"\nrate = "1.100000003"\nto = {turn}\n'
        if "owner" in also:
            text += f'[[price]]\nmodel = "*"\nteam = "{TEAMS[0]}"\nrate = "{rate}.7"\n'
        if "lease" in also:
            text += LEASE.format(turn=turn)
        prices(self.ledger, text)

    @rule(percent=st.integers(1, 99), gpus=st.integers(0, 2))
    def share(self, percent: int, gpus: int) -> None:
        """Other shares, lent at another price."""
        each = "".join(
            f'[[share]]\nteam = "{team}"\ngpus = {n}\n' for team, n in zip(TEAMS, (gpus + 1, 1), strict=True)
        )
        text = f'loan_percent = "{percent}"\n{each}'
        import_shares(self.ledger, text.encode(), "toml", source="s", imported_us=NOW_US)

    @rule(text=st.sampled_from(POLICIES))
    def policy(self, text: str) -> None:
        """Another policy book."""
        import_policies(self.ledger, f"[[policy]]\n{text}\n".encode(), "toml", source="p", imported_us=NOW_US)

    @rule(teams=st.permutations(TEAMS))
    def owner(self, teams: list[str]) -> None:
        """Let the teams change places."""
        owners(self.ledger, OWNERS.format(*teams))

    @precondition(lambda self: len(self.closed) < HOURS)
    @rule(step=st.sampled_from([None, None, *STEPS]))
    def close(self, step: str | None) -> None:
        """Close the next hour; one that fails half-way does nothing, and is repeated."""
        at_us = START_US + len(self.closed) * HOUR
        period = Period(at_us, at_us + HOUR, f"hour {len(self.closed)}")
        rate_dirty(self.ledger)
        due = [row for row in disputes(self.ledger).rows if row.state == "decided" and row.to <= iso(period.end_us)]
        if step:
            before = self.told()
            with failing(step), pytest.raises(LedgerError, match="the disk is full"):
                close_period(self.ledger, period, closed_by="ann", exception="accepted")
            assert self.told() == before
        report = close_period(self.ledger, period, closed_by="ann", exception="accepted")
        [row] = [each for each in periods(self.ledger).rows if each.label == period.label]
        assert row.digest == report.digest
        self.closed[period.label] = (row, bill(self.ledger, period).rows, self.documents(period.label))
        after = {row.dispute: row for row in disputes(self.ledger).rows}
        for one in due:
            assert Decimal(after[one.dispute].billed or 0) == Decimal(one.billed or 0) + Decimal(one.waiting or 0)
            assert after[one.dispute].waiting == "0.00"

    @rule(pick=ANY)
    def dispute_a_charge(self, pick: int) -> None:
        """Whatever is charged may be disputed, by whoever pays for it."""
        rate_dirty(self.ledger)
        found = [row for row in charges(self.ledger, ALL).rows if row.cost]
        if found:
            self.dispute(found[pick % len(found)].charge)

    @precondition(lambda self: self.closed)
    @rule(pick=ANY)
    def dispute_a_line(self, pick: int) -> None:
        """So may any line of any invoice that is no credit."""
        documents = invoices(self.ledger).rows
        document = documents[pick % len(documents)]
        lines = invoice(self.ledger, number=document.number).rows
        self.dispute(f"{document.number}-{lines[pick // 7 % len(lines)].line}")

    def dispute(self, on: str) -> None:
        before = len(disputes(self.ledger).rows)
        try:
            assert open_dispute(self.ledger, on=on, by="vic", why="not ours") == before + 1
        except EntryError:  # a credit, nothing left, or disputed already
            assert len(disputes(self.ledger).rows) == before

    @rule(pick=ANY, how=st.sampled_from(["upheld", "partly", "amount", "rejected", "withdraw"]), to=ANY)
    def decide(self, pick: int, how: str, to: int) -> None:
        """Decide what is open, or withdraw it."""
        rate_dirty(self.ledger)
        waiting = [row for row in disputes(self.ledger).rows if row.state == "open"]
        if not waiting:
            return
        one = waiting[pick % len(waiting)]
        if how == "withdraw":
            withdraw_dispute(self.ledger, one.dispute, by="vic", why="ours")
        elif how != "amount" or Decimal(one.cost or 0) > Decimal("0.000000002"):
            resolve_dispute(self.ledger, one.dispute, by="bob", why="so it is", **_decision(one, how, to))

    @rule(
        owner=st.sampled_from([*TEAMS, "platform"]),
        quanta=st.integers(-(10**9), 10**9).filter(bool),
        other=st.booleans(),
        hour=st.none() | st.integers(0, HOURS - 1),
    )
    def adjust(self, owner: str, quanta: int, hour: int | None, *, other: bool) -> None:
        """Somebody enters an amount, for the next bill or for an hour, with another side or without."""
        period = f"{iso(START_US + hour * HOUR)}..{iso(START_US + (hour + 1) * HOUR)}" if hour is not None else ""
        add_adjustment(
            self.ledger, owner=owner, amount=f"{Decimal(quanta).scaleb(-9):f}", currency="EUR", by="ann", why="agreed",
            period=period, from_owner=(TEAMS[owner == TEAMS[0]]) if other else "",
        )  # fmt: skip

    @rule(pick=ANY)
    def take_back(self, pick: int) -> None:
        """Withdraw what is on no bill."""
        waiting = [row.adjustment for row in entered(self.ledger).rows if row.state == "waiting"]
        if waiting:
            withdraw_adjustment(self.ledger, waiting[pick % len(waiting)], by="ann", why="no")

    @precondition(lambda self: self.closed)
    @rule()
    def price_later(self) -> None:
        """Price what was closed without a price, where the book has one; then nothing waits for one."""
        period = Period(START_US, START_US + len(self.closed) * HOUR, "closed")
        try:
            price_closed(self.ledger, period, by="ann", why="the contract")
        except EntryError:
            return
        with pytest.raises(EntryError):
            price_closed(self.ledger, period, by="ann", why="again")

    @invariant()
    def conserves(self) -> None:
        """Time and money add up, from records to bills."""
        proof = reconcile(self.ledger, ALL)
        assert proof.ok, proof.violations

    @invariant()
    def closed_bills_stand(self) -> None:
        """Find a closed bill with its charges, its digest and its invoices, whatever came later."""
        rows = {row.label: row for row in periods(self.ledger).rows}
        for at, (label, (row, lines, documents)) in enumerate(self.closed.items()):
            assert rows[label] == row
            hour = Period(START_US + at * HOUR, START_US + (at + 1) * HOUR, label)
            assert bill(self.ledger, hour).rows == lines
            assert self.documents(label) == documents

    @invariant()
    def bills_are_what_is_known_and_decided(self) -> None:
        """All bills, closed and to come, are what the hours cost as known now, and what was added on purpose."""
        rows = periods(self.ledger).rows
        [[known]] = ask(self.ledger, "SELECT coalesce(sum(cost_quanta), 0)::BIGINT FROM current_charges")
        added = sum(Decimal(row.cost or 0) for row in entered(self.ledger).rows if row.state != "withdrawn")
        short = [row for row in adjustments(self.ledger, EVER).rows if row.kind == "commitment"]
        added += sum(Decimal(row.cost or 0) for row in short)
        if not any(row.state != "closed" for row in rows) and self.waits():
            return  # what waits is on the bill of a period that has no data yet
        assert sum(Decimal(row.cost or 0) for row in rows) == Decimal(known).scaleb(-9) + added
        closed = sum(Decimal(row.cost or 0) for row in rows if row.state == "closed")
        documents = invoices(self.ledger).rows
        assert sum(Decimal(row.cost or 0) for row in documents) == closed
        assert [row.number for row in documents] == list(range(1, len(documents) + 1))

    @invariant()
    def disputes_give_back_once(self) -> None:
        """No more than is in question is given back, each line has its other side, and bills have what was granted."""
        made = [row for row in adjustments(self.ledger, EVER).rows if row.kind == "dispute"]
        for row in disputes(self.ledger).rows:
            mine = [line for line in made if line.reference == f"dispute {row.dispute}"]
            assert sum(Decimal(line.cost or 0) for line in mine) == 0
            assert Decimal(row.granted or 0) <= max(Decimal(0), Decimal(row.cost or 0))
            billed = [line for line in mine if line.final and line.team == row.owner.replace("platform", "")]
            assert -sum(Decimal(line.cost or 0) for line in billed) == Decimal(row.billed or 0)
            if row.state == "settled":
                assert row.billed == row.granted

    def waits(self) -> bool:
        return any(row.state == "decided" for row in disputes(self.ledger).rows) or any(
            row.state == "waiting" for row in entered(self.ledger).rows
        )

    def documents(self, label: str) -> list[Any]:
        """Return the invoices of a period with their lines, which say only who disputes them as things change."""
        numbers = [row.number for row in invoices(self.ledger).rows if row.period == label]
        found = [invoice(self.ledger, number=number) for number in numbers]
        return [(each.invoice, [(row.line, row.cost, row.payable, row.because) for row in each.rows]) for each in found]

    def told(self) -> tuple[Any, ...]:
        """Return what a close changes."""
        tables = ("corrections", "adjustments", "invoices", "invoice_lines", "closed_periods")
        counts = [ask(self.ledger, f"SELECT count(*) FROM {table}") for table in tables]
        return periods(self.ledger), disputes(self.ledger), entered(self.ledger), counts


def _decision(row: DisputeRow, how: str, pick: int) -> dict[str, str]:
    """Return a decision that can be made of a dispute: its charge moves to somebody who does not pay it yet."""
    if how == "rejected":
        return {"decision": how}
    others = [each for each in ("platform", *TEAMS) if each != row.owner]
    to = {"to": others[pick % len(others)]}
    if how == "upheld":
        return {"decision": how, **to}
    if how == "partly":
        return {"decision": "partly", "percent": f"{pick % 100 + 1}", **to}
    return {"decision": "partly", "amount": f"{(Decimal(row.cost or 0) / 2).quantize(Decimal('1e-9')):f}", **to}


@contextmanager
def failing(step: str) -> Iterator[None]:
    """Let the disk be full right after a statement."""
    execute = Session.execute

    def fail(self: Session, name: str, params: Parameters | None = None, tables: Tables | None = None) -> pa.Table:
        found = execute(self, name, params, tables)
        if name == step:
            raise LedgerError("the disk is full")
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Session, "execute", fail)
        yield


TestHistories = pytest.mark.slow(Histories.TestCase)
TestHistories.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=40 if LONG else 14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
