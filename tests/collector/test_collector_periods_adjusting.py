"""Adjustments: on the bill that closes, on an invoice each, in the digest, and never out of nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods import adjusting
from collector.periods.closing import close_period
from collector.queries.adjustments import adjustments
from collector.queries.billing import invoice, invoices, periods
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.adjustments import FAULT_CREDIT, MANUAL, Adjustment
from gpuledger.accounting.periods import Period, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConservationError
from gpuledger.model import State
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

FIRST = Period(START_US, START_US + 2 * US_PER_HOUR, "first")
CREDIT = 1_500_000_000


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger with two hours of a GPU that vision held, at 2.49 an hour."""
    with open_ledger(tmp_path) as found:
        assert found.ingest([frame(0, records("GPU-0001", FIRST.start_us, FIRST.end_us, "pod:uid-1/c"))])[0].taken
        prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.49"\n')
        owners(found, '[[owner]]\nteam = "vision"\nproject = "p"\nmatch.namespace = "*"\n')
        rate_dirty(found)
        yield found


def line(team: str, cost_quanta: int, kind: str = FAULT_CREDIT) -> Adjustment:
    return Adjustment(
        kind, "GPU 1 was lost for an hour", "policy 1", FIRST.start_us, FIRST.end_us, cost_quanta, team=team,
        state=State.UNAVAILABLE, part_us=US_PER_HOUR * 840,
    )  # fmt: skip


def credit(_session: Session, _period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
    return [line("vision", -CREDIT), line("", CREDIT)]


def test_adjustments_are_lines_of_invoices_and_move_cost(ledger: Ledger) -> None:
    """They change who pays, not the total, nor the time that was billed; each says why."""
    report = close_period(ledger, FIRST, closed_by="ann", adjusters=[credit])
    assert (report.adjustments, report.cost) == (2, "4.98")
    assert {each.team: (each.cost, each.gpu_hours) for each in invoices(ledger).rows} == {
        "": ("1.50", 0.0),
        "vision": ("3.48", 2.0),
    }
    [_, credited] = invoice(ledger, number=2).rows
    assert (credited.kind, credited.because, credited.cost) == (FAULT_CREDIT, "GPU 1 was lost for an hour", "-1.50")
    [closed] = [each for each in periods(ledger).rows if each.label == "first"]
    assert (closed.adjustments, closed.adjustment_cost) == (2, "0.00")
    assert [(row.team, row.cost, row.final) for row in adjustments(ledger, FIRST).rows] == [
        ("vision", "-1.50", True),
        ("", "1.50", True),
    ]
    assert reconcile(ledger, FIRST).ok


def test_an_open_period_says_what_it_would_have(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands on no bill yet is provisional, and part of what an open period comes to."""

    def fee(_session: Session, period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
        return [line("vision", CREDIT, MANUAL)._replace(from_us=period.start_us, to_us=period.end_us)]

    monkeypatch.setattr(adjusting.adjustments_of, "__defaults__", ((fee,),))
    [found] = periods(ledger).rows
    assert (found.adjustments, found.adjustment_cost, found.cost) == (1, "1.50", "6.48")
    [row] = adjustments(ledger, parse_period("2026-01-01..2027-01-01")).rows
    assert (row.final, row.period) == (False, found.label)
    assert not adjustments(ledger, FIRST).rows, "a bill is whole: part of a month has none"


def test_a_changed_adjustment_breaks_the_seal(ledger: Ledger) -> None:
    """The digest of a bill covers adjustments, and its invoices are held against them."""
    close_period(ledger, FIRST, closed_by="ann", adjusters=[credit])
    with ledger.transaction() as session:
        session.script("UPDATE adjustments SET cost_quanta = cost_quanta - 1 WHERE team = 'vision'", label="a hand")
    assert {each.code for each in reconcile(ledger, FIRST).violations} >= {"closed", "invoice"}


@pytest.mark.parametrize(("kind", "raises"), [(FAULT_CREDIT, "out of nothing"), ("gift", "unknown kinds")])
def test_nothing_is_closed_with_money_out_of_nothing(ledger: Ledger, kind: str, raises: str) -> None:
    """What should only move cost and does not, or what nobody knows, closes nothing."""

    def wrong(*_: object) -> list[Adjustment]:
        return [line("vision", -1, kind)]

    with pytest.raises(ConservationError, match=raises):
        close_period(ledger, FIRST, closed_by="ann", adjusters=[wrong])
    assert not invoices(ledger).rows
