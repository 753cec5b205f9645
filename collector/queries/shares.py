"""The newest share book as an answer."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.pricing.shares import newest_shares
from collector.queries.figures import hours, instant, money
from gpuledger.accounting.periods import iso
from gpuledger.accounting.shares import Share
from gpuledger.accounting.terms import plain
from gpuledger.accounting.units import US_PER_HOUR


class ShareRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One share, numbered from 1 as in its file. `lend_limit` is the most GPUs on loan; None: all that are idle.

    A loan costs `loan_percent` of the borrower's own cost, or `loan_rate` a GPU-hour; with neither, nothing.
    """

    share: int
    organisation: str
    department: str
    team: str
    gpus: float
    cluster: str
    pool: str
    model: str
    lends: bool
    lend_limit: float | None
    loan_percent: str | None
    loan_rate: str | None
    from_: str | None
    to: str | None


class Shares(msgspec.Struct, frozen=True):
    """The newest share book; without one, no version and no rows."""

    version: int | None
    imported_at: str | None
    source: str | None
    idle: str | None
    unowned: str | None
    rows: list[ShareRow]


def shares(ledger: Ledger) -> Shares:
    """Return the newest share book."""
    with ledger.snapshot() as session:
        stored = newest_shares(session)
    if stored is None:
        return Shares(None, None, None, None, None, [])
    version, book = stored
    rows = [_row(number, share) for number, share in enumerate(book.shares, 1)]
    return Shares(version.number, iso(version.imported_us), version.source, book.idle, book.unowned, rows)


def _row(number: int, share: Share) -> ShareRow:
    return ShareRow(
        share=number,
        organisation=share.organisation,
        department=share.department,
        team=share.team,
        gpus=_gpus(share.parts),
        **share.scope._asdict(),
        lends=share.lends,
        lend_limit=None if share.lend_limit_parts is None else _gpus(share.lend_limit_parts),
        loan_percent=None if share.loan_percent is None else plain(share.loan_percent),
        loan_rate=money(share.loan_rate_quanta),
        from_=instant(share.from_us),
        to=instant(share.to_us),
    )


def _gpus(parts: int) -> float:
    return hours(parts * US_PER_HOUR)
