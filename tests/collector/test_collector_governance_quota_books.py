"""Quota books under rules: what allows more is approved by another, or not imported."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.audit.actor import acting
from collector.governance.guarding import import_quotas_by_rule
from collector.governance.requests import ApprovalError, approve
from collector.ledger.store import Ledger
from collector.queries.approvals import approval
from collector.queries.quota_standing import quota_book
from collector.queries.rules import rule_decisions
from gpuledger.errors import GpuLedgerError, QuotaBookError
from tests.collector.governed import RULES, Site

BOOKS = """
[[rule]]
name = "a few GPUs"
filter = { kind = "quota_book", user = "kim" }
when.gpus = { at_most = "2" }
action = "allow"

[[rule]]
name = "quota books"
filter.kind = "quota_book"
action = "approval"
approvals = [{ roles = ["finance"] }]
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    found.rules(BOOKS + RULES)
    yield found
    found.ledger.close()


def book(devices: str, more: str = "") -> str:
    return f'[[quota]]\nowner = "acme/ml"\nmodel = "NVIDIA H100*"\ndevices = "{devices}"\n{more}\n'


def give(site: Site, text: str, by: str = "kim") -> int:
    with acting(by):
        return import_quotas_by_rule(
            site.ledger, text.encode(), "toml", source="q.toml", imported_us=site.clock.us
        ).version


def granted(site: Site, text: str) -> int:
    """Ask for a book and let one of finance approve it; return the request."""
    number = site.ask("quota_book", by="ann", content=text, source="q.toml")
    approve(site.ledger, number, by="bob")
    return number


def test_more_gpus_are_refused_directly_and_imported_when_another_agrees(site: Site) -> None:
    """Nothing is stored by the refusal but that it was; the request shows what changes, and makes the version."""
    with pytest.raises(ApprovalError, match="wants approval of 1 of finance") as caught:
        give(site, book("8"))
    assert caught.value.hint == "ask for it: gpuledger approval request quota_book"
    assert quota_book(site.ledger).version is None
    assert site.acts()[-1] == "rules.refuse"
    facts = rule_decisions(site.ledger, None, limit=1).rows[0].facts
    assert (facts["gpus"], facts["model"], facts["owner"]) == ("8", "NVIDIA H100*", "acme/ml")
    number = granted(site, book("8"))
    found = approval(site.ledger, id=number)
    assert (found.approval.made, found.approval.wanted) == ("quotas 1", "the quota book q.toml")
    assert '+devices = "8"' in found.changes
    assert quota_book(site.ledger).source == f"q.toml (approval {number})"
    assert site.acts()[-3:] == ["approval.approve", "quota.import", "approval.grant"]


def test_what_allows_nothing_more_needs_nobody_and_a_rule_may_let_a_little_through(site: Site) -> None:
    """A rule for a few GPUs does not match where a limit goes, or another than the amount changes beside it."""
    stages = 'stages = [{ at = 100, do = "block" }]'
    granted(site, book("8", stages))
    assert give(site, book("7", stages), by="ann") == 2
    assert give(site, book("9", stages)) == 3
    borrows = 'borrow = "all"\nstages = [{ at = 200, do = "block" }]'
    for looser in (book("9"), book("10"), book("10", borrows), book("12", stages)):
        with pytest.raises(ApprovalError, match='rule "quota books"'):
            give(site, looser)
    gone = '[[quota]]\nowner = "acme/ml"\ngpu_hours = "1"\nperiod = "month"\n'
    with pytest.raises(ApprovalError, match='rule "quota books"'):
        give(site, gone)
    assert quota_book(site.ledger).version == 3


def test_bad_books_ask_nobody_and_overtaken_ones_are_not_imported(site: Site) -> None:
    """The last approval says so, and is not recorded."""
    before = len(site.acts())
    with pytest.raises(QuotaBookError):
        give(site, "[[quota]]\n")
    with pytest.raises(QuotaBookError):
        site.ask("quota_book", content="[[quota]]\n")
    assert len(site.acts()) == before
    number = site.ask("quota_book", content=book("150"))
    assert give(site, book("2")) == 1
    with pytest.raises(GpuLedgerError, match="quota book is version 1 by now, and this one was made to follow version"):
        approve(site.ledger, number, by="bob")
    assert (site.state(number), quota_book(site.ledger).version) == ("waiting", 1)


def test_without_a_rule_book_everything_is_as_it_was(tmp_path: Path) -> None:
    """A first collector has quotas before it has rules."""
    with Ledger.open(tmp_path) as ledger:
        assert import_quotas_by_rule(ledger, book("8").encode(), "toml", source="q.toml", imported_us=1).version == 1
