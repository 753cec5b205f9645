"""The way down from an owner to a charge, without a page."""

from __future__ import annotations

from typing import Any

from dashboards import drill_models, links
from gpuledger.within import parse_within


def row(kind: str, key: str, cost: str | None = "1.00", **changes: Any) -> dict[str, Any]:
    return {
        "kind": kind, "key": key, "cost": cost, "gpu_hours": 2.0, "active_gpu_hours": 1.0,
        "states": {"active": 1.0, "held_idle": 1.0}, **changes,
    }  # fmt: skip


def test_the_way_down_names_what_has_a_name() -> None:
    """Levels that anything may stand at, and those without a name, are left out; the last step is where one is."""
    steps = drill_models.crumbs(parse_within("/acme//vision/*/lena"), period="2026-05")
    assert [name for name, _ in steps] == ["All", "Acme", "Vision", "lena"]
    assert steps[2][1] == "chargeback?period=2026-05&within=%2Facme%2F%2Fvision"
    assert steps[-1][1] == ""
    assert [name for name, _ in drill_models.crumbs(parse_within("unattributed/lena"), "One charge")] == [
        "All", "Unattributed", "lena", "One charge",
    ]  # fmt: skip
    assert [name for name, _ in drill_models.crumbs(parse_within("/"))] == ["All", "No organisation"]


def test_a_row_of_the_whole_leads_down_only_where_it_is_a_part() -> None:
    """What is called unattributed by user or project has owners too: it leads nowhere, so that no figure differs."""
    rows = [row("owner", "a/b"), row("unattributed", "unattributed"), row("idle", "idle capacity")]
    by_team = drill_models.leads(rows, "team")
    assert by_team["owner", "a/b"] == "chargeback?within=%2F%2A%2F%2A%2Fa%252Fb"
    assert by_team["idle", "idle capacity"] == "chargeback?within=idle"
    assert ("unattributed", "unattributed") not in by_team
    assert drill_models.leads(rows, "organisation")["unattributed", "unattributed"] == "chargeback?within=unattributed"
    assert drill_models.leads(rows, "user") == {}


def test_what_has_no_price_is_not_free() -> None:
    """Neither in the headline nor in a row."""
    answer = {"currency": "EUR", "rows": [row("owner", "x", None)], "total": row("total", "total", None)}
    whole = {"total": {"cost": "10"}}
    part = parse_within("/acme")
    assert drill_models.finding(answer, part, whole, "in May") == "Acme has no price in May: 2.00 GPU-hours"
    table = drill_models.parts_table(answer, part, "department")
    assert table.lines[0].cells[:3] == ("X", "\N{EN DASH}", "\N{EN DASH}")


def test_parts_without_a_name_say_of_what() -> None:
    """And lead on to what is below them."""
    answer = {"currency": "EUR", "rows": [row("unnamed", "")], "total": row("total", "total")}
    [line, _] = drill_models.parts_table(answer, parse_within("/acme"), "department").lines
    assert (line.kind, line.cells[0], line.href) == ("aside", "No department", "chargeback?within=%2Facme%2F")


def test_a_charge_is_told_in_names() -> None:
    """Of its device, its workload and its state; keys stay where there is no name."""
    charge: dict[str, Any] = {
        "charge": "2026-05-05T10@lab@n1@GPU-7%40x@pod:u/main@held_idle@starved", "currency": "EUR", "cost": "0.5",
        "held_us": 1_800_000_000, "steps": ["pod:u/main had GPU-7@x held_idle for 30.000 of 60.000 minutes"],
    }  # fmt: skip
    names = {"GPU-7@x": "n1, GPU 3B"}
    assert drill_models.device_of(charge["charge"]) == "GPU-7@x"
    assert drill_models.sentences(charge, names, "train") == [
        "train had n1, GPU 3B held idle for 30.000 of 60.000 minutes."
    ]
    assert drill_models.charge_finding(charge, "n1, GPU 3B") == (
        "€0.5: 30.0 minutes of n1, GPU 3B, held idle, 5 May 2026, 10:00 UTC"
    )


def test_rows_come_a_page_at_a_time() -> None:
    """The first has none before it, the last none after; an address that says nonsense begins at the first."""
    assert links.beside("x", 0, 60) == ("", "x?first=25")
    assert links.beside("x", 25, 60, period="2026-05") == ("x?period=2026-05", "x?period=2026-05&first=50")
    assert links.beside("x", 50, 60)[1] == ""
    assert links.rows_shown(50, 10, 60) == "51 to 60 of 60"
    assert [links.first_row(text) for text in (None, "", "26", "-1", "٣", "9" * 12)] == [0, 0, 25, 0, 0, 0]
