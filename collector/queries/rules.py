"""Rules as answers: the book that decides, its versions, what was decided by it, and what another book would change."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from collector.governance.deciding import RecordedDecision, recorded_decisions
from collector.governance.rulebooks import newest_rules, rule_versions, rules_of_version
from collector.ledger.store import Ledger
from collector.queries.approvals import RuleTrial, facts_shown, shown
from collector.queries.figures import instant
from gpuledger.accounting.periods import Period, iso, parse_instant
from gpuledger.errors import ConfigError
from gpuledger.rules.approving import in_words as people_in_words
from gpuledger.rules.book import Outcome, Rule, RuleBook
from gpuledger.rules.describing import in_words
from gpuledger.rules.facts import make_facts, time_facts
from gpuledger.rules.fields import write_value
from gpuledger.rules.files import warnings_of

MAX_DECISIONS = 100_000  # that a dry run looks at, the newest


class RuleRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One rule, by its place from 1: the first that matches decides. Filter and condition are in words."""

    place: int
    rule: str
    mode: str
    action: str
    filter: str
    when: str
    approvals: str
    notify: list[str]
    because: str
    from_: str | None
    to: str | None


class ApproverRow(msgspec.Struct, frozen=True):
    """Somebody who may approve, in which roles, for which owner and all beneath it (empty: for all)."""

    name: str
    roles: list[str]
    owner: str


class Rules(msgspec.Struct, frozen=True):
    """The newest rule book; without one, no version and no rows. `default` is done where no rule decides."""

    version: int | None
    imported_at: str | None
    source: str | None
    default: str
    zone: str
    rows: list[RuleRow]
    approvers: list[ApproverRow]


class RuleVersion(msgspec.Struct, frozen=True):
    """One import of a rule book."""

    version: int
    imported_at: str
    source: str
    rules: int
    sha256: str


class RuleVersions(msgspec.Struct, frozen=True):
    """All versions, the newest first."""

    rows: list[RuleVersion]


class DecisionRow(msgspec.Struct, frozen=True):
    """What rules decided about something, and what they would have with those in shadow. No rule: the default did."""

    decision: int
    at: str
    kind: str
    subject: str
    version: int
    action: str
    rule: str
    shadow_action: str
    shadow_rule: str
    facts: dict[str, str]


class Decisions(msgspec.Struct, frozen=True):
    """Recorded decisions, the newest first."""

    rows: list[DecisionRow]


class Explained(msgspec.Struct, frozen=True):
    """What is decided about facts, by the rules of a version, and what became of each rule (`rows`).

    `decision` is 0 where nothing was recorded: somebody asked what would be.
    """

    decision: int
    version: int
    action: str
    rule: str
    because: str
    needs: str
    notify: list[str]
    shadow_action: str
    facts: dict[str, str]
    rows: list[RuleTrial]


class DryRow(msgspec.Struct, frozen=True):
    """One recorded decision that another book would make otherwise: what is done, whose approvals, by which rule."""

    decision: int
    at: str
    subject: str
    kind: str
    action_before: str
    needs_before: str
    rule_before: str
    action_after: str
    needs_after: str
    rule_after: str
    why: str


class DryRun(msgspec.Struct, frozen=True):
    """What a rule book would have decided otherwise; nothing was stored. `decisions` is how many it was tried on."""

    rules: int
    decisions: int
    rows: list[DryRow]
    warnings: list[str]


