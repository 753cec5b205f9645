"""Requests for approval: asked once, decided by the people whom the rules of that instant name, and then done.

Each step is read, checked and written in one transaction of the ledger's only writer, with its audit event.
"""

from __future__ import annotations

from typing import Final

from collector.access.tokens import stored as tokens
from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.applying import Granted, apply
from collector.governance.deciding import record_decision
from collector.governance.questions import Proposal, Tried, facts_of, try_request
from collector.governance.rulebooks import newest_rules
from collector.governance.stored import StoredRequest, find_request, insert_request, insert_step, load_requests
from collector.governance.wanted import Asked, check_kind, read_terms, read_wanted
from collector.ledger.database import Session
from collector.ledger.joined import JoinedLedger
from collector.ledger.store import Ledger
from collector.periods.entries import EntryError, needed, words
from collector.rating import rate_dirty
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import iso
from gpuledger.rules.approving import in_words, may_fill, people, person
from gpuledger.rules.requests import APPROVING_ROLES, Request, State, Step, What, demanded, has_approved, standing

_RATED: Final = frozenset({"dispute", "exception"})  # what waits is rated first, while others still write
_ACTS: Final = {
    What.APPROVED: "approval.approve",
    What.DENIED: "approval.deny",
    What.WITHDRAWN: "approval.withdraw",
    What.ENDED: "approval.end",
    What.EXPIRED: "approval.expire",
}


class ApprovalError(EntryError):
    """A request that cannot be made, decided or taken back as things stand, or not by who tries."""


def request_approval(ledger: Ledger, asked: Asked) -> int:
    """Ask for something; return the number of the request.

    Rules decide at once whose approvals it needs: they are pinned. What a rule refuses is kept as refused; what a rule
    allows, and changes no money, is granted at once. Raises ConfigError where it is unclear, and whatever doing it
    would raise now.
    """
    kind = check_kind(asked)
    zone = ledger.calendar.days
    with ledger.snapshot() as session:
        terms = read_terms(asked, kind, ledger.now_us(), zone)
        proposal = Proposal(asked.kind, read_wanted(session, asked, zone), terms)
    if asked.kind in _RATED:
        rate_dirty(ledger)
    tried = try_request(ledger, proposal)
    with ledger.transaction() as session:
        stored = _ask(ledger, session, proposal, tried)
        if not stored.request.requirements and len(stored.request.steps) == 1:
            stored = stored._replace(made=_do(ledger, session, stored, f"rules {newest_rules(session).version.number}"))
        insert_request(session, stored)
    return stored.approval_id


def approve(ledger: Ledger, approval_id: int, *, by: str, why: str = "") -> None:
    """Approve a request; with the last approval that it needs it is granted, and what was wanted is done.

    Raises ApprovalError where it waits for nobody any more, where `by` asked for it, has approved it or has no role
    that it waits for; and what doing it raises: then nothing is recorded.
    """
    by = needed("who approves", by, 'say who does: --by NAME, or "by"')
    why = words("the reason", why)
    with ledger.snapshot() as session:
        kind = find_request(session, approval_id).kind
    if kind in _RATED:
        rate_dirty(ledger)
    with ledger.transaction() as session:
        stored, now_us = _waiting(ledger, session, approval_id)
        roles = _roles(session, stored, by, "approve", now_us)
        if has_approved(stored.request, by):
            raise ApprovalError(f"{by} has approved {stored.name} already", hint="another person is needed")
        step = Step(What.APPROVED, now_us, by, why, tuple(sorted(roles)))
        after = stored._replace(request=_with(stored.request, step))
        before, left = (standing(each.request, now_us) for each in (stored, after))
        if left.state is State.WAITING and people(left.needs) == people(before.needs):
            raise ApprovalError(
                f"{stored.name} does not need another approval in the roles of {by} ({', '.join(sorted(roles))})",
                hint=f"it needs {in_words(left.needs)}",
            )
        _record(session, stored, step, ledger.now_us())
        made = _do(ledger, session, after, by) if left.state is State.GRANTED else ""
        insert_step(session, stored, step, made)


def deny(ledger: Ledger, approval_id: int, *, by: str, why: str) -> None:
    """Deny a request: that ends it. Raises ApprovalError as `approve` does; who approved it may still deny it."""
    by, why = _who_and_why("denies", by, why)
    with ledger.transaction() as session:
        stored, now_us = _waiting(ledger, session, approval_id)
        roles = _roles(session, stored, by, "deny", now_us)
        _keep(ledger, session, stored, Step(What.DENIED, now_us, by, why, tuple(sorted(roles))))


