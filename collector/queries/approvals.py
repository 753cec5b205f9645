"""Approval requests as answers: what is wanted, who has to approve it, what became of it, and its whole history."""

from __future__ import annotations

import difflib
from typing import Final

import msgspec

from collector.governance.deciding import RecordedDecision, recorded_decisions
from collector.governance.rulebooks import rules_of_version
from collector.governance.stored import StoredRequest, find_request, load_requests
from collector.governance.wanted import Wanted
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.queries.figures import instant
from gpuledger.accounting.periods import iso
from gpuledger.rules.approving import in_words
from gpuledger.rules.book import Trial
from gpuledger.rules.fields import write_value
from gpuledger.rules.requests import State, Step, in_force, standing

_CONTENTS: Final = {
    "price": ("price_content", "price_version"),
    "budget_book": ("budget_content", "budget_version"),
    "quota_book": ("quota_content", "quota_version"),
}


class ApprovalRow(msgspec.Struct, frozen=True):
    """One request. `state` is waiting, granted, denied, refused (by a rule), withdrawn or expired.

    `needs` says whose approvals it waits for. `[from, to)` is when the effect of one that holds for a time does: as
    it was asked for until it is granted, then as it is. `made` is what a granted one made, such as adjustment 4.
    """

    approval: int
    state: str
    kind: str
    owner: str
    wanted: str
    why: str
    requested_by: str
    requested_at: str
    needs: str
    approved_by: str
    expires_at: str
    decided_at: str | None
    from_: str | None = msgspec.field(name="from")
    to: str | None
    in_force: bool
    made: str


class Approvals(msgspec.Struct, frozen=True):
    """All requests by number."""

    rows: list[ApprovalRow]


class ApprovalStep(msgspec.Struct, frozen=True):
    """Something that was done about a request. It is never changed. `roles` are those that it was decided in."""

    at: str
    what: str
    by: str
    roles: list[str]
    why: str


class RuleTrial(msgspec.Struct, frozen=True):
    """What became of one rule, and by which of its clauses."""

    rule: str
    place: int
    mode: str
    action: str
    became: str
    why: str


class Approval(msgspec.Struct, frozen=True):
    """One request whole: `rows` are its steps, `rules` what the rules of its instant made of it, on which facts.

    `changes` are lines of a price book that would go (-) or come (+), held against the version that it follows. Rules
    and their facts are not shown to those who see the rows of some owners only.
    """

    approval: ApprovalRow
    rows: list[ApprovalStep]
    decision: int
    rules_version: int
    facts: dict[str, str]
    rules: list[RuleTrial]
    changes: list[str]


def approvals(ledger: Ledger, *, state: str = "") -> Approvals:
    """Return all requests, or those in one state now."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        rows = [_row(each, now_us) for each in load_requests(session)]
    return Approvals([row for row in rows if state in ("", row.state)])


def approval(ledger: Ledger, *, id: int) -> Approval:  # noqa: A002 - what the parameter is called over HTTP
    """Return one request. Raises ConfigError where there is none."""
    with ledger.snapshot() as session:
        stored = find_request(session, id)
        decided = recorded_decisions(session, decision_id=stored.decision_id)  # none where the session is limited
        tried = [trial for decision in decided for trial in trials_of(session, decision)]
        changes = _changes(session, stored.kind, stored.wanted)
    return Approval(
        approval=_row(stored, ledger.now_us()),
        rows=[_step(step) for step in stored.request.steps],
        decision=stored.decision_id,
        rules_version=decided[0].rules_version if decided else 0,
        facts=facts_shown(decided[0]) if decided else {},
        rules=tried,
        changes=changes,
    )


def trials_of(session: Session, decision: RecordedDecision) -> list[RuleTrial]:
    """Return what became of each rule of the book that decided: it decides the same of the same facts again."""
    book = rules_of_version(session, decision.rules_version).book
    return [shown(each) for each in book.decide(decision.facts, decision.at_us).trials]


def facts_shown(decision: RecordedDecision) -> dict[str, str]:
    """Return the facts of a decision as texts."""
    return {name: write_value(value) for name, value in sorted(decision.facts.items())}


def shown(trial: Trial) -> RuleTrial:
    """Return what became of a rule as answers show it."""
    return RuleTrial(trial.rule, trial.place, trial.mode.value, trial.action.value, trial.became.value, trial.why)


def _row(stored: StoredRequest, now_us: int) -> ApprovalRow:
    request = stored.request
    stands = standing(request, now_us)
    from_us, to_us = stands.effect or (request.from_us, request.to_us)
    return ApprovalRow(
        approval=stored.approval_id,
        state=stands.state.value,
        kind=stored.kind,
        owner=stored.owner,
        wanted=wanted_in_words(stored),
        why=request.steps[0].why,
        requested_by=request.requested_by,
        requested_at=iso(request.steps[0].at_us),
        needs=in_words(stands.needs) if stands.state is State.WAITING else "",
        approved_by=", ".join(stands.approved_by),
        expires_at=iso(request.expires_us),
        decided_at=None if stands.state is State.WAITING else iso(stands.since_us),
        from_=instant(from_us),
        to=instant(to_us),
        in_force=in_force(request, now_us),
        made=stored.made,
    )


def wanted_in_words(stored: StoredRequest) -> str:
    """Return what is wanted, in words."""
    wanted = stored.wanted
    amount = f"{wanted.amount} {wanted.currency}".strip()
    quantity = f"{wanted.gpu_hours} GPU-hours" if wanted.gpu_hours else f"{wanted.gpus} GPUs"
    about = (f" of {wanted.model}" if wanted.model else "") + (f" in {wanted.pool}" if wanted.pool else "")
    much = f" ({wanted.percent} %)" if wanted.percent else f" ({wanted.amount})" if wanted.amount else ""
    up_to = f" with up to {wanted.gpus} GPUs" if wanted.gpus else ""
    return {
        "budget": f"{amount} more to spend",
        "quota": f"{quantity} more{about}",
        "price": f"the price book {wanted.source or 'that came with it'}",
        "budget_book": f"the budget book {wanted.source or 'that came with it'}",
        "quota_book": f"the quota book {wanted.source or 'that came with it'}",
        "dispute": f"dispute {wanted.dispute} {wanted.decision}{much}",
        "adjustment": f"{amount} on the bill" + (f" for {wanted.period}" if wanted.period else ""),
        "exception": f"close {wanted.period} as it is" if wanted.period else f"let through{up_to}{about}",
    }[stored.kind]


def _changes(session: Session, kind: str, wanted: Wanted) -> list[str]:
    """Return what another book changes of the one that it follows, as lines; nothing of other requests."""
    if not wanted.content:
        return []
    statement, version = _CONTENTS[kind]
    rows = session.execute(statement, {version: wanted.base}).to_pylist()
    before = rows[0]["content"].splitlines() if rows else []
    lines = difflib.unified_diff(before, wanted.content.splitlines(), lineterm="", n=1)
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _step(step: Step) -> ApprovalStep:
    return ApprovalStep(iso(step.at_us), step.what.value, step.by, list(step.roles), step.why)
