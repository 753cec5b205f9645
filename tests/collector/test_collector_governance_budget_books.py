"""Budget books under rules: what allows more is approved by others, or not imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.audit.actor import acting
from collector.governance.guarding import import_budgets_by_rule
from collector.governance.requests import ApprovalError, approve
from collector.ledger.store import Ledger
from collector.queries.approvals import approval
from collector.queries.budgets import budget_book
from collector.queries.rules import rule_decisions
from gpuledger.errors import BudgetBookError, GpuLedgerError
from tests.collector.governed import RULES, Site
from tests.collector.test_collector_governance_races import race

BOOKS = """
[[rule]]
name = "small books"
filter = { kind = "budget_book", user = "kim" }
when.amount = { at_most = "10 EUR" }
action = "allow"

[[rule]]
name = "books"
filter.kind = "budget_book"
action = "approval"
approvals = [{ roles = ["finance"], count = 2 }]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    found.rules(BOOKS + RULES)
    yield found
    found.ledger.close()


def book(*amounts: tuple[str, str], stage: str = '{ at = 100, do = "hold" }') -> str:
    return "".join(
        f'[[budget]]\nowner = "{owner}"\nperiod = "month"\ncurrency = "EUR"\namount = "{amount}"\nstages = [{stage}]\n'
        for owner, amount in amounts
    )


def give(site: Site, text: str, by: str = "kim") -> int:
    with acting(by):
        return import_budgets_by_rule(
            site.ledger, text.encode(), "toml", source="b.toml", imported_us=site.clock.us
        ).version


def granted(site: Site, text: str, by: str = "ann") -> int:
    """Ask for a book and let two of finance approve it; return the request."""
    number = site.ask("budget_book", by=by, content=text, source="b.toml")
    approve(site.ledger, number, by="bob")
    approve(site.ledger, number, by="eve")
    return number


def test_more_money_is_refused_directly_and_imported_when_two_others_agree(site: Site) -> None:
    """Nothing is stored by the refusal but that it was; the request shows what changes, and makes the version."""
    text = book(("acme/ml", "100"))
    with pytest.raises(ApprovalError, match="wants approval of 2 of finance") as caught:
        give(site, text)
    assert caught.value.hint == "ask for it: gpuledger approval request budget_book"
    assert budget_book(site.ledger).version is None
    assert site.acts()[-1] == "rules.refuse"
    facts = rule_decisions(site.ledger, None, limit=1).rows[0].facts
    assert (facts["amount"], facts["owner"], facts["user"]) == ("100 EUR", "acme/ml", "kim")
    number = granted(site, text)
    found = approval(site.ledger, id=number)
    assert (found.approval.made, found.approval.wanted) == ("budgets 1", "the budget book b.toml")
    assert '+amount = "100"' in found.changes
    assert budget_book(site.ledger).source == f"b.toml (approval {number})"
    assert site.acts()[-3:] == ["approval.approve", "budget.import", "approval.grant"]


def test_what_allows_nothing_more_needs_nobody(site: Site) -> None:
    """Less money, an earlier stop, the same again; and what a rule allows by its amount."""
    granted(site, book(("acme/ml", "100"), ("acme", "200")))
    assert give(site, book(("acme/ml", "90"), ("acme", "200"), stage='{ at = 90, do = "block" }'), by="ann") == 2
    assert give(site, book(("acme/ml", "90"), ("acme", "200"), stage='{ at = 90, do = "block" }'), by="ann") == 2
    assert give(site, book(("acme/ml", "100"), ("acme", "200"), stage='{ at = 90, do = "block" }')) == 3
    with pytest.raises(ApprovalError, match='rule "books"'):
        give(site, book(("acme/ml", "100.01"), ("acme", "210"), stage='{ at = 90, do = "block" }'))


def test_a_limit_that_goes_is_not_a_small_amount(site: Site) -> None:
    """A rule for small amounts does not match what is unknown."""
    granted(site, book(("acme/ml", "5"), ("acme", "6")))
    for looser in (book(("acme", "6")), book(("acme/ml", "5"), ("acme", "6"), stage="{ at = 100 }")):
        with pytest.raises(ApprovalError, match='rule "books"'):
            give(site, looser)
    assert budget_book(site.ledger).version == 1


def test_nobody_approves_their_own_book_and_bad_ones_ask_nobody(site: Site) -> None:
    """However their name is written; a file that cannot be used is said to be so first."""
    number = site.ask("budget_book", by="bob", content=book(("acme/ml", "100")))
    with pytest.raises(ApprovalError, match="another person has to approve it"):
        approve(site.ledger, number, by=" BOB ")
    before = len(site.acts())
    with pytest.raises(BudgetBookError):
        give(site, "[[budget]]\n")
    with pytest.raises(BudgetBookError):
        site.ask("budget_book", content="[[budget]]\n")
    assert len(site.acts()) == before


def test_a_book_that_was_overtaken_is_not_imported(site: Site) -> None:
    """The last approval says so, and is not recorded; both books can be put together."""
    granted(site, book(("acme/ml", "100")))
    number = site.ask("budget_book", content=book(("acme/ml", "150")))
    approve(site.ledger, number, by="bob")
    assert give(site, book(("acme/ml", "80"))) == 2
    with pytest.raises(
        GpuLedgerError, match="budget book is version 2 by now, and this one was made to follow version 1"
    ):
        approve(site.ledger, number, by="eve")
    assert site.state(number) == "waiting"
    assert budget_book(site.ledger).version == 2


def test_two_imports_at_once_are_each_held_against_what_is_there(site: Site) -> None:
    """Each may add ten: 115 is let through after 110, and refused before it, never held against what was before."""
    granted(site, book(("acme/ml", "100")))
    for _ in range(6):
        give(site, book(("acme/ml", "100")))  # less again: nobody is asked
        outcomes = race(*[lambda much=much: give(site, book(("acme/ml", much))) for much in ("110", "115")])
        [row] = budget_book(site.ledger).rows
        assert (row.amount, outcomes.count("done")) in {("110.00", 1), ("115.00", 2)}


def test_without_a_rule_book_everything_is_as_it_was(tmp_path: Path) -> None:
    """A first collector has budgets before it has rules."""
    content = book(("acme/ml", "100")).encode()
    with Ledger.open(tmp_path) as ledger:
        assert import_budgets_by_rule(ledger, content, "toml", source="b.toml", imported_us=1).version == 1
