"""What rules decided about requests, said again from the records; and rule books themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.governance.rulebooks import import_rules
from collector.queries.rules import (
    RuleQuestion,
    dry_run,
    explain_rules,
    rule_decision,
    rule_decisions,
    rules,
    rules_history,
)
from gpuledger.errors import ConfigError, RuleBookError
from gpuledger.rules.files import parse_rule_book
from tests.collector.governed import RULES, Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()


def test_every_decision_is_explained_by_the_rules_that_made_it(site: Site) -> None:
    """Also after another book came: what became of each rule follows from the facts that are on record."""
    number = site.ask("exception")
    site.rules('[[rule]]\nname = "other"\naction = "allow"\n')
    [row] = rule_decisions(site.ledger, None, limit=10).rows
    assert (row.subject, row.action, row.rule, row.shadow_action, row.shadow_rule) == (
        f"approval {number}",
        "approval",
        "rest",
        "refuse",
        "stricter",
    )
    found = rule_decision(site.ledger, id=row.decision)
    assert (found.version, found.rule, found.needs) == (1, "rest", "1 of finance or lead")
    assert [each.became for each in found.rows if each.became != "does not match"] == ["would decide", "decides"]
    assert found.facts["team"] == "vision"
    with pytest.raises(ConfigError, match="there is no decision 99"):
        rule_decision(site.ledger, id=99)
    assert [each.version for each in rules_history(site.ledger).rows] == [2, 1]


def test_a_dry_run_says_what_another_book_would_change(site: Site) -> None:
    """Of what was decided; nothing is stored, and what stays the same is not shown."""
    site.ask(amount="500")
    site.ask(amount="50")
    tried = dry_run(site.ledger, parse_rule_book(RULES.replace("100 EUR", "10 EUR").encode(), "r"), None)
    assert (tried.decisions, len(tried.rows)) == (2, 1)
    [row] = tried.rows
    assert (row.subject, row.rule_before, row.rule_after) == ("approval 2", "rest", "large")
    assert row.why == 'kind is "budget", amount 50 EUR is over 10 EUR'
    assert rules(site.ledger).version == 1
    assert not dry_run(site.ledger, parse_rule_book(RULES.encode(), "r"), None).rows


def test_rules_explain_what_nobody_asked_for_yet(site: Site) -> None:
    """Hours and weekdays are those of the book's zone; nothing is recorded."""
    found = explain_rules(
        site.ledger, RuleQuestion({"kind": "quota", "owner": "acme/ml/speech"}, "2026-11-05T03:00:00Z")
    )
    assert (found.action, found.rule, found.because, found.decision) == (
        "refuse",
        "none for speech",
        "speech has enough",
        0,
    )
    assert (found.facts["hour"], found.facts["weekday"]) == ("3", "thu")
    assert not rule_decisions(site.ledger, None, limit=10).rows
    with pytest.raises(RuleBookError, match='no fact "gpu"'):
        explain_rules(site.ledger, RuleQuestion({"gpu": "8"}))


def test_a_rule_book_is_imported_once(site: Site) -> None:
    """The same file again is no new version; CSV and unknown zones are refused."""
    report = import_rules(site.ledger, RULES.encode(), "toml", source="r", imported_us=1)
    assert (report.version, report.changed) == (1, False)
    assert site.acts().count("rules.import") == 1
    with pytest.raises(RuleBookError, match="is TOML"):
        import_rules(site.ledger, b"name,action", "csv", source="r.csv", imported_us=1)
    with pytest.raises(RuleBookError, match="there is no time zone"):
        import_rules(site.ledger, b'zone = "Mars/Base"\n' + RULES.encode(), "toml", source="r", imported_us=1)
