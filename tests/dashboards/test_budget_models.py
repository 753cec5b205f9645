"""The Budgets & approvals page's words and tables, without a page."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.budget_outlook import Outlook
from dashboards import budget_models, wording


def _budget(owner: str, percent: str | None, **more: Any) -> dict[str, Any]:
    row = {
        "owner": owner, "period": "2026-11", "currency": "EUR", "limit": "100.00", "raise": "", "spent": percent,
        "forecast": None, "percent": percent, "action": "", "exhausted_at": None, "unpriced_gpu_hours": 0.0,
        "unobserved_gpu_hours": 0.0, "note": "",
    }  # fmt: skip
    return row | more


def _request(number: int, state: str, **more: Any) -> dict[str, Any]:
    row = {
        "approval": number, "state": state, "kind": "budget", "owner": "acme/vision", "wanted": "500 EUR more",
        "why": "the deadline", "requested_by": "ann", "needs": "1 of finance", "approved_by": "", "in_force": False,
        "expires_at": f"2026-12-{30 - number:02d}T00:00:00Z", "decided_at": "2026-11-20T00:00:00Z",
    }  # fmt: skip
    return row | more


@pytest.mark.parametrize(
    ("percents", "says"),
    [
        ([], "No budget is set"),
        (["10.0", "79.9"], "All 2 budgets have room"),
        (["10.0", "80.0"], "No budget is spent; B1 went past 80 %"),
        (["80.0", "90.0"], "No budget is spent; 2 owners went past 80 %"),
        (["110.0", "90.0", None], "B0 has spent 110 % of its budget"),
        (["110.0", "100.0"], "2 of 2 budgets are spent"),
        (["10.0"], "The budget has room"),
        ([None], "What was spent of 1 budget is not known"),
        ([None, "10.0", None], "What was spent of 2 budgets is not known"),
    ],
)
def test_the_headline_names_what_is_spent(percents: list[str | None], says: str) -> None:
    """What is exactly 100 % is spent; what is not known is neither."""
    rows = [_budget(f"acme/b{number}", percent) for number, percent in enumerate(percents)]
    assert budget_models.finding(rows) == says


def test_the_fullest_budget_is_first_and_the_unknown_last() -> None:
    """Unknown is a dash, never zero; a raise stands beside the limit."""
    rows = [
        _budget("acme/a", "9.0"),
        _budget("*", None, note="its charges are in USD"),
        _budget("acme/c", "101.0", **{"raise": "50.00"}, action="block"),
    ]
    lines = budget_models.budget_table(
        budget_models.fullest_first(rows), {0: Outlook(90.0, 80.0, 120.5), 1: Outlook(9.0)}
    ).lines
    assert [line.cells[0] for line in lines] == ["C", "A", "Everything"]
    assert lines[0].cells[2:6] == ("new work is refused", "€101.00", "€100.00 + 50.00", "101 %")
    assert [line.cells[7] for line in lines] == ["€80.00 to €120", "€9.00", wording.UNKNOWN]
    assert [line.cells[8] for line in lines[:2]] == ["already spent", "not in this period"]
    assert lines[2].cells[3] == lines[2].cells[5] == wording.UNKNOWN
    assert budget_models.notes_of(rows) == [("Everything", "its charges are in USD")]


def test_what_expires_first_waits_on_top_and_the_rest_is_decided() -> None:
    """Every request is in one of the two tables."""
    rows = [
        _request(1, "waiting"),
        _request(2, "granted", in_force=True),
        _request(3, "waiting"),
        _request(4, "denied"),
    ]
    assert [line.small for line in budget_models.waiting_table(rows).lines] == ["request 3", "request 1"]
    assert [line.small for line in budget_models.decided_table(rows).lines] == ["request 4", "request 2, in force"]
    assert budget_models.waiting_table(rows).lines[0].cells[0] == "Budget for Vision: 500 EUR more"
    many = [_request(number, "denied") for number in range(1, 29)]
    assert budget_models.decided_table(many).left_out == 28 - budget_models.MOST_DECIDED
