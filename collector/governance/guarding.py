"""Acts that somebody does directly: where rules want an approval for them, they go by request or not at all."""

from __future__ import annotations

from typing import Final

from collector.audit.actor import actor
from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.budget_books import book_gains, import_budgets
from collector.governance.budget_files import parse_budget_book
from collector.governance.deciding import record_decision
from collector.governance.questions import Proposal, Tried, facts_of, tried_gains, tried_quota_gains, try_request
from collector.governance.quota_books import import_quotas, quota_book_gains
from collector.governance.quota_files import parse_quota_book
from collector.governance.requests import ApprovalError
from collector.governance.rulebooks import newest_rules
from collector.governance.wanted import Asked, Terms, Wanted, read_wanted
from collector.ledger.database import Session
from collector.ledger.joined import JoinedLedger
from collector.ledger.store import Ledger
from collector.periods.closing import CloseReport, close_period
from collector.pricing.imports import ImportReport, import_prices
from collector.pricing.records import FileFormat
from gpuledger.accounting.periods import Period
from gpuledger.rules.approving import in_words
from gpuledger.rules.book import Action, Outcome

ALLOWED: Final = "rules.allow"
REFUSED: Final = "rules.refuse"
_TIMELESS: Final = Terms(by="", why="", expires_us=0, from_us=None, to_us=None)


def guard(ledger: Ledger, asked: Asked) -> None:
    """Raise ApprovalError where rules do not simply allow what is about to be done; either way an event says so.

    Without a rule book everything is as it is without rules. Raises ConfigError where the act is unclear.
    """
    with ledger.snapshot() as session:
        if not newest_rules(session).version.number:
            return
        wanted = read_wanted(session, asked, ledger.calendar.days)
    proposal = Proposal(asked.kind, wanted, _TIMELESS._replace(by=asked.by, why=asked.why))
    _decide(ledger, proposal, try_request(ledger, proposal) if asked.kind == "dispute" else Tried())


def import_prices_by_rule(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Import a price book, where rules allow whoever acts to do so without asking. Raises ApprovalError otherwise."""
    with ledger.snapshot() as session:
        asks = bool(newest_rules(session).version.number)
    if asks:
        _decide(ledger, Proposal("price", Wanted(source=source), _TIMELESS._replace(by=actor())), Tried())
    return import_prices(ledger, content, as_format, source=source, imported_us=imported_us)


def import_budgets_by_rule(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Import a budget book; one that allows more than the newest only where rules let whoever acts do so.

    What it allows, the decision and the import are of one transaction. Raises BudgetBookError where it cannot be used,
    before anybody is asked, and ApprovalError.
    """
    zone = ledger.calendar.days
    book = parse_budget_book(content, as_format, source, zone)
    with ledger.transaction() as session:
        found = book_gains(session, book, zone, ledger.now_us())
        refused = _refused_book(ledger, session, "budget_book", source, tried_gains(found)) if found else None
        if refused is None:
            joined = JoinedLedger(ledger, session)
            return import_budgets(joined, content, as_format, source=source, imported_us=imported_us)
    raise refused


def import_quotas_by_rule(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Import a quota book; one that allows more than the newest only where rules let whoever acts do so.

    Otherwise as `import_budgets_by_rule`. Raises QuotaBookError and ApprovalError.
    """
    zone = ledger.calendar.days
    quotas = parse_quota_book(content, as_format, source, zone)
    with ledger.transaction() as session:
        found = quota_book_gains(session, quotas, zone, ledger.now_us())
        refused = _refused_book(ledger, session, "quota_book", source, tried_quota_gains(found)) if found else None
        if refused is None:
            joined = JoinedLedger(ledger, session)
            return import_quotas(joined, content, as_format, source=source, imported_us=imported_us)
    raise refused


def close_period_by_rule(ledger: Ledger, period: Period, *, by: str, exception: str) -> CloseReport:
    """Close a period; one that is not clean only where rules allow `by` to accept that. Raises ApprovalError else."""
    if exception:
        guard(ledger, Asked(kind="exception", by=by, why=exception, period=period.label))
    return close_period(ledger, period, closed_by=by, exception=exception)


def _refused_book(ledger: Ledger, session: Session, kind: str, source: str, tried: Tried) -> ApprovalError | None:
    """Return why a book that allows more is not imported; None where rules allow it, or there are none."""
    if not newest_rules(session).version.number:
        return None
    return _decided(ledger, session, Proposal(kind, Wanted(source=source), _TIMELESS._replace(by=actor())), tried)


def _decide(ledger: Ledger, proposal: Proposal, tried: Tried) -> None:
    with ledger.transaction() as session:
        refused = _decided(ledger, session, proposal, tried)
    if refused:  # after the transaction: that it was refused stays on record
        raise refused


def _decided(ledger: Ledger, session: Session, proposal: Proposal, tried: Tried) -> ApprovalError | None:
    """Return why rules do not simply allow something, with that on record; None where they do."""
    subject = f"{proposal.kind} by {proposal.terms.by}"
    rules = newest_rules(session)
    now_us = ledger.now_us()
    facts = facts_of(session, proposal, tried, now_us, rules.clock(ledger.calendar.days))
    decision = rules.book.decide(facts, now_us)
    record_decision(session, rules, facts, decision, at_us=now_us, subject=subject)
    outcome = decision.outcome
    allowed = outcome.action is Action.ALLOW
    said: dict[str, Value] = {"action": outcome.action.value, "rule": outcome.rule, "rules": rules.version.number}
    record(session, now_us, ALLOWED if allowed else REFUSED, subject, said)
    return None if allowed else _refusal(proposal.kind, outcome)


def _refusal(kind: str, outcome: Outcome) -> ApprovalError:
    rule = f'rule "{outcome.rule}"' if outcome.place else "no rule allows this: the book's default"
    because = f": {outcome.because}" if outcome.because else ""
    if outcome.action is Action.REFUSE:
        return ApprovalError(f"{rule} refuses it{because}", hint="gpuledger rules list shows the rules")
    needs = f" of {in_words(outcome.approvals)}" if outcome.approvals else ""
    return ApprovalError(
        f"{rule} wants approval{needs} before this is done{because}",
        hint=f"ask for it: gpuledger approval request {kind}",
    )
