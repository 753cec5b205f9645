"""What rules are asked about a request: its facts, of which some are only known once it was tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from decimal import ROUND_UP, Decimal
from typing import Final, NamedTuple

from collector.governance.applying import Granted, apply
from collector.governance.budget_books import book_gains
from collector.governance.budget_files import parse_budget_book
from collector.governance.owners import known_nodes
from collector.governance.quota_books import quota_book_gains
from collector.governance.quota_files import parse_quota_book
from collector.governance.wanted import Terms, Wanted
from collector.ledger.database import Session
from collector.ledger.joined import JoinedLedger
from collector.ledger.store import Ledger
from collector.ledger.trial import trial
from collector.periods.closing import require_closable
from collector.periods.entries import Payer
from collector.periods.question import standings
from gpuledger.accounting.budget_gains import Gain, added
from gpuledger.accounting.budgets import EVERYTHING
from gpuledger.accounting.money import Money, from_quanta
from gpuledger.accounting.periods import parse_period
from gpuledger.accounting.quota_gains import QuotaGain, added_of
from gpuledger.accounting.quotas import DEVICES
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.rules.facts import Facts, make_facts, time_facts
from gpuledger.rules.fields import plain

# To close a period takes too long to do it twice.
_TRIED: Final = frozenset({"adjustment", "dispute", "price", "budget_book", "quota_book"})
_MONEY: Final = frozenset({"budget", "price", "budget_book", "dispute", "adjustment"})
_IN_BOOKS: Final = frozenset({"budget_book", "quota_book"})  # asked about by what they allow beyond those before
_DAY: Final = Decimal("0.000001")
_EXACT: Final = Decimal("0.000000001")


class Proposal(NamedTuple):
    """A request before it is one: what is wanted, by whom, why and for when."""

    kind: str
    wanted: Wanted
    terms: Terms

    @property
    def four_eyes(self) -> bool:
        """Return whether somebody else has to look at it whatever rules say: it changes what is billed or spent."""
        return self.kind in _MONEY or bool(self.wanted.period)


class Tried(NamedTuple):
    """What a trial of a request showed: whom it is about, and how much money or what else, where it did not say so."""

    owner: str = ""
    amount: Money | None = None
    quantities: dict[str, str] = {}  # facts about GPUs  # noqa: RUF012 - never changed


def try_request(ledger: Ledger, proposal: Proposal) -> Tried:
    """Do what is wanted, look, and undo it: what cannot be done is refused before anybody is asked.

    Raises what the act itself raises.
    """
    kind, wanted, terms = proposal
    if wanted.period and kind == "exception":
        with ledger.snapshot() as session:
            require_closable(session, parse_period(wanted.period, ledger.calendar.days), ledger.now_us())
    if kind not in _TRIED:
        return Tried()
    with trial(ledger) as trying:
        found = _in_book(trying, kind, wanted) if kind in _IN_BOOKS else Tried()
        apply(trying, kind, wanted, Granted(0, terms.by, terms.why, "another person"))
        return _in_dispute(trying, wanted.dispute) if kind == "dispute" else found


def tried_gains(found: Sequence[Gain]) -> Tried:
    """Return whom what a budget book allows more is about, where that is one owner, and how much it is in all."""
    much = added(found)
    return Tried(_one_owner(found), Money(from_quanta(much[0]).normalize(), much[1]) if much else None)


def tried_quota_gains(found: Sequence[QuotaGain]) -> Tried:
    """Return the same of a quota book: how many GPUs or GPU-hours it is in all, and of which model where of one."""
    much = added_of(found)
    models = {each.lane.model for each in found}
    quantities = {"model": models.pop()} if len(models) == 1 and EVERYTHING not in models else {}
    if much:
        amount, of = Decimal(much[0]) / GPU_PARTS, much[1]
        name, exact = ("gpus", amount) if of == DEVICES else ("gpu_hours", amount / US_PER_HOUR)
        quantities[name] = plain(exact.quantize(_EXACT, ROUND_UP))  # never seen as smaller than it is
    return Tried(_one_owner(found), None, quantities)


def facts_of(session: Session, proposal: Proposal, tried: Tried, now_us: int, zone: tzinfo) -> Facts:
    """Return what rules may ask about a request. An amount counts by its size: a credit is as large as a charge."""
    kind, wanted, terms = proposal
    owner = wanted.owner or tried.owner
    amount = wanted.money or tried.amount
    given: dict[str, str | int | Decimal | Money] = {"kind": kind, "user": terms.by}
    given |= time_facts(now_us, zone)
    given |= {name: getattr(wanted, name) for name in ("gpus", "gpu_hours", "model", "pool") if getattr(wanted, name)}
    given |= tried.quantities
    if owner:
        given |= {"owner": owner, **known_nodes(session).get(owner, {})}
    if amount:
        given["amount"] = Money(abs(amount.amount), amount.currency)
    if terms.to_us is not None:
        length_us = terms.to_us - max(now_us, terms.from_us or now_us)
        given["days"] = plain((Decimal(length_us) / US_PER_DAY).quantize(_DAY))
    return make_facts(given)


def _in_book(trying: JoinedLedger, kind: str, wanted: Wanted) -> Tried:
    """Return whom what a book allows beyond the newest one is about, and how much that is."""
    content, source, zone = wanted.content.encode(), wanted.source or "the book", trying.calendar.days
    with trying.snapshot() as session:
        if kind == "quota_book":
            quotas = parse_quota_book(content, "toml", source, zone)
            return tried_quota_gains(quota_book_gains(session, quotas, zone, trying.now_us()))
        book = parse_budget_book(content, "toml", source, zone)
        return tried_gains(book_gains(session, book, zone, trying.now_us()))


def _one_owner(found: Sequence[Gain] | Sequence[QuotaGain]) -> str:
    """Return whom all of it is about; empty where that is not one owner, or everybody."""
    owners = {each.owner for each in found}
    owner = owners.pop() if len(owners) == 1 else ""
    return "" if owner == EVERYTHING else owner


def _in_dispute(trying: JoinedLedger, number: int) -> Tried:
    """Return who disputes, and what the decision gives back."""
    with trying.snapshot() as session:
        rows = session.execute("dispute_states", {"dispute_id": number}).to_pylist()
        given_quanta = sum(standings(session, rows)[number].granted.values())
        currency = session.execute("price_newest").to_pylist()[0]["currency"]
    [row] = rows
    owner = str(Payer(row["organisation"], row["department"], row["team"]))
    return Tried(owner, Money(from_quanta(given_quanta).normalize(), currency))
