"""What the Overview page says about an answer of the collector."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import polars as pl

from analytics.overview import chargeback_frame, timeline_costs
from dashboards import findings, view_models, wording
from dashboards.notes import notes
from dashboards.view_models import Answers
from tests.dashboards import stub_collector

Document = dict[str, Any]


def row(
    key: str, kind: str, hours: float, cost: str | None, *, active: float | None = 0.0, **states: float
) -> Document:
    return {
        "key": key,
        "kind": kind,
        "gpu_hours": hours,
        "active_gpu_hours": active,
        "energy_kwh": 1.0,
        "carbon_kg": None,
        "cost": cost,
        "states": states,
    }


def answer(*rows: Document, currency: str | None = "EUR", **facts: Any) -> Document:
    return {
        "currency": currency,
        "by": "team",
        "view": "allocation",
        "rows": list(rows),
        "unpriced_gpu_hours": 0.0,
        "unobserved_gpu_hours": 0.0,
        "pending_hours": 0,
        "final": False,
    } | facts


TWO_TEAMS = answer(
    row("language", "owner", 60.0, "60.10", active=50.0),
    row("vision", "owner", 20.0, "19.90", active=10.0),
    row("idle capacity", "idle", 20.0, "20.00", idle=20.0),
)
IDLE = {"rows": [{"workload": "notebook", "team": "vision", "reason": "memory_held", "gpu_hours": 5.0, "cost": "4.90"}]}


def test_the_headline_names_the_team_that_spent_most_and_its_share_of_everything() -> None:
    """The finding divides by the whole cost of the fleet, idle capacity included."""
    frame = chargeback_frame(TWO_TEAMS)
    assert findings.finding(frame, "EUR", "in November") == "Language spent 60 % of €100 in November"


def test_without_prices_the_headline_speaks_of_hours() -> None:
    """Unpriced is not free: no amount is shown where nothing has a price."""
    frame = chargeback_frame(answer(row("language", "owner", 60.0, None), row("", "idle", 40.0, None), currency=None))
    assert findings.finding(frame, "", "in May") == "60.0 of 100 GPU-hours were held in May; none has a price yet"
    assert findings.bars_finding(frame, "") == "Nothing has a price yet"


def test_without_any_owner_the_headline_says_that_nobody_can_be_billed() -> None:
    """A ledger without owner rules still has a total."""
    frame = chargeback_frame(answer(row("unattributed", "unattributed", 10.0, "12.50")))
    assert findings.finding(frame, "EUR", "in May") == "€12.50 in May, and no team to bill it to"


def test_waste_is_held_idle_cost_and_idle_capacity_to_the_cent() -> None:
    """Both parts come from the ledger's own exact amounts; nothing is multiplied out of hours here."""
    waste = view_models.wasted(chargeback_frame(TWO_TEAMS), IDLE)
    assert (waste.held_idle, waste.idle_capacity, waste.total) == (Decimal("4.90"), Decimal("20.00"), Decimal("24.90"))
    assert findings.lead(chargeback_frame(TWO_TEAMS), waste, "EUR") == (
        "€24.90 (25 %) went to GPUs that did no work: €4.90 was held and idle, €20.00 was capacity that nobody held."
    )


def test_kpis_divide_held_by_capacity_and_active_by_held() -> None:
    """Each ratio says of what, and idle time counts as capacity but not as held."""
    answers = Answers(TWO_TEAMS, IDLE, {"watermark": "2026-05-02T00:00:00Z"}, "in May")
    cost, held, worked, unused = view_models.overview(answers).kpis
    assert (cost.value, cost.detail) == ("€100", "no earlier data to compare with")
    assert (held.value, held.unit, held.detail) == ("80 %", "of capacity", "80.0 of 100 GPU-hours")
    assert (worked.value, worked.unit) == ("75 %", "of observed held time")
    assert worked.detail == "60.0 active of 80.0 GPU-hours"
    assert (unused.value, unused.detail) == ("€24.90", "25 % of the cost")


def test_time_that_nobody_watched_is_no_part_of_a_ratio() -> None:
    """Half of a team's hours were not watched: the ratio is of the other half, and the hours stay on its row."""
    [first, *others] = TWO_TEAMS["rows"]
    half = first["gpu_hours"] / 2
    unwatched = {**first, "active_gpu_hours": half, "states": {"active": half, "held_unobserved": half}}
    document = {**TWO_TEAMS, "rows": [unwatched, *others]}
    answers = Answers(document, IDLE, {"watermark": "2026-05-02T00:00:00Z"}, "in May")
    line = view_models.breakdown(document, "team").lines[0]
    assert line.cells[3:5] == (wording.hours_column(first["gpu_hours"]), "100 %")
    assert f"of {wording.hours(80.0 - half)} GPU-hours" in view_models.overview(answers).kpis[2].detail


