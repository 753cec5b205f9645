"""Disputes as answers: what each is about, what was decided, what bills have of that, and its whole history."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.entries import Payer
from collector.periods.question import Standing, standings
from collector.queries.charge_id import ChargeId, charge_id_of
from collector.queries.explain import explain
from collector.queries.figures import instant, money
from gpuledger.accounting.periods import iso
from gpuledger.errors import ConfigError

MAX_CHARGES: Final = 1_000
EXPLAINED: Final = 5  # charges of a dispute that are explained; each of the others can be


class DisputeRow(msgspec.Struct, frozen=True):
    """One dispute. `cost` is what is in question as it is known now.

    Of that, `granted` follows from the decision, `billed` is on closed bills, and `waiting` is what the next one gives
    back (negative: takes again). `state` is open, withdrawn, rejected, decided (something waits for a bill) or settled.
    """

    dispute: int
    state: str
    about: str
    owner: str
    from_: str = msgspec.field(name="from")
    to: str
    opened_at: str
    opened_by: str
    why: str
    decision: str
    decided_by: str
    decided_at: str | None
    moved_to: str
    cost: str | None
    granted: str | None
    billed: str | None
    waiting: str | None
    bills: str


class Disputes(msgspec.Struct, frozen=True):
    """All disputes by number."""

    currency: str
    rows: list[DisputeRow]


class DisputeEvent(msgspec.Struct, frozen=True):
    """Something that somebody did about a dispute. It is never changed."""

    at: str
    what: str
    by: str
    why: str
    decision: str
    amount: str | None
    percent: str | None
    moved_to: str
    same_person: str


class DisputedCharge(msgspec.Struct, frozen=True):
    """A charge that is in question, with what its owner pays for it now; `steps` explain the dearest few."""

    charge: str
    held_us: int
    cost: str | None
    steps: list[str]


class Dispute(msgspec.Struct, frozen=True):
    """One dispute whole. `rows` are its charges, the dearest first; `more` says that cheaper ones were left out."""

    currency: str
    dispute: DisputeRow
    history: list[DisputeEvent]
    rows: list[DisputedCharge]
    more: bool


def disputes(ledger: Ledger) -> Disputes:
    """Return all disputes."""
    with ledger.snapshot() as session:
        rows = session.execute("dispute_states", {"dispute_id": 0}).to_pylist()
        found = standings(session, rows)
        return Disputes(_currency(session), [_row(row, found[row["dispute_id"]]) for row in rows])


def dispute(ledger: Ledger, *, id: int) -> Dispute:  # noqa: A002 - what the parameter is called over HTTP
    """Return one dispute with its history and its charges explained. Raises ConfigError where there is none."""
    asked = {"dispute_id": id}
    with ledger.snapshot() as session:
        rows = session.execute("dispute_states", asked).to_pylist()
        if not rows:
            raise ConfigError(f"there is no dispute {id}", hint="gpuledger dispute list shows all of them")
        row = _row(rows[0], standings(session, rows)[id])
        history = [_event(each) for each in session.execute("dispute_events", asked).to_pylist()]
        charges = session.execute("dispute_charges", {**asked, "max_rows": MAX_CHARGES + 1}).to_pylist()
        currency = _currency(session)
    steps = [_steps(ledger, charge_id_of(each)) for each in charges[:EXPLAINED]]
    shown = [
        DisputedCharge(
            str(charge_id_of(each)), each["held_us"], money(each["cost_quanta"]), steps[at] if at < EXPLAINED else []
        )
        for at, each in enumerate(charges[:MAX_CHARGES])
    ]
    return Dispute(currency, row, history, shown, more=len(charges) > MAX_CHARGES)


def _steps(ledger: Ledger, charge: ChargeId) -> list[str]:
    try:
        return explain(ledger, charge=charge).steps
    except ConfigError:  # usage that came since made another charge of it
        return ["there is no such charge any more: usage that came since shows something else"]


def _currency(session: Session) -> str:
    books = session.execute("price_newest").to_pylist()
    return str(books[0]["currency"]) if books else ""


def _row(row: Mapping[str, Any], standing: Standing) -> DisputeRow:
    due = sum(standing.due.values()) if row["decision"] else 0
    decided = bool(row["decision"])
    return DisputeRow(
        dispute=row["dispute_id"],
        state=_state(row, waits=bool(standing.due)),
        about=row["subject"],
        owner=str(Payer(row["organisation"], row["department"], row["team"])),
        from_=iso(row["from_us"]),
        to=iso(row["to_us"]),
        opened_at=iso(row["opened_us"]),
        opened_by=row["opened_by"],
        why=row["why"],
        decision=row["decision"],
        decided_by=row["ended_by"] if decided else "",
        decided_at=instant(row["ended_us"]) if decided else None,
        moved_to=_moved_to(row),
        cost=money(sum(standing.question.values())),
        granted=money(sum(standing.granted.values())) if decided else None,
        billed=money(sum(standing.posted.values())),
        waiting=money(due),
        bills=standing.bills,
    )


def _state(row: Mapping[str, Any], *, waits: bool) -> str:
    if not row["decision"]:
        return str(row["ended"])
    if row["decision"] == "rejected":
        return "rejected"
    return "decided" if waits else "settled"


def _moved_to(row: Mapping[str, Any]) -> str:
    if row["decision"] in ("", "rejected"):
        return ""
    return str(Payer(row["to_organisation"], row["to_department"], row["to_team"]))


def _event(row: Mapping[str, Any]) -> DisputeEvent:
    return DisputeEvent(
        at=iso(row["at_us"]),
        what=row["what"],
        by=row["by_whom"],
        why=row["why"],
        decision=row["decision"],
        amount=money(row["amount_quanta"]),
        percent=None if row["percent"] is None else f"{row['percent'].normalize():f}",
        moved_to=_moved_to(row),
        same_person=row["same_person"],
    )
