"""Commitments on bills: GPUs that a contract commits are paid for, also those that were not there.

What a contract covers is on the bill as charges, at the prices that entries of the contract say. What is short of it is
an adjustment of its own, the platform's. Where devices of a closed period become known later, the next bill takes that
back in part: what the shortfall would be now, less what was billed for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from collector.ledger.database import Session
from collector.periods.closed import ClosedPeriod, closed_periods
from collector.pricing.stored import newest_prices, prices_of_version
from collector.rated_prices import machines_of
from gpuledger.accounting.adjustments import COMMITMENT, Adjustment
from gpuledger.accounting.commitments import Settlement, cover
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.periods import Period
from gpuledger.accounting.pricebook import PriceBook
from gpuledger.accounting.units import gpu_hours


def commitments(session: Session, period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return what is short of contracts in `period`, as far as any data reaches, and what changed of closed ones."""
    newest = newest_prices(session)
    billed = {
        (row["billed_for"], row["reference"]): row["cost_quanta"]
        for row in session.execute("commitments_billed").to_pylist()
    }
    mine = [
        _line(each, each.short_quanta)
        for each in settle(session, period.interval, newest.book if newest else None)
        if each.short_quanta
    ]
    earliest = session.execute("period_earliest_open").to_pylist()[0]["hour_us"]
    if earliest is not None and earliest < period.start_us:  # what changed goes onto the bill that closes first
        return mine
    return [*mine, *(line for closed in closed_periods(session) for line in _changed(session, closed, billed))]


def settle(session: Session, whole: Interval, book: PriceBook | None, *, known: bool = True) -> list[Settlement]:
    """Return how each contract of `book` that runs within `whole` came out, in the order of the book.

    `known`: only as far as data of any cluster reaches, since a device that nobody could see yet is not missing.
    """
    if book is None or not book.contracts:
        return []
    if known:
        reach_us = max((row["until_us"] for row in session.execute("select_reach").to_pylist()), default=0)
        whole = Interval(whole.start_us, min(whole.end_us, reach_us))
    if whole.length_us <= 0:
        return []
    return cover(book.contracts, machines_of(session, whole), whole).settled


def contracts_ahead(book: PriceBook, within: Interval) -> int:
    """Return in quanta what the contracts of a book cost within an interval: committed whether it is used or not."""
    total_quanta = 0
    for each in book.contracts:
        end_us = within.end_us if each.to_us is None else min(within.end_us, each.to_us)
        length_us = max(0, end_us - max(within.start_us, each.from_us))
        total_quanta += cost_quanta(each.rate_quanta, each.gpus * length_us)
    return total_quanta


def _changed(session: Session, closed: ClosedPeriod, billed: dict[tuple[str, str], int]) -> Iterator[Adjustment]:
    if closed.price_version is None:
        return
    book = prices_of_version(session, closed.price_version).book
    for each in settle(session, Interval(closed.from_us, closed.to_us), book, known=False):
        quanta = each.short_quanta - billed.get((closed.label, _reference(each)), 0)
        if quanta:
            yield _line(each, quanta)._replace(corrects=closed.label)


def _reference(settlement: Settlement) -> str:
    return f"contract {settlement.contract.name}"


def _line(settlement: Settlement, quanta: int) -> Adjustment:
    contract = settlement.contract
    short, committed = (
        f"{gpu_hours(part_us):,.1f}" for part_us in (settlement.short_part_us, settlement.committed_part_us)
    )
    whose = f" with {contract.vendor}" if contract.vendor else ""
    return Adjustment(
        kind=COMMITMENT,
        because=f'{short} of {committed} GPU-hours that contract "{contract.name}"{whose} commits were not there',
        reference=_reference(settlement),
        from_us=settlement.within.start_us,
        to_us=settlement.within.end_us,
        cost_quanta=quanta,
    )
