"""The Chargeback page's words and tables, without a page."""

from __future__ import annotations

from dashboards import chargeback_models

ROWS = [
    {"kind": "owner", "key": "vision", "cost": "60.01"},
    {"kind": "owner", "key": "speech", "cost": None},
    {"kind": "idle", "key": "idle capacity", "cost": "40.00"},
]
ANSWER = {"currency": "EUR", "rows": ROWS, "total": {"cost": "100.01"}, "final": False, "pending_hours": 3}


def test_the_headline_says_what_teams_are_charged_of_the_whole() -> None:
    """The platform's part is not theirs; time without a price is not a free month."""
    assert chargeback_models.finding(ANSWER, "in October") == "€60.01 of €100 is charged to teams in October"
    nothing = {**ANSWER, "total": {"cost": None}}
    assert chargeback_models.finding(nothing, "in October") == "Nothing has a price in October"


def test_the_lead_says_how_final_that_is() -> None:
    """A closed month does not change; of an open one it is said what waits."""
    assert "do not change" in chargeback_models.lead({**ANSWER, "final": True})
    assert chargeback_models.lead(ANSWER) == "Provisional until the period is closed. 3 hours wait to be rated."


def test_the_gap_is_told_by_cause() -> None:
    """A cause that a team has nothing of is nothing, not a hole; all of them have names."""
    parts = {"partly_active": "7.5", "held_idle: memory_held": "2.5", "beyond_share": "-1"}
    row = {"team": "vision", "allocation_cost": "20", "usage_cost": "12", "gap": "8", "parts": {"partly_active": "8"}}
    gap = {"currency": "EUR", "rows": [row], "total": {**row, "gap": "9", "parts": parts}}
    table = chargeback_models.gap_table(gap)
    assert table.headers[4:] == ("At work, not always", "Keeps memory, runs nothing", "Beyond its share")
    assert table.lines[0].cells == ("Vision", "20.00", "12.00", "8.00", "8.00", "0.00", "0.00")
    assert table.lines[1].cells[-3:] == ("7.50", "2.50", "-1.00")


def test_adjustments_say_for_whom_and_why() -> None:
    """Those of an open bill stand apart from what is final; the platform has a name."""
    row = {
        "team": "", "kind": "fault_credit", "period": "2026-10", "cost": "2.85", "because": "GPU 7 was lost",
        "final": False,
    }  # fmt: skip
    table = chargeback_models.adjustment_table({"currency": "EUR", "rows": [row] * 21})
    assert (len(table.lines), table.left_out) == (20, 1)
    assert table.lines[0].kind == "aside"
    assert table.lines[0].cells == ("Platform", "Credit for a fault", "October 2026", "2.85")
    assert table.lines[0].small == "GPU 7 was lost"
