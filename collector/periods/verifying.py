"""Verifying a closed period: its bill is made again from raw usage and its pinned books, and compared to the byte."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any, ClassVar, Final

import msgspec

from collector.ledger.replica import Known, known_at, replica
from collector.ledger.store import Ledger
from collector.periods.closed import ClosedPeriod, closed_periods
from collector.periods.closing import close_period
from collector.queries.figures import Span, span
from gpuledger.accounting.periods import Period
from gpuledger.errors import ConfigError, LedgerError

MAX_DIFFERENCES: Final = 20
_MADE_ANEW: Final = ("closed_by", "exception")  # said by people, not by the data


class Verification(msgspec.Struct, frozen=True):
    """Whether a bill is what its inputs come to; `differences` begin with what is stored."""

    one_row: ClassVar = True  # as a table

    ok: bool
    period: Span
    period_id: int
    batches: int  # how many the bill knows of, the newest of them its last
    price_version: int | None
    owner_version: int | None
    charges: int
    corrections: int
    invoice_lines: int
    digest: str
    rebuilt_digest: str
    differences: list[str]


def verify_period(ledger: Ledger, period: Period) -> Verification:
    """Close a period again in a replica that knows what the ledger knew when it was closed; say what is different.

    Raises ConfigError where `period` is not a closed one.
    """
    closed = _closed(ledger, period)
    same = Period(closed.from_us, closed.to_us, closed.label, closed.zone)
    stored = _lines(ledger, closed.period_id)
    with replica(ledger, _inputs(ledger, closed)) as found:
        try:
            close_period(found, same, closed_by=closed.closed_by, exception="verified")
        except LedgerError as error:
            return _verification(closed, same, stored, "", [f"the bill cannot be made again: {error}"])
        again = _closed(found, same)
        differences = [*_fields(closed._asdict(), again._asdict(), ""), *_rows(stored, _lines(found, again.period_id))]
    return _verification(closed, same, stored, again.digest.decode(), differences[:MAX_DIFFERENCES])


def _closed(ledger: Ledger, period: Period) -> ClosedPeriod:
    with ledger.snapshot() as session:
        known = closed_periods(session)
    for closed in known:
        if (closed.from_us, closed.to_us) == period.interval or closed.label == period.label:
            return closed
    raise ConfigError(f"{period.label} is not a closed period", hint="gpuledger period list shows those that are")


def _inputs(ledger: Ledger, closed: ClosedPeriod) -> Known:
    """Return what a bill pins: batches by their order, and books by their versions, whatever clocks said."""
    return known_at(ledger, closed.closed_us)._replace(
        batch_id=closed.last_batch_id,
        price_version=closed.price_version or 0,
        owner_version=closed.owner_version or 0,
        share_version=closed.share_version or 0,
        policy_version=closed.policy_version or 0,
        period_id=closed.period_id - 1,
    )


def _lines(ledger: Ledger, period_id: int) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = ledger.execute("invoices_of_period", {"period_id": period_id}).to_pylist()
    return rows


def _rows(stored: list[dict[str, Any]], rebuilt: list[dict[str, Any]]) -> Iterator[str]:
    none: dict[str, Any] = {}
    for was, now in zip_longest(stored, rebuilt, fillvalue=none):
        where = was or now
        yield from _fields(was, now, f"invoice {where['invoice_number']}, line {where['line']}: ")


def _fields(stored: dict[str, Any], rebuilt: dict[str, Any], where: str) -> Iterator[str]:
    for name in {**stored, **rebuilt}:
        was, now = stored.get(name), rebuilt.get(name)
        if was != now and name not in _MADE_ANEW:
            yield f"{where}{name} is {_shown(was)}, and comes to {_shown(now)}"


def _shown(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else "nothing" if value is None else str(value)


def _verification(
    closed: ClosedPeriod, period: Period, lines: list[dict[str, Any]], rebuilt: str, differences: list[str]
) -> Verification:
    return Verification(
        ok=not differences,
        period=span(period),
        period_id=closed.period_id,
        batches=closed.last_batch_id,
        price_version=closed.price_version,
        owner_version=closed.owner_version,
        charges=closed.charge_count,
        corrections=closed.correction_count,
        invoice_lines=len(lines),
        digest=closed.digest.decode(),
        rebuilt_digest=rebuilt,
        differences=differences,
    )