def withdraw(ledger: Ledger, approval_id: int, *, by: str, why: str) -> None:
    """Take a request back, as who asked; or end what was granted before its time, as that or as somebody who approves.

    Raises ApprovalError where there is nothing to take back any more, or where it is not theirs to do so.
    """
    by, why = _who_and_why("withdraws", by, why)
    with ledger.transaction() as session:
        stored, now_us = _find(ledger, session, approval_id)
        stands = standing(stored.request, now_us)
        mine = person(by) == person(stored.request.requested_by)
        if stands.state is State.WAITING and mine:
            _keep(ledger, session, stored, Step(What.WITHDRAWN, now_us, by, why))
        elif stands.effect is not None and stands.effect.end_us > now_us:
            roles = () if mine else tuple(sorted(_roles(session, stored, by, "end", now_us)))
            _keep(ledger, session, stored, Step(What.ENDED, now_us, by, why, roles))
        elif stands.state is State.WAITING:
            raise ApprovalError(
                f"{stored.request.requested_by} asked for {stored.name}, and takes it back",
                hint=f"gpuledger approval deny {approval_id} says no",
            )
        elif stands.state is State.GRANTED:
            done = f"it made {stored.made}" if stored.made else "its time is over"
            raise ApprovalError(f"{stored.name} is done: {done}", hint="what it made is taken back there")
        else:
            raise _over(stored, now_us)


def note_expired(session: Session, now_us: int, since_us: int = 0) -> int:
    """Record of each request that nobody decided that its time is over; return how many there were.

    Looks at those whose time ended in `[since_us, now_us]`. They expire without it too.
    """
    found = lapsed(session, now_us, since_us)
    for stored in found:
        step = Step(What.EXPIRED, max(now_us, stored.request.steps[-1].at_us), "", "nobody decided it")
        insert_step(session, stored, step)
        _record(session, stored, step, now_us)
    return len(found)


def lapsed(session: Session, now_us: int, since_us: int = 0) -> list[StoredRequest]:
    """Return the requests whose time ended in `[since_us, now_us]`, undecided, of which that is not on record."""
    return [
        each
        for each in load_requests(session, expiring=Interval(since_us, now_us + 1))
        if each.request.steps[-1].what is not What.EXPIRED and standing(each.request, now_us).state is State.EXPIRED
    ]


def _ask(ledger: Ledger, session: Session, proposal: Proposal, tried: Tried) -> StoredRequest:
    """Return a new request as it is to be kept, with what rules decided about it on record."""
    now_us = ledger.now_us()
    kind, wanted, terms = proposal
    approval_id: int = session.execute("approval_next").to_pylist()[0]["approval_id"]
    rules = newest_rules(session)
    facts = facts_of(session, proposal, tried, now_us, rules.clock(ledger.calendar.days))
    decision = rules.book.decide(facts, now_us)
    name = f"approval {approval_id}"
    decision_id = record_decision(session, rules, facts, decision, at_us=now_us, subject=name)
    needs = demanded(decision.outcome, four_eyes=proposal.four_eyes)
    steps = [Step(What.REQUESTED, now_us, terms.by, terms.why)]
    if needs is None:
        rule = f'rule "{decision.outcome.rule}"' if decision.outcome.place else "no rule allows it"
        steps.append(Step(What.REFUSED, now_us, rule, decision.outcome.because))
    request = Request(terms.expires_us, needs or (), tuple(steps), terms.from_us, terms.to_us)
    said: dict[str, Value] = {
        "by": terms.by,
        "why": terms.why,
        "kind": kind,
        "owner": wanted.owner or tried.owner,
        "amount": f"{wanted.amount} {wanted.currency}".strip(),
        "action": decision.outcome.action.value,
        "rule": decision.outcome.rule,
        "rules": rules.version.number,
        "needs": [each.words for each in needs or ()],
        "notify": list(decision.outcome.notify),
        "expires": iso(terms.expires_us),
    }
    record(session, now_us, "approval.request", name, said)
    if needs is None:
        record(session, now_us, "approval.refuse", name, {"rule": decision.outcome.rule})
    return StoredRequest(approval_id, kind, wanted.owner or tried.owner, wanted, decision_id, request, "")


