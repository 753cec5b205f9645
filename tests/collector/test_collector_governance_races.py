"""Requests that several people decide at the same instant: one comes first, and the others are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collector.governance.requests import approve, deny, withdraw
from collector.queries.approvals import approvals
from collector.queries.entered import entered
from collector.queries.rules import (
    rule_decisions,
)
from gpuledger.errors import GpuLedgerError
from tests.collector.governed import Site


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()


def race(*acts: Callable[[], object]) -> list[str]:
    """Do everything at once; return what became of each."""
    outcomes: list[str] = []
    start = threading.Barrier(len(acts))

    def attempt(act: Callable[[], object]) -> None:
        start.wait()
        try:
            act()
            outcomes.append("done")
        except GpuLedgerError as error:
            outcomes.append(error.message)

    threads = [threading.Thread(target=attempt, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_a_double_click_counts_once(site: Site) -> None:
    """Ten clicks of one person are one approval, and one adjustment."""
    number = site.ask("adjustment", by="kim")
    outcomes = race(*[lambda: approve(site.ledger, number, by="bob")] * 10)
    assert outcomes.count("done") == 1
    assert len(entered(site.ledger).rows) == 1
    assert site.acts().count("approval.grant") == 1


def test_two_last_approvals_at_once_do_it_once(site: Site) -> None:
    """Whoever comes second is told that it is granted."""
    number = site.ask("adjustment", by="kim")
    outcomes = race(*[lambda who=who: approve(site.ledger, number, by=who) for who in ("bob", "eve", "Zoë Bee")])
    assert outcomes.count("done") == 1
    assert sum("is granted by" in each for each in outcomes) == 2
    assert len(entered(site.ledger).rows) == 1


def test_approve_against_withdraw_and_deny(site: Site) -> None:
    """One of them ends it; an adjustment is there exactly where that was the approval."""
    for _ in range(8):
        before = len(entered(site.ledger).rows)
        number = site.ask("adjustment", by="kim")
        outcomes = race(
            lambda number=number: approve(site.ledger, number, by="bob"),
            lambda number=number: withdraw(site.ledger, number, by="kim", why="no"),
            lambda number=number: deny(site.ledger, number, by="eve", why="no"),
        )
        assert outcomes.count("done") == 1, outcomes
        assert (len(entered(site.ledger).rows) > before) == (site.state(number) == "granted")


def test_requests_at_once_have_numbers_of_their_own(site: Site) -> None:
    """No number twice, none missing, and a decision of the rules for each."""
    race(*[lambda: site.ask("quota")] * 6)
    assert [row.approval for row in approvals(site.ledger).rows] == list(range(1, 7))
    assert len(rule_decisions(site.ledger, None, limit=100).rows) == 6