class RuleQuestion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Facts by name, as texts, and the instant that is meant (empty: now)."""

    facts: dict[str, str]
    at: str = ""


def rules(ledger: Ledger) -> Rules:
    """Return the rule book that decides now."""
    with ledger.snapshot() as session:
        stored = newest_rules(session)
    version, book = stored.version, stored.book
    known = bool(version.number)
    return Rules(
        version=version.number if known else None,
        imported_at=iso(version.imported_us) if known else None,
        source=version.source if known else None,
        default=book.default.value,
        zone=book.zone,
        rows=[_rule_row(place, rule) for place, rule in enumerate(book.rules, 1)],
        approvers=[ApproverRow(each.name, list(each.roles), each.owner) for each in book.approvers],
    )


def rules_history(ledger: Ledger) -> RuleVersions:
    """Return all rule books that were imported."""
    with ledger.snapshot() as session:
        found = rule_versions(session)
    return RuleVersions(
        [
            RuleVersion(v.number, iso(v.imported_us), v.source, len(each.book.rules), v.digest.hex())
            for each in found
            for v in (each.version,)
        ]
    )


def rule_decisions(ledger: Ledger, period: Period | None, *, limit: int) -> Decisions:
    """Return what rules decided in a period (ever, where it is None)."""
    from_us, to_us = period.interval if period else (0, 2**62)
    with ledger.snapshot() as session:
        found = recorded_decisions(session, from_us=from_us, to_us=to_us, most=limit)
    return Decisions([_decision_row(each) for each in found])


def rule_decision(ledger: Ledger, *, id: int) -> Explained:  # noqa: A002 - what the parameter is called over HTTP
    """Return a recorded decision, explained by the rules that made it. Raises ConfigError where there is none."""
    with ledger.snapshot() as session:
        found = recorded_decisions(session, decision_id=id)
        if not found:
            raise ConfigError(f"there is no decision {id}", hint="gpuledger rules decisions shows all of them")
        [recorded] = found
        book = rules_of_version(session, recorded.rules_version).book
    decided = book.decide(recorded.facts, recorded.at_us)  # the same again: it follows from the facts alone
    tried = [shown(each) for each in decided.trials]
    explained = _explained(decided.outcome, recorded.shadow_action, facts_shown(recorded), tried)
    return msgspec.structs.replace(explained, decision=id, version=recorded.rules_version)


def explain_rules(ledger: Ledger, asked: RuleQuestion) -> Explained:
    """Return what the rules would decide now about facts that somebody makes up; nothing is recorded.

    The hour and the weekday follow from the instant unless they are given. Raises RuleBookError on facts that are none.
    """
    with ledger.snapshot() as session:
        stored = newest_rules(session)
    zone = stored.clock(ledger.calendar.days)
    at_us = parse_instant(asked.at, zone) if asked.at else ledger.now_us()
    clock: Mapping[str, str | int] = time_facts(at_us, zone)
    facts = make_facts({**clock, **asked.facts})
    decision = stored.book.decide(facts, at_us)
    texts = {name: write_value(value) for name, value in sorted(facts.items())}
    tried = [shown(each) for each in decision.trials]
    found = _explained(decision.outcome, decision.shadow.action.value, texts, tried)
    return msgspec.structs.replace(found, version=stored.version.number)


def dry_run(ledger: Ledger, book: RuleBook, period: Period | None) -> DryRun:
    """Return which recorded decisions of a period (ever, where it is None) another book would make otherwise."""
    from_us, to_us = period.interval if period else (0, 2**62)
    with ledger.snapshot() as session:
        found = recorded_decisions(session, from_us=from_us, to_us=to_us, most=MAX_DECISIONS)
        books = {number: rules_of_version(session, number).book for number in {each.rules_version for each in found}}
    rows = [row for each in found if (row := _dry_row(each, books[each.rules_version], book))]
    return DryRun(len(book.rules), len(found), rows, warnings_of(book))


def _dry_row(recorded: RecordedDecision, before: RuleBook, after: RuleBook) -> DryRow | None:
    was = before.decide(recorded.facts, recorded.at_us).outcome
    decision = after.decide(recorded.facts, recorded.at_us)
    now = decision.outcome
    if (was.action, was.approvals) == (now.action, now.approvals):
        return None
    why = next((each.why for each in decision.trials if each.place == now.place), "no rule of it decides")
    return DryRow(
        decision=recorded.decision_id,
        at=iso(recorded.at_us),
        subject=recorded.subject,
        kind=recorded.kind,
        action_before=was.action.value,
        needs_before=_needs(was),
        rule_before=was.rule,
        action_after=now.action.value,
        needs_after=_needs(now),
        rule_after=now.rule,
        why=why,
    )


def _explained(outcome: Outcome, shadow_action: str, facts: dict[str, str], tried: list[RuleTrial]) -> Explained:
    return Explained(
        decision=0,
        version=0,
        action=outcome.action.value,
        rule=outcome.rule,
        because=outcome.because,
        needs=_needs(outcome),
        notify=list(outcome.notify),
        shadow_action=shadow_action,
        facts=facts,
        rows=tried,
    )


def _needs(outcome: Outcome) -> str:
    return people_in_words(outcome.approvals) if outcome.approvals else ""


def _rule_row(place: int, rule: Rule) -> RuleRow:
    return RuleRow(
        place=place,
        rule=rule.name,
        mode=rule.mode.value,
        action=rule.action.value,
        filter=in_words(rule.filter),
        when=in_words(rule.when),
        approvals=people_in_words(rule.approvals) if rule.approvals else "",
        notify=list(rule.notify),
        because=rule.because,
        from_=instant(rule.from_us),
        to=instant(rule.to_us),
    )


def _decision_row(each: RecordedDecision) -> DecisionRow:
    return DecisionRow(
        decision=each.decision_id,
        at=iso(each.at_us),
        kind=each.kind,
        subject=each.subject,
        version=each.rules_version,
        action=each.action,
        rule=each.rule,
        shadow_action=each.shadow_action,
        shadow_rule=each.shadow_rule,
        facts=facts_shown(each),
    )
