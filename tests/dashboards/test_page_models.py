"""The words and tables of My team, Workloads, Fleet health and Drift, without pages; colours and names of devices."""

from __future__ import annotations

from typing import Any

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dashboards import drift_models, fleet_models, pieces, team_models, waste_models, wording, workload_models
from dashboards.device_names import device_names
from dashboards.theme import OTHERS, TEAM_COLOURS, team_colours
from dashboards.view_models import Line, Table

TEAM = {"groups": 1, "currency": "EUR", "rows": [], "total": {
    "cost": "100.00", "gpu_hours": 50.0, "active_gpu_hours": 20.0, "energy_kwh": 5.0, "states": {"active": 50.0}}}  # fmt: skip
IDLE = {"rows": [
    {"workload": "nb-1", "team": "vision", "user": "lena", "reason": "memory_held", "gpu_hours": 4.0, "cost": "8.00"},
    {"workload": "nb-2", "team": "vision", "user": "lena", "reason": "memory_held", "gpu_hours": 1.0, "cost": "2.00"},
    {"workload": "asr", "team": "speech", "user": "mei", "reason": "starved", "gpu_hours": 9.0, "cost": "90.00"},
]}  # fmt: skip


def test_a_teams_headline_is_of_that_team_alone() -> None:
    """What others wasted is not in it; runs of one notebook are one line with its next step."""
    wasted = team_models.idle_of(IDLE, "vision")
    assert team_models.finding("vision", TEAM, wasted, "in May") == "Vision spent €100 in May; €10.00 of it did nothing"
    [line] = team_models.advice_table(wasted, "EUR").lines
    assert line.cells == ("nb", "End it, or release the GPU when idle", "5.0", "€10.00")
    assert team_models.advice_finding(wasted, "EUR") == "One workload is all of it: €10.00"


def test_a_team_without_time_or_prices_is_told_so() -> None:
    """Neither is a team that spent nothing."""
    wasted = team_models.idle_of({"rows": []}, "vision")
    none: dict[str, Any] = {**TEAM, "groups": 0}
    assert team_models.finding("vision", none, wasted, "in May") == "Vision held no GPU in May"
    unpriced: dict[str, Any] = {**TEAM, "total": {**TEAM["total"], "cost": None}}  # type: ignore[dict-item]
    assert "none has a price yet" in team_models.finding("vision", unpriced, wasted, "in May")
    assert team_models.kpis(unpriced, wasted)[0].value == "\N{EN DASH}"
    assert team_models.advice_finding(wasted, "EUR") == "Nothing to do: all that was watched worked"


def test_workloads_are_told_in_their_tools_words() -> None:
    """By name, tool, project, team and replicas; without a tool by what holds them."""
    row = {
        "system": "mlflow", "scope": "churn", "workload": "tune lr", "holder_kind": "pod", "team": None, "user": "lena",
        "runs": 3, "cost": None, "cost_per_hour": None, "running_hours": 1.5, "devices": 2, "active_of_held": None,
        "idle_cost": None, "within": "unattributed/lena/tune lr",
    }  # fmt: skip
    answer = {"currency": None, "rows": [row]}
    [line] = workload_models.table(answer, "2026-05").lines
    assert line.small == "MLflow, churn · Unattributed · lena · 3 runs or replicas"
    assert line.cells == ("tune lr", wording.UNKNOWN, wording.UNKNOWN, "1.5", "2", wording.UNKNOWN, wording.UNKNOWN)
    assert (
        workload_models.about({**row, "system": "", "scope": "", "team": "vision", "runs": 1})
        == "Kubernetes · Vision · lena"
    )


def test_a_board_cut_by_mig_is_one_gpu_and_retired_ones_are_none() -> None:
    """The headline counts boards with errors, whatever number of messages each sent."""
    mig = {"kind": "mig", "model": "A100", "board": "GPU-1", "mig_profile": "1g.5gb", "pci_bus_id": "", "pool": ""}
    devices: dict[str, Any] = {"rows": [
        {**mig, "key": "MIG-1", "node": "n1", "until": None},
        {**mig, "key": "MIG-2", "node": "n1", "until": None},
        {**mig, "key": "GPU-2", "board": "", "kind": "gpu", "node": "n1", "until": None},
        {**mig, "key": "GPU-3", "board": "", "kind": "gpu", "node": "n2", "until": "2026-05-01T00:00:00Z"},
    ]}  # fmt: skip
    assert fleet_models.boards(devices) == 2
    fault = {"severity": "error", "device": "GPU-2", "kind": "xid"}
    events = {"rows": [fault, fault, {**fault, "severity": "info"}]}
    found = fleet_models.faults(events)
    assert fleet_models.finding(devices, found, 1, 3, "in May") == "1 of 2 GPUs had an error in May; 1 agent is behind"
    assert fleet_models.finding(devices, [], 0, 3, "in May") == "No GPU of 2 had an error in May; every agent delivers"
    assert device_names(devices["rows"])["MIG-2"].startswith("n1 1g.5gb (2)")


def test_time_out_of_service_is_told_for_every_day() -> None:
    """A day without any is a zero between the others, not a gap that closes."""
    states = pl.DataFrame({"at": [1, 2, 3], "state": ["active", "unavailable", "active"], "gpu_hours": [8.0, 1.0, 8.0]})
    found = fleet_models.unwell(states, ("unavailable", "unobserved"))
    assert found.select("at", "gpu_hours").rows() == [(1, 0.0), (2, 1.0), (3, 0.0)]
    assert fleet_models.unwell(states, ("unobserved",)).is_empty()