def _do(ledger: Ledger, session: Session, stored: StoredRequest, approved_by: str) -> str:
    """Do what was wanted, and say so: in this transaction."""
    request = stored.request
    at_us = request.steps[-1].at_us
    granted = Granted(stored.approval_id, request.requested_by, request.steps[0].why, approved_by)
    made = apply(JoinedLedger(ledger, session), stored.kind, stored.wanted, granted)
    effect = standing(request, at_us).effect
    said: dict[str, Value] = {"made": made}
    if effect:
        said |= {"from": iso(effect.start_us), "to": iso(effect.end_us)}
    record(session, ledger.now_us(), "approval.grant", stored.name, said)
    return made


def _keep(ledger: Ledger, session: Session, stored: StoredRequest, step: Step) -> None:
    insert_step(session, stored, step)
    _record(session, stored, step, ledger.now_us())


def _record(session: Session, stored: StoredRequest, step: Step, now_us: int) -> None:
    """Put a step into the audit log, at the clock's time: what it does may have events in between."""
    record(session, now_us, _ACTS[step.what], stored.name, {"by": step.by, "why": step.why})


def _find(ledger: Ledger, session: Session, approval_id: int) -> tuple[StoredRequest, int]:
    """Return a request and now: never before its last step, whatever the clock says."""
    stored = find_request(session, approval_id)
    return stored, max(ledger.now_us(), stored.request.steps[-1].at_us)


def _waiting(ledger: Ledger, session: Session, approval_id: int) -> tuple[StoredRequest, int]:
    """Return a request that waits for a decision, and now."""
    stored, now_us = _find(ledger, session, approval_id)
    if standing(stored.request, now_us).state is not State.WAITING:
        raise _over(stored, now_us)
    return stored, now_us


def _over(stored: StoredRequest, now_us: int) -> ApprovalError:
    stands = standing(stored.request, now_us)
    names = {State.EXPIRED: (), State.GRANTED: stands.approved_by}.get(stands.state, (stored.request.steps[-1].by,))
    by = f" by {', '.join(names)}" if names else ""
    return ApprovalError(
        f"{stored.name} is {stands.state}{by} since {iso(stands.since_us)}",
        hint="what was decided stands: ask again with gpuledger approval request",
    )


def _roles(session: Session, stored: StoredRequest, by: str, does: str, now_us: int) -> frozenset[str]:
    """Return the roles in which somebody decides about a request. Raises ApprovalError where it is not theirs to do."""
    request = stored.request
    if person(by) == person(request.requested_by):
        raise ApprovalError(
            f"{by} asked for {stored.name}, and another person has to {does} it",
            hint=f"it needs {in_words(request.requirements)}; gpuledger approval withdraw takes it back",
        )
    if stored.kind == "dispute":
        [dispute] = session.execute("dispute_states", {"dispute_id": stored.wanted.dispute}).to_pylist()
        if person(by) == person(dispute["opened_by"]):
            raise ApprovalError(
                f"{by} opened dispute {stored.wanted.dispute}, and another person has to {does} its decision",
                hint=f"it needs {in_words(request.requirements)}",
            )
    roles = roles_of(session, by, stored.owner, now_us)
    if not may_fill(request.requirements, roles):
        has = f"the roles {', '.join(sorted(roles))}" if roles else "no role"
        raise ApprovalError(
            f"{by} may not {does} {stored.name}: for {stored.owner or 'it'} {by} has {has}",
            hint=f"it needs {in_words(request.requirements)}; gpuledger rules list shows who has which role",
        )
    return roles


def roles_of(session: Session, name: str, owner: str, now_us: int) -> frozenset[str]:
    """Return the roles in which somebody may approve what is asked for an owner, by the rule book and by their token.

    A token for the whole organisation brings its own role, where that is one that approves.
    """
    by_token = {
        token.role.value
        for token in tokens(session)
        if person(token.name) == person(name) and token.live(now_us) and not token.nodes
    }
    return newest_rules(session).book.roles_of(name, owner) | (by_token & set(APPROVING_ROLES))


def _who_and_why(does: str, by: str, why: str) -> tuple[str, str]:
    who = needed(f"who {does} it", by, 'say who does: --by NAME, or "by"')
    return who, needed("the reason", why, 'say why: --why TEXT, or "why"; it stays in the history for ever')


def _with(request: Request, step: Step) -> Request:
    return request._replace(steps=(*request.steps, step))
