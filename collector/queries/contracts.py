"""Contracts as an answer: what each committed in a period, what of it devices covered, and what was short."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import closed_periods
from collector.periods.committing import settle
from collector.pricing.stored import StoredPrices, newest_prices, prices_of_version
from collector.queries.figures import Span, hours, instant, money, span
from gpuledger.accounting.commitments import Settlement
from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.accounting.periods import Period, iso


class ContractRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One contract in one billing period, or in what of it was asked for: committed is covered plus short.

    `[from, to)` is the time that is accounted for, as far as data reaches; `valid_from` and `valid_to` are when the
    contract runs. `gpus` are whole GPUs, `rate` is for one of them and an hour. `final`: its period is closed.
    """

    contract: str
    vendor: str
    cluster: str
    pool: str
    model: str
    mig_profile: str
    node: str
    gpus: int
    valid_from: str
    valid_to: str | None
    rate: str
    list_rate: str
    price_version: int
    period: str
    final: bool
    from_: str
    to: str
    committed_gpu_hours: float
    covered_gpu_hours: float
    short_gpu_hours: float
    committed_cost: str
    covered_cost: str  # at the contract's rate; what devices are charged is what price entries say
    short_cost: str


class Contracts(msgspec.Struct, frozen=True):
    """The contracts that ran in a period, by billing period and in the order of the price book."""

    currency: str
    period: Span
    rows: list[ContractRow]


def contracts(ledger: Ledger, period: Period) -> Contracts:
    """Return what contracts committed in `period`, by the price book of each billing period."""
    with ledger.snapshot() as session:
        newest = newest_prices(session)
        rows = [
            _row(each, label, prices.version.number, final=final)
            for part, label, final, prices in _parts(session, period, newest)
            for each in settle(session, part, prices.book, known=not final)
        ]
    return Contracts(newest.book.currency if newest else "", span(period), rows)


def _parts(
    session: Session, period: Period, newest: StoredPrices | None
) -> Iterator[tuple[Interval, str, bool, StoredPrices]]:
    """Yield the closed periods in `period` and what is open between them, each with the prices that count there."""
    closed = closed_periods(session)
    found = [
        (Interval(max(each.from_us, period.start_us), min(each.to_us, period.end_us)), each)
        for each in closed
        if each.from_us < period.end_us and period.start_us < each.to_us
    ]
    parts = [
        (part, each.label, True, prices_of_version(session, each.price_version))
        for part, each in found
        if each.price_version is not None
    ]
    if newest:
        for part in gaps([part for part, _ in found], period.interval):
            label = period.label if part == period.interval else f"{iso(part.start_us)}..{iso(part.end_us)}"
            parts.append((part, label, False, newest))
    yield from sorted(parts, key=lambda part: part[0])


def _row(settlement: Settlement, label: str, version: int, *, final: bool) -> ContractRow:
    contract = settlement.contract
    listed = contract.rate_quanta if contract.list_rate_quanta is None else contract.list_rate_quanta
    return ContractRow(
        contract=contract.name,
        vendor=contract.vendor,
        cluster=contract.cluster,
        pool=contract.pool,
        model=contract.model,
        mig_profile=contract.mig_profile,
        node=contract.node,
        gpus=contract.gpus,
        valid_from=iso(contract.from_us),
        valid_to=instant(contract.to_us),
        rate=money(contract.rate_quanta) or "",
        list_rate=money(listed) or "",
        price_version=version,
        period=label,
        final=final,
        from_=iso(settlement.within.start_us),
        to=iso(settlement.within.end_us),
        committed_gpu_hours=hours(settlement.committed_part_us),
        covered_gpu_hours=hours(settlement.covered_part_us),
        short_gpu_hours=hours(settlement.short_part_us),
        committed_cost=money(settlement.committed_quanta) or "",
        covered_cost=money(settlement.covered_quanta) or "",
        short_cost=money(settlement.short_quanta) or "",
    )