def drifted(group: str, verdict: str, q: float | None, metric: str = "active_ratio") -> dict[str, Any]:
    return {
        "group": group,
        "metric": metric,
        "verdict": verdict,
        "q": q,
        "reference_mean": 0.8,
        "current_mean": 0.4,
        "p": q,
    }


def test_drift_is_told_by_group_and_chance_apart_from_it() -> None:
    """What came and went counts once; a page without drift says what moved most."""
    window = {"from": "2026-05-01T00:00:00Z", "to": "2026-05-08T00:00:00Z"}
    rows = [
        drifted("vision", "drift", 0.001),
        drifted("vision", "drift", 0.01, "power_w"),
        drifted("new", "appeared", None, "gpu_hours"),
    ]
    answer = {
        "by": "team",
        "level": 0.05,
        "tested": 12,
        "current": window,
        "reference": window,
        "rows": rows,
        "causes": [],
    }
    assert drift_models.finding(answer) == "1 team changed beyond chance against the days before"
    assert [line.cells for line in drift_models.table(answer).lines] == [
        ("Vision", "Utilisation (active ÷ held)", "80 %", "40 %", "0.1 %"),
        ("Vision", "Power", "0.80 W", "0.40 W", "1.0 %"),
        ("New", "New: nothing of it before", "", "", ""),
    ]
    calm = {**answer, "rows": [drifted("b", "steady", 0.9), drifted("a", "steady", 0.2)]}
    assert drift_models.finding(calm) == "Nothing changed beyond chance against the days before"
    assert [line.cells[0] for line in drift_models.within_chance(calm).lines] == ["A", "B"]


@given(st.lists(st.text(min_size=1), unique=True, max_size=8), st.data())
def test_a_team_keeps_its_colour_whatever_it_cost(teams: list[str], data: st.DataObject) -> None:
    """On pages that show some of them, in any order; no two that are shown share one."""
    shown = data.draw(st.permutations(teams))[: data.draw(st.integers(0, len(teams)))]
    whole = team_colours(teams)
    assert team_colours(shown, teams) == {team: whole[team] for team in shown}
    assert len(set(whole.values())) == len(teams)


def test_past_the_palette_teams_are_grey() -> None:
    """The first of the list, which cost most, have colours."""
    teams = [f"t{n:04d}" for n in range(5_000)]
    colours = team_colours(teams, teams)
    assert len({colours[team] for team in teams[: len(TEAM_COLOURS)]}) == len(TEAM_COLOURS)
    assert {colours[team] for team in teams[len(TEAM_COLOURS) :]} == {OTHERS}


def test_followed_advice_is_shown_with_what_was_stated() -> None:
    """Advice without a result waits unseen; the rest says what became of it, whose it was, and amounts or none."""
    row = {
        "workload": "jupyter", "node": "", "team": "vision", "period": ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"],
        "currency": "EUR", "low": "108.000000000", "high": "120.000000000", "saved": "60.000000000", "result": "less",
    }  # fmt: skip
    unpriced = {
        "low": None,
        "high": None,
        "saved": None,
        "result": "unpriced",
        "workload": "",
        "node": "flex-1",
        "team": "",
    }
    table = waste_models.advice_table({"rows": [row, {**row, "result": None}, {**row, **unpriced}]})
    first, second = table.lines
    assert first.cells == ("jupyter", "Saved less than was stated", "€108.00", "€120.00", "€60.00")
    assert first.small == "Vision · 2026-10-01 to 2026-11-01"
    assert second.cells[:2] == ("Slices on flex-1", "Its time has no price")
    assert set(second.cells[2:]) == {wording.UNKNOWN}


def test_a_run_is_named_by_the_beginning_of_its_identifier() -> None:
    """On pages, where it is whole under the pointer; what is taken away has all of it."""
    name = "pretrain/9a7a39339414050f484d85e4d6bff67c"
    shown = pieces.table(Table(("Workload",), (Line("owner", (name,)),)))
    assert shown.count("9a7a39339414050f484d85e4d6bff67c") == 1
    assert f'title="{name}">pretrain/9a7a3933…<' in shown
    assert [wording.run_name(each) for each in ("train-7", "a" * 32, "x/abc")] == ["train-7", "a" * 32, "x/abc"]


def test_periods_of_days_say_their_last_day() -> None:
    """Months are named; instants are left as they are."""
    found = [wording.days(each) for each in ("2026-10-21..2026-11-25", "2025-12-30..2026-01-03", "2026-11", "2026-Q4")]
    assert found == ["21 Oct to 24 Nov 2026", "30 Dec 2025 to 2 Jan 2026", "November 2026", "2026-Q4"]
    instants = "2026-11-01T00:00:00Z..2026-11-02T00:00:00Z"
    assert wording.days(instants) == instants


def test_memory_is_told_in_gib() -> None:
    """Nobody reads ten digits of bytes."""
    row = {"metric": "memory_bytes", "group": "vision", "verdict": "drift", "reference_mean": 3 * 2.0**30,
           "current_mean": 5.5 * 2.0**30, "q": 0.0}  # fmt: skip
    assert drift_models._line(row, "team", "owner").cells[2:4] == ("3.00 GiB", "5.50 GiB")
