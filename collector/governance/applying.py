"""What a granted request does: the act itself, in the transaction of the last approval, through what does it anyway.

Budgets, quotas and exceptions that hold for a time do nothing here: who asks what holds at an instant reads them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from collector.governance.budget_books import import_budgets
from collector.governance.quota_books import import_quotas
from collector.governance.wanted import Wanted, newest_version
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.periods.disputes import resolve_dispute
from collector.periods.entries import EntryError
from collector.periods.manual import add_adjustment
from collector.pricing.imports import ImportReport, import_prices
from gpuledger.accounting.periods import parse_period


class Granted(NamedTuple):
    """A request at the instant of its last approval: its number, who asked and why, and who approved last."""

    approval_id: int
    requested_by: str
    why: str
    approved_by: str

    @property
    def words(self) -> str:
        """Return the reason as it stands on what is made of it."""
        return f"{self.why} (approval {self.approval_id})"


def apply(ledger: Ledger, kind: str, wanted: Wanted, granted: Granted) -> str:
    """Do what was wanted; return what that made, such as `adjustment 4`. Raises what the act itself raises."""
    if kind == "exception" and wanted.period:
        return _close(ledger, wanted, granted)
    act = _ACTS.get(kind)
    return act(ledger, wanted, granted) if act else ""


def _adjust(ledger: Ledger, wanted: Wanted, granted: Granted) -> str:
    number = add_adjustment(
        ledger,
        owner=wanted.owner,
        amount=wanted.amount,
        currency=wanted.currency,
        by=granted.requested_by,
        why=granted.words,
        period=wanted.period,
        from_owner=wanted.from_owner,
    )
    return f"adjustment {number}"


def _resolve(ledger: Ledger, wanted: Wanted, granted: Granted) -> str:
    resolve_dispute(
        ledger,
        wanted.dispute,
        decision=wanted.decision,
        by=granted.approved_by,
        why=granted.words,
        amount=wanted.amount,
        percent=wanted.percent,
        to=wanted.to_owner,
    )
    return f"dispute {wanted.dispute}"


def _price(ledger: Ledger, wanted: Wanted, granted: Granted) -> str:
    return f"prices {_import(ledger, 'price', import_prices, wanted, granted)}"


def _budget_book(ledger: Ledger, wanted: Wanted, granted: Granted) -> str:
    return f"budgets {_import(ledger, 'budget_book', import_budgets, wanted, granted)}"


def _quota_book(ledger: Ledger, wanted: Wanted, granted: Granted) -> str:
    return f"quotas {_import(ledger, 'quota_book', import_quotas, wanted, granted)}"


def _import(ledger: Ledger, kind: str, importing: Callable[..., ImportReport], wanted: Wanted, granted: Granted) -> int:
    """Import a book, if it still follows the one that it was made to follow; return its version."""
    with ledger.snapshot() as session:
        newest = newest_version(session, kind)
    of = kind.removesuffix("_book")
    if newest != wanted.base:
        raise EntryError(
            f"the {of} book is version {newest} by now, and this one was made to follow version {wanted.base}",
            hint="put both together and ask again",
        )
    source = f"{wanted.source or f'{of}s.toml'} (approval {granted.approval_id})"
    report = importing(ledger, wanted.content.encode(), "toml", source=source, imported_us=ledger.now_us())
    if not report.changed:
        raise EntryError(f"that is version {report.version} of the {of} book already", hint="there is nothing to ask")
    return report.version


def _close(ledger: Ledger, wanted: Wanted, granted: Granted) -> str:
    period = parse_period(wanted.period, ledger.calendar.days)
    report = close_period(ledger, period, closed_by=granted.approved_by, exception=granted.words)
    return f"period {report.label}"


_ACTS: Final[dict[str, Callable[[Ledger, Wanted, Granted], str]]] = {
    "adjustment": _adjust,
    "dispute": _resolve,
    "price": _price,
    "budget_book": _budget_book,
    "quota_book": _quota_book,
}
