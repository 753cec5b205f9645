"""Disputes: opened about a charge or a line of an invoice, and ended once, by a decision or by being withdrawn."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.entries import EntryError, Payer, amount_quanta, find_owner, needed, words
from collector.periods.question import in_question
from collector.queries.charge_id import SEPARATOR, ChargeId, parse_charge_id
from collector.queries.figures import money
from collector.rating import rate_dirty
from gpuledger.accounting.disputes import Decision, Resolution
from gpuledger.errors import ConfigError

OPENED: Final = "opened"
RESOLVED: Final = "resolved"
WITHDRAWN: Final = "withdrawn"
HINT_SUBJECT: Final = (
    "name a charge (the column charge of /v1/charges), an invoice such as 7, or a line of it such as 7-2"
)
_DOCUMENT: Final = re.compile(r"(?:invoice )?([1-9]\d{0,8})(?:-([1-9]\d{0,8}))?", re.ASCII)
_PERCENT: Final = re.compile(r"\d{1,3}(\.\d{1,6})?", re.ASCII)


NOBODY: Final = Payer()
_ACTS: Final = {OPENED: "dispute.open", RESOLVED: "dispute.resolve", WITHDRAWN: "dispute.withdraw"}


class _Subject(NamedTuple):
    """What a dispute is about, as `disputes` keeps it; its charges are in `disputed_charges` already."""

    subject: str
    payer: Payer
    invoice_number: int = 0
    line: int = 0
    span: tuple[int, int] | None = None  # of an adjustment, which has no charges
    after_period_id: int = 0
    fixed_quanta: int | None = None


class _Done(NamedTuple):
    """What somebody did about a dispute; of a decision, what it is and who pays instead."""

    what: str
    by: str
    why: str
    same_person: str = ""
    resolution: Resolution | None = None
    to: Payer = NOBODY


def open_dispute(ledger: Ledger, *, on: str, by: str, why: str, owner: str = "") -> int:
    """Open a dispute about a charge, an invoice (all its charges) or a line of one; return its number.

    A charge that a price turn cut out of its hour is disputed with the other parts of that hour: the holder, the state
    and the reason are the same, and where the cut is may change with the price book.
    `owner` says for whom, where several pay for a charge. Raises ConfigError where `on` names nothing, or nobody says
    why; EntryError where there is nothing to dispute: it costs nothing, is a credit, or is disputed already.
    """
    by, why = _who_and_why("opens", by, why)
    rate_dirty(ledger)
    with ledger.transaction() as session:
        dispute_id: int = session.execute("dispute_next").to_pylist()[0]["dispute_id"]
        found = (
            _charge(session, dispute_id, parse_charge_id(on.strip()), owner)
            if SEPARATOR in on
            else _document(session, dispute_id, on.strip())
        )
        from_us, to_us = found.span or _span(session, dispute_id)
        session.execute(
            "dispute_insert",
            {
                "dispute_id": dispute_id,
                "subject": found.subject,
                "invoice_number": found.invoice_number,
                "line": found.line,
                **found.payer._asdict(),
                "from_us": from_us,
                "to_us": to_us,
                "after_period_id": found.after_period_id,
                "fixed_quanta": found.fixed_quanta,
            },
        )
        _event(session, dispute_id, ledger, _Done(OPENED, by, why))
        _require_new(session, dispute_id)
        if sum(_amounts(session, _stored(session, dispute_id))) <= 0:
            raise EntryError(
                f"{found.subject} comes to nothing for {found.payer}: there is nothing to dispute",
                hint='time without a price gets one with "gpuledger adjustment price"; a credit is changed by '
                '"gpuledger adjustment add"',
            )
    return dispute_id


def require_subject(ledger: Ledger, *, on: str, owner: str = "") -> None:
    """Raise ConfigError where `on` names nothing in this ledger, or `owner` nobody: nothing is opened."""
    with ledger.snapshot() as session:
        if owner:
            find_owner(session, owner)
        if SEPARATOR in on:
            charge = parse_charge_id(on.strip())
            if not session.execute("dispute_charge_owners", _named(charge)).to_pylist():
                raise _no_charge(charge)
        else:
            _invoice_head(session, on.strip())


def resolve_dispute(
    ledger: Ledger,
    dispute_id: int,
    *,
    decision: str,
    by: str,
    why: str,
    amount: str = "",
    percent: str = "",
    to: str = "",
    same_person: str = "",
) -> None:
    """Decide a dispute, once: what it gives back goes onto the next bill, and the same amount to whom it is moved.

    Raises ConfigError where the decision is unclear; EntryError where the dispute has ended, where the one who opened
    it decides it and `same_person` does not say why, or where more is given back than is in question.
    """
    by, why = _who_and_why("decides", by, why)
    same_person = words("why the same person decides", same_person)
    resolution = _resolution(decision, amount, percent)
    rate_dirty(ledger)
    with ledger.transaction() as session:
        row = _open_one(session, dispute_id)
        alone = _same(by, row["opened_by"])
        if alone and not same_person:
            raise EntryError(
                f"{by} opened dispute {dispute_id}, and another person decides it",
                hint="let somebody else decide, or say with --same-person why nobody else can",
            )
        receiver = _receiver(session, row, resolution, to)
        _require_enough(row, resolution, sum(_amounts(session, row)))
        done = _Done(RESOLVED, by, why, same_person if alone else "", resolution, receiver)
        _event(session, dispute_id, ledger, done)


def withdraw_dispute(ledger: Ledger, dispute_id: int, *, by: str, why: str) -> None:
    """End a dispute without a decision. Raises EntryError where it has ended already."""
    by, why = _who_and_why("withdraws", by, why)
    with ledger.transaction() as session:
        _open_one(session, dispute_id)
        _event(session, dispute_id, ledger, _Done(WITHDRAWN, by, why))


def _who_and_why(does: str, by: str, why: str) -> tuple[str, str]:
    who = needed(f"who {does} it", by, 'say who does: --by NAME, or "by"')
    return who, needed("the reason", why, 'say why: --why TEXT, or "why"; it stands in the history for ever')


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def _charge(session: Session, dispute_id: int, charge: ChargeId, owner: str) -> _Subject:
    named = _named(charge)
    rows = session.execute("dispute_charge_owners", named).to_pylist()
    if not rows:
        raise _no_charge(charge)
    payers = [Payer(row["organisation"], row["department"], row["team"]) for row in rows]
    payer = find_owner(session, owner) if owner else payers[0]
    if payer not in payers or (len(payers) > 1 and not owner):
        raise ConfigError(
            f"{'several owners pay' if not owner else f'{payer} does not pay'} for {charge}",
            hint=f"say for whom with --owner: {', '.join(map(str, payers))}",
        )
    session.execute("dispute_insert_charge", {"dispute_id": dispute_id, **named})
    return _Subject(str(charge._replace(offset_us=0)), payer)


def _named(charge: ChargeId) -> dict[str, Any]:
    return {
        "hour_us": charge.hour_us,
        "cluster": charge.cluster,
        "node": charge.node,
        "device": charge.device,
        "holder_key": charge.holder,
        "reason_text": charge.reason,
        "state": int(charge.state),
    }


def _no_charge(charge: ChargeId) -> ConfigError:
    return ConfigError(f"there is no charge {charge}", hint="is its hour rated, and its device spelled right?")


def _invoice_head(session: Session, text: str) -> tuple[dict[str, Any], int, int]:
    """Return the invoice that a text names, its number, and the line that is meant (0: all of it)."""
    found = _DOCUMENT.fullmatch(text)
    if not found:
        raise ConfigError(f'"{text}" is neither a charge nor an invoice', hint=HINT_SUBJECT)
    number, at = int(found[1]), int(found[2] or 0)
    heads = session.execute("query_invoices", {"invoice_number": number}).to_pylist()
    if not heads:
        raise ConfigError(f"there is no invoice {number}", hint="gpuledger invoice list shows all of them")
    return heads[0], number, at


def _document(session: Session, dispute_id: int, text: str) -> _Subject:
    head, number, at = _invoice_head(session, text)
    payer = Payer(head["organisation"], head["department"], head["team"])
    subject = _Subject(f"invoice {number}-{at}" if at else f"invoice {number}", payer, number, at)
    lines = session.execute("query_invoice_lines", {"invoice_number": number}).to_pylist()
    line = next((each for each in lines if each["line"] == at), None)
    if at and line is None:
        raise ConfigError(f"invoice {number} has no line {at}", hint=f"gpuledger invoice show {number} has its lines")
    if line and line["cost_quanta"] <= 0:
        raise EntryError(
            f"line {at} of invoice {number} is no charge: it comes to {money(line['cost_quanta'])}",
            hint='a credit is not disputed; change it with "gpuledger adjustment add"',
        )
    if line and line["kind"] not in ("charge", "correction"):
        return subject._replace(span=(head["from_us"], head["to_us"]), fixed_quanta=line["cost_quanta"])
    bounds = {"from_us": head["from_us"], "to_us": head["to_us"]}
    session.execute("dispute_insert_line", {"dispute_id": dispute_id, "invoice_number": number, "line": at, **bounds})
    if line and line["kind"] == "correction":
        return subject._replace(after_period_id=head["period_id"])
    return subject


def _span(session: Session, dispute_id: int) -> tuple[int, int]:
    [row] = session.execute("dispute_span", {"dispute_id": dispute_id}).to_pylist()
    if not row["charge_count"]:
        raise EntryError("there are no charges on it", hint="dispute its lines one by one: INVOICE-LINE")
    return row["from_us"], row["to_us"]


def _require_new(session: Session, dispute_id: int) -> None:
    others = session.execute("dispute_overlaps", {"dispute_id": dispute_id}).to_pylist()
    if others:
        other = others[0]["dispute_id"]
        raise EntryError(
            f"dispute {other} is about that, or a part of it, already",
            hint=f"gpuledger dispute show {other}; what is decided is changed by gpuledger adjustment add",
        )


def _stored(session: Session, dispute_id: int) -> dict[str, Any]:
    rows = session.execute("dispute_states", {"dispute_id": dispute_id}).to_pylist() if dispute_id > 0 else []
    if not rows:
        raise ConfigError(f"there is no dispute {dispute_id}", hint="gpuledger dispute list shows all of them")
    return dict(rows[0])


def _open_one(session: Session, dispute_id: int) -> dict[str, Any]:
    row = _stored(session, dispute_id)
    if row["ended"] != "open":
        how = f"decided ({row['decision']})" if row["decision"] else row["ended"]
        raise EntryError(
            f"dispute {dispute_id} was {how} by {row['ended_by']} already",
            hint="what was decided stands; a mistake in it is put right by gpuledger adjustment add",
        )
    return row


def _amounts(session: Session, row: dict[str, Any]) -> Sequence[int]:
    return list(in_question(session, [row])[row["dispute_id"]].values())


def _resolution(decision: str, amount: str, percent: str) -> Resolution:
    try:
        decided = Decision(decision)
    except ValueError as error:
        known = ", ".join(Decision)
        raise ConfigError(f'"{decision}" is no decision', hint=f"one of: {known}") from error
    if (decided is Decision.PARTLY) != bool(amount or percent) or (amount and percent):
        raise ConfigError(
            "how much is given back is unclear",
            hint="with partly, give either an amount or a percentage; with upheld and rejected, neither",
        )
    if not amount and not percent:
        return Resolution(decided)
    if percent:
        if not _PERCENT.fullmatch(percent) or not 0 < Decimal(percent) <= 100:
            raise ConfigError(f'"{percent}" is not a percentage', hint="write it as 50 or 12.5: above 0, at most 100")
        return Resolution(decided, percent=Decimal(percent))
    given = amount_quanta(amount)
    if given < 0:
        raise ConfigError(f"{amount} is negative", hint="say how much the owner gets back, as 12.50")
    return Resolution(decided, amount_quanta=given)


def _receiver(session: Session, row: dict[str, Any], resolution: Resolution, to: str) -> Payer:
    payer = Payer(row["organisation"], row["department"], row["team"])
    if resolution.decision is Decision.REJECTED:
        if to:
            raise ConfigError("a rejected dispute moves nothing", hint="leave --to out")
        return Payer()
    receiver = find_owner(session, to) if to else Payer()
    if receiver == payer:
        raise ConfigError(f"{payer} pays for it already", hint="say with --to who pays instead")
    return receiver


def _require_enough(row: dict[str, Any], resolution: Resolution, question_quanta: int) -> None:
    if resolution.amount_quanta is not None and resolution.amount_quanta > question_quanta:
        raise EntryError(
            f"dispute {row['dispute_id']} is about {money(question_quanta)}: {money(resolution.amount_quanta)} is more",
            hint="give back at most what was charged",
        )


def _event(session: Session, dispute_id: int, ledger: Ledger, done: _Done) -> None:
    resolution, to, at_us = done.resolution, done.to, ledger.now_us()
    session.execute(
        "dispute_insert_event",
        {
            "dispute_id": dispute_id,
            "event": 1 if done.what == OPENED else 2,
            "what": done.what,
            "at_us": at_us,
            "by_whom": done.by,
            "why": done.why,
            "same_person": done.same_person,
            "decision": resolution.decision.value if resolution else "",
            "amount_quanta": resolution.amount_quanta if resolution else None,
            "percent": resolution.percent if resolution else None,
            "to_organisation": to.organisation,
            "to_department": to.department,
            "to_team": to.team,
        },
    )
    said = {"by": done.by, "why": done.why, "decision": resolution.decision.value if resolution else ""}
    record(session, at_us, _ACTS[done.what], f"dispute {dispute_id}", said)