def test_the_cost_is_compared_with_the_earlier_period_that_was_asked_for() -> None:
    """A rise reads as a signed percentage of the earlier total."""
    before = answer(row("language", "owner", 40.0, "80.00"))
    answers = Answers(TWO_TEAMS, IDLE, {}, "in May", before, "April")
    assert view_models.overview(answers).kpis[0].detail == "+25 % against April"


def test_bars_split_a_team_into_held_idle_and_the_rest_and_keep_the_total() -> None:
    """The parts of a bar add up to the team's cost; time that has no team is one bar of its own kind."""
    bars = view_models.team_bars(chargeback_frame(TWO_TEAMS), IDLE)
    vision = dict(bars.filter(pl.col("label") == "Vision").select("part", "cost").iter_rows())
    assert vision == {"active": 15.0, "held_idle": 4.9}
    assert bars.filter(pl.col("label") == "Idle capacity")["part"].to_list() == ["idle"]
    assert round(bars["cost"].sum(), 6) == 100.0


def test_teams_past_the_largest_are_put_together_and_nothing_is_lost() -> None:
    """Twenty teams give seven bars and one for the other thirteen."""
    many = answer(*(row(f"team-{i:02}", "owner", 1.0, f"{i}.00") for i in range(1, 21)))
    bars = view_models.team_bars(chargeback_frame(many), {"rows": []})
    assert bars["label"].n_unique() == view_models.TOP_TEAMS + 1
    assert "13 others" in bars["label"].to_list()
    assert bars["cost"].sum() == sum(range(1, 21))


def test_the_breakdown_ends_with_a_total_of_all_rows_shown_or_not() -> None:
    """Rows past the limit are counted as left out, and stay in the total."""
    many = answer(*(row(f"user-{i:02}", "owner", 1.0, "2.50", active=0.5) for i in range(20)), by="user")
    table = view_models.breakdown(many, "user")
    assert len(table.lines) == view_models.TOP_ROWS + 1
    assert table.left_out == 20 - view_models.TOP_ROWS
    assert table.lines[-1].cells[:4] == ("Total", "€50.00", "100 %", "20.0")


def test_an_unknown_cost_or_activity_reads_as_unknown_not_as_zero() -> None:
    """A group without a price or without observed activity shows a dash."""
    table = view_models.breakdown(answer(row("imported", "owner", 5.0, None, active=None)), "user")
    name, cost, _share, hours, active, _energy = table.lines[0].cells
    assert (name, cost, hours, active) == ("imported", "\N{EN DASH}", "5.0", "\N{EN DASH}")


def test_notes_name_each_reason_why_figures_are_incomplete_and_the_next_step() -> None:
    """Unpriced, unobserved, unattributed, refused and pending each have a line; the last line says how final it is."""
    document = answer(
        row("language", "owner", 60.0, "60.00"),
        row("unattributed", "unattributed", 4.0, "3.00"),
        unpriced_gpu_hours=6.0,
        unobserved_gpu_hours=5.0,
        pending_hours=3,
    )
    found = notes(chargeback_frame(document), document, {"quarantined": 2, "watermark": "2026-05-02T00:00:00Z"})
    assert [note.amount for note in found] == ["6.00 GPU-h", "5.00 GPU-h", "€3.00", "2", "3 h", "Provisional"]
    assert found[0].step == "gpuledger price import FILE"
    assert found[2].step == "gpuledger owner import FILE"


def test_notes_say_what_bills_have_beside_charges() -> None:
    """By kind, of teams; without adjustments there is no such line."""
    document = answer(row("language", "owner", 60.0, "60.00"))
    credit = {"kind": "fault_credit", "team": "language", "cost": "-17.10"}
    adjusted = {"rows": [credit, {**credit, "team": "", "cost": "17.10"}, {**credit, "kind": "basis", "cost": "-2"}]}
    found = notes(chargeback_frame(document), document, {}, adjusted)[-2]
    assert found.amount == "-€19.10"
    assert "credit for a fault -€17.10, billing basis -€2.00" in found.text
    assert len(notes(chargeback_frame(document), document, {}, {"rows": []})) == 2


def test_a_closed_period_is_called_final() -> None:
    """Nothing is provisional about a closed month."""
    document = answer(row("language", "owner", 60.0, "60.00"), final=True)
    assert notes(chargeback_frame(document), document, {})[-1].amount == "Final"


def test_the_state_finding_names_the_largest_rest() -> None:
    """Hours of all rows count, whoever held them."""
    document = answer(row("language", "owner", 60.0, "1"), row("", "idle", 40.0, "1", idle=40.0))
    document["rows"][0]["states"] = {"active": 45.0, "held_idle": 15.0}
    assert findings.states_finding(document) == "GPUs were at work 45 % of the time; 40 % they stood idle"


