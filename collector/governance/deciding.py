"""What the rule book decides about something, and the record of it: facts, action, rule, and what shadow would do."""

from __future__ import annotations

from typing import NamedTuple

from collector.governance.rulebooks import StoredRules
from collector.ledger.database import Session
from gpuledger.rules.book import Decision
from gpuledger.rules.facts import Facts, read_facts, write_facts


class RecordedDecision(NamedTuple):
    """A decision as it was recorded. `rules_version` 0: there was no book."""

    decision_id: int
    at_us: int
    kind: str
    subject: str
    rules_version: int
    facts: Facts
    action: str
    rule: str
    shadow_action: str
    shadow_rule: str


def record_decision(
    session: Session, rules: StoredRules, facts: Facts, decision: Decision, *, at_us: int, subject: str
) -> int:
    """Keep a decision about `subject`; return its number."""
    decision_id: int = session.execute("rule_decision_next").to_pylist()[0]["decision_id"]
    session.execute(
        "rule_decision_insert",
        {
            "decision_id": decision_id,
            "at_us": at_us,
            "kind": str(facts.get("kind", "")),
            "subject": subject,
            "rules_version": rules.version.number or None,
            "facts": write_facts(facts),
            "action": decision.outcome.action.value,
            "rule": decision.outcome.rule,
            "shadow_action": decision.shadow.action.value,
            "shadow_rule": decision.shadow.rule,
        },
    )
    return decision_id


def recorded_decisions(
    session: Session, *, decision_id: int = 0, from_us: int = 0, to_us: int = 2**62, most: int = 10_000
) -> list[RecordedDecision]:
    """Return recorded decisions, the newest first."""
    asked = {"decision_id": decision_id, "from_us": from_us, "to_us": to_us, "max_rows": most}
    return [
        RecordedDecision(**{**row, "facts": read_facts(row["facts"]), "rules_version": row["rules_version"] or 0})
        for row in session.execute("rule_decisions", asked).to_pylist()
    ]
