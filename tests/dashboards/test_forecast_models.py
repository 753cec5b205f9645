"""What the forecast section says: where the month lands, how sure that is, whose budget, and what is not known."""

from __future__ import annotations

from typing import Any

import pytest

from dashboards import forecast_models, wording
from gpuledger.accounting.periods import parse_instant

BOUNDS = {"low_80": "80.00", "high_80": "130.00", "low_95": "70.00", "high_95": "150.00"}
KNOWN: dict[str, Any] = {
    "key": "vision", "so_far": "60.00", "expected": "100.00", **BOUNDS, "way": "level (4 d)", "error_ratio": 0.7,
    "unknown_steps": 0, "beyond_trials": False, "reason": None, "known_days": 30.0, "budget": None,
}  # fmt: skip
SHORT = {
    **KNOWN, "key": "speech", "so_far": "5.00", **dict.fromkeys(("expected", *BOUNDS)), "way": None, "error_ratio": None,
    "reason": "too_short", "known_days": 4.0,
}  # fmt: skip


def answer(*rows: dict[str, Any]) -> dict[str, Any]:
    return {
        "period": {"label": "2026-11"}, "by": "team", "metric": "cost", "currency": "EUR", "rows": list(rows),
        "history": {"from": "2026-10-01T00:00:00Z", "steps": 55}, "path": [],
    }  # fmt: skip


def test_the_month_lands_with_its_range() -> None:
    """The total is the headline; what has too short a past says so in its row, and is no zero."""
    found = answer(KNOWN, SHORT, {**KNOWN, "key": "total"})
    assert forecast_models.finding(found) == "November 2026 is on its way to €100"
    assert forecast_models.lead(found) == "€60 so far; in 80 of 100 such months between €80 and €130."
    vision, speech, everything = forecast_models.table(found, "Team").lines
    assert vision.cells == ("Vision", "€60", "€100", "€80 to €130", "level (4 d) 0.70")
    assert speech.cells == ("Speech", "€5", wording.UNKNOWN, wording.UNKNOWN, "fewer than 21 days are known")
    assert everything.cells[0] == "All"


def test_a_short_past_says_what_a_forecast_takes() -> None:
    """With how many days there are; no figure is made up."""
    found = answer({**SHORT, "key": "total"})
    assert "cannot be said yet" in forecast_models.finding(found)
    said = forecast_models.lead(found)
    assert said == "A forecast takes 21 whole days with known spend: 4 are known. It comes by itself then."
    assert "nothing was held" in forecast_models.lead(answer())


def test_what_is_expected_goes_on_from_the_last_day_that_is_known() -> None:
    """Six weeks of it and all that is to come; where nothing is to come there is nothing to draw."""
    known = [{"at": f"2026-{month}-{day:02}T00:00:00Z", "had": "10.00"} for month in (10, 11) for day in range(1, 26)]
    coming = {"at": "2026-11-26T00:00:00Z", "expected": "12.00", "low_80": "9.00", "high_80": "15.00"}
    frame = forecast_models.path({**answer(), "path": [*known, coming]})
    assert frame.height == forecast_models.PATH_DAYS + 1
    assert frame.drop("at").rows()[-2:] == [(10.0, 10.0, 10.0, 10.0), (None, 12.0, 9.0, 15.0)]
    assert frame.drop("at").rows()[-3] == (10.0, None, None, None)
    assert forecast_models.path({**answer(), "path": known}).is_empty()


def test_the_naive_baseline_is_named_where_it_is_used() -> None:
    """In its row, and how often below the table."""
    naive = {**KNOWN, "way": "seasonal naive", "error_ratio": 1.0}
    found = answer(naive, {**KNOWN, "key": "speech"}, {**KNOWN, "key": "total"})
    assert forecast_models.table(found, "Team").lines[0].cells[-1] == "naive: last week's weekday again 1.00"
    assert "it is used itself for 1 of 2" in forecast_models.how(found)
    assert "for none was it the best" in forecast_models.how(answer(KNOWN))


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ({"verdict": "already", "chance": 0.995}, "already"),
        ({"verdict": "expected", "chance": 0.8}, "by 2026-11-28, 80 %"),
        ({"verdict": "possible", "chance": 0.2}, "perhaps, 20 %"),
        ({"verdict": "unlikely", "chance": 0.005}, "not expected, under 1 %"),
        ({"verdict": "not_known", "chance": None}, "no forecast"),
    ],
)
def test_a_budget_says_when_it_is_spent(verdict: dict[str, Any], words: str) -> None:
    """Only where there is one."""
    budget = {"limit": "90.00", "at": "2026-11-28T00:00:00Z", "early": None, "late": None, **verdict}
    with_it, without = forecast_models.table(answer({**KNOWN, "budget": budget}, SHORT), "Team").lines
    assert with_it.cells[4:6] == ("€90", words)
    assert without.cells[4:6] == ("", "")


def test_a_row_has_the_budget_of_its_team_in_its_month() -> None:
    """Not that of a department, another month or another currency; none where two teams have the name."""
    start = "2026-11-01T00:00:00Z"

    def budget(owner: str, limit: str, **more: str) -> dict[str, Any]:
        return {"owner": owner, "from": start, "currency": "EUR", "limit": limit, "raise": "0", **more}

    rows = [
        budget("*", "1000"), budget("acme/research", "500"), budget("acme/research/vision", "100", **{"raise": "25.5"}),
        budget("acme/research/vision", "1", **{"from": "2026-10-01T00:00:00Z"}), budget("acme/a/nlp", "7"),
        budget("acme/b/nlp", "9"), budget("acme/b/speech", "9", currency="USD"),
    ]  # fmt: skip
    found = forecast_models.limits_of(rows, "EUR", parse_instant(start))
    assert found == {"total": 1000.0, "vision": 125.5}


def test_a_model_says_when_it_is_full() -> None:
    """And how likely at the end; a model that nothing is known of is not in it."""
    capacity = {"gpus": 16.0, "held": 13.84, "full_at": None, "chance_at_end": 0.2}
    full = {"gpus": 8.0, "held": 7.9, "full_at": "2026-12-03T00:00:00Z", "chance_at_end": 0.999}
    rows = ({**KNOWN, "key": "H100", "capacity": capacity}, {**KNOWN, "key": "L40S", "capacity": full},
            {**SHORT, "capacity": None})  # fmt: skip
    first, second = forecast_models.capacity_table(answer(*rows)).lines
    assert first.cells[:4] == ("H100", "13.8 of 16", "not expected", "20 %")
    assert second.cells[:4] == ("L40S", "7.9 of 8", "by 2026-12-03", "over 99 %")
