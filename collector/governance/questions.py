"""What rules are asked about a request: its facts, of which some are only known once it was tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo
from decimal import Decimal
from typing import Final, NamedTuple

from collector.governance.applying import Granted, apply
from collector.governance.budget_books import book_gains
from collector.governance.budget_files import parse_budget_book
from collector.governance.owners import known_nodes
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
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.rules.facts import Facts, make_facts, time_facts
from gpuledger.rules.fields import plain

_TRIED: Final = frozenset(
    {"adjustment", "dispute", "price", "budget_book"}
)  # to close a period takes too long to do it twice
_MONEY: Final = frozenset({"budget", "price", "budget_book", "dispute", "adjustment"})
_DAY: Final = Decimal("0.000001")


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
    """What a trial of a request showed: whom it is about and how much of their money, where it did not say so."""

    owner: str = ""
    amount: Money | None = None


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
        gains = _gains(trying, wanted) if kind == "budget_book" else []
        apply(trying, kind, wanted, Granted(0, terms.by, terms.why, "another person"))
        return _in_dispute(trying, wanted.dispute) if kind == "dispute" else tried_gains(gains)


def tried_gains(found: Sequence[Gain]) -> Tried:
    """Return whom what a budget book allows more is about, where that is one owner, and how much it is in all."""
    owners = {each.owner for each in found}
    owner = owners.pop() if len(owners) == 1 else ""
    much = added(found)
    amount = Money(from_quanta(much[0]).normalize(), much[1]) if much else None
    return Tried("" if owner == EVERYTHING else owner, amount)


def facts_of(session: Session, proposal: Proposal, tried: Tried, now_us: int, zone: tzinfo) -> Facts:
    """Return what rules may ask about a request. An amount counts by its size: a credit is as large as a charge."""
    kind, wanted, terms = proposal
    owner = wanted.owner or tried.owner
    amount = wanted.money or tried.amount
    given: dict[str, str | int | Decimal | Money] = {"kind": kind, "user": terms.by}
    given |= time_facts(now_us, zone)
    given |= {name: getattr(wanted, name) for name in ("gpus", "gpu_hours", "model", "pool") if getattr(wanted, name)}
    if owner:
        given |= {"owner": owner, **known_nodes(session).get(owner, {})}
    if amount:
        given["amount"] = Money(abs(amount.amount), amount.currency)
    if terms.to_us is not None:
        length_us = terms.to_us - max(now_us, terms.from_us or now_us)
        given["days"] = plain((Decimal(length_us) / US_PER_DAY).quantize(_DAY))
    return make_facts(given)


def _gains(trying: JoinedLedger, wanted: Wanted) -> list[Gain]:
    book = parse_budget_book(wanted.content.encode(), "toml", wanted.source or "the book", trying.calendar.days)
    with trying.snapshot() as session:
        return book_gains(session, book, trying.calendar.days, trying.now_us())


def _in_dispute(trying: JoinedLedger, number: int) -> Tried:
    """Return who disputes, and what the decision gives back."""
    with trying.snapshot() as session:
        rows = session.execute("dispute_states", {"dispute_id": number}).to_pylist()
        given_quanta = sum(standings(session, rows)[number].granted.values())
        currency = session.execute("price_newest").to_pylist()[0]["currency"]
    [row] = rows
    owner = str(Payer(row["organisation"], row["department"], row["team"]))
    return Tried(owner, Money(from_quanta(given_quanta).normalize(), currency))