def test_the_cost_range_leaves_out_the_step_that_is_still_filling_up() -> None:
    """Three hours of today do not make it the cheapest day."""
    steps = [{"at": f"2026-11-{day:02}T00:00:00Z", "costs": {"a": cost}} for day, cost in DAYS]
    frame = timeline_costs({**BY_DAYS, "rows": steps})
    assert findings.costs_finding(frame, OWNER_A, "EUR", "day") == "Teams cost €700 to €900 a day, most on 3 Nov"


OWNER_A = chargeback_frame(answer(row("a", "owner", 1.0, "1")))
BY_DAYS = {"grain": "day", "period": {"zone": "UTC"}}
DAYS = ((1, "700"), (2, "800"), (3, "900"), (4, "750"), (5, "12"))


def test_a_day_of_a_timeline_is_what_its_zone_calls_it() -> None:
    """A step that begins at 22:00 UTC is the next day in Berlin, in summer and in winter; hours stay as they are."""
    begins = ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z")
    answer = {
        "grain": "day",
        "period": {"zone": "Europe/Berlin"},
        "rows": [{"at": at, "costs": {"a": "1"}} for at in begins],
    }
    assert [f"{at:%d %H}" for at in timeline_costs(answer)["at"]] == ["25 00", "26 00"]
    assert [f"{at:%d %H}" for at in timeline_costs({**answer, "grain": "hour"})["at"]] == ["24 22", "25 23"]


def test_cost_series_keeps_the_whole_cost_and_the_order_of_the_bars() -> None:
    """What no team pays is one series, and it comes last."""
    at = datetime(2026, 11, 1, tzinfo=UTC).isoformat()
    costs = {"vision": "1.5", "language": "2.5", "idle capacity": "4"}
    frame = timeline_costs({**BY_DAYS, "rows": [{"at": at, "costs": costs}]})
    series, labels = view_models.cost_series(frame, chargeback_frame(TWO_TEAMS))
    assert labels == ["Language", "Vision", view_models.NOT_BILLED]
    assert series["cost"].sum() == Decimal(8)


def test_idle_workloads_carry_their_team_user_and_reason_in_words() -> None:
    """No raw identifier of a reason reaches the page."""
    line = view_models.idle_table(stub_collector.idle({}), "EUR").lines[0]
    assert line.cells == ("notebook-lena", "412.5", "€1,027.13")
    assert line.small == "Vision · lena · Keeps memory, runs nothing"


def test_runs_of_one_workload_are_added_up() -> None:
    """Pods that differ in a trailing number are one line with the number of runs; other names stay apart."""
    rows = [
        {"workload": name, "team": "vision", "reason": "memory_held", "gpu_hours": 2.0, "cost": "3.00"}
        for name in ("jupyter-lena-0", "jupyter-lena-1", "resnet-50-3", "job 710000")
    ]
    lines = view_models.idle_table({"rows": rows}, "EUR").lines
    assert [line.cells[0] for line in lines] == ["jupyter-lena", "job", "resnet"]
    assert (lines[0].cells[2], lines[0].small) == ("€6.00", "Vision · Keeps memory, runs nothing · 2 runs")


def test_what_nobody_saw_is_neither_called_work_nor_waste() -> None:
    """Imported jobs alone: no claim that all was used or at work, and a note of how much was not observed."""
    imported = answer(row("vision", "owner", 40.0, "40.00", active=None, held_unobserved=40.0))
    frame = chargeback_frame(imported)
    lead = findings.lead(frame, view_models.wasted(frame, {"rows": []}), "EUR")
    assert lead == "Nothing was seen to stand idle; whether 40.0 GPU-hours did work was not observed."
    assert view_models.worked_words(frame) == "Held, at work or not observed"
    assert view_models.worked_words(chargeback_frame(TWO_TEAMS)) == "Held, at work"
    found = {note.amount: note.text for note in notes(frame, imported, {"watermark": None})}
    assert "job log" in found["0 GPU-h"]
    assert found["40.0 GPU-h"].startswith("held, not observed (100 %)")


def test_idle_time_without_a_price_is_not_called_no_idle_time() -> None:
    """Hours that nothing prices are named as hours; nothing says that all was used, or shows zero money."""
    unpriced = answer(
        row("vision", "owner", 10.0, "10.00", active=4.0, held_idle=6.0),
        row("idle capacity", "idle", 5.0, None, idle=5.0),
    )
    idle = {"rows": [{"workload": "notebook", "team": "vision", "gpu_hours": 6.0, "cost": None}]}
    frame = chargeback_frame(unpriced)
    waste = view_models.wasted(frame, idle)
    assert findings.lead(frame, waste, "EUR") == "11.0 GPU-hours went to GPUs that did no work, and have no price."
    assert findings.idle_finding(idle, "EUR") == "6.00 GPU-hours were held and did nothing, and have no price"
    none = answer(row("vision", "owner", 10.0, None, active=4.0), currency=None)
    figures = view_models.kpis(chargeback_frame(none), waste, Answers(none, idle, {}, "in November"))
    assert figures[3].value == wording.UNKNOWN
