"""The monthly report of a team: what it spent, on what, why that changed, what it wasted and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.compare import spending
from analytics.figures import amount, month, percent
from analytics.line_groups import IS_HELD
from analytics.reports import charts, material, pieces
from analytics.reports.colours import ACCENT
from analytics.reports.material import Material, money, part, watched_hours
from analytics.reports.report import Column, Fact, Kind, Report, Row, Section, Table
from analytics.utilisation import utilisation
from analytics.words import title
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.units import gpu_hours
from gpuledger.errors import AnalysisError

Document = Mapping[str, Any]
_BY: Final = {"workload": "Workload", "system": "MLOps system", "model": "GPU", "user": "User"}


def team_report(found: Material, team: str) -> Report:
    """Return the report of a team. Raises AnalysisError where it had nothing in this period nor in the one before."""
    row = _of(found.chargeback["rows"], team)
    change = _of(found.compared["rows"], team)
    if change is None:
        known = ", ".join(found.teams) or "none"
        raise AnalysisError(f'the team "{team}" held nothing in {found.label}', hint=f"teams that did: {known}")
    spent = row or _nothing(team)
    sections = [
        pieces.change_section(change, found, _command("compare", found, "--by team")),
        _days(found, team),
        *(_spent_on(found, team, spent, by) for by in _BY),
        _waste(found, team),
        _energy(found, team),
        pieces.shares_section(
            [each for each in found.quotas["rows"] if each["team"] == team], _command("quota", found), whose=False
        ),
        _complete(found, spent),
        pieces.invoices_section(
            [each for each in found.invoices if each["team"] == team], found, "gpuledger invoice list", whose=False
        ),
    ]
    return Report(
        title="GPU report",
        who=title(team),
        period=found.period,
        standing=material.standing(found),
        amount=money(spent["cost"]),
        currency=found.currency,
        finding=pieces.change_words(change, month(found.compared["with"]["label"]))
        if change["change"] is not None
        else "",
        facts=[Fact("GPU-hours", spent["gpu_hours"], Kind.HOURS), *material.efficiency(spent), *_head(found, spent)],
        warnings=material.incomplete(found, spent["unpriced_gpu_hours"]),
        sections=[section for section in sections if section],
        made_from=" ".join(each["digest"] for each in found.periods if each["digest"]),
        as_of=found.chargeback["as_of"],
    )


def _of(rows: list[Document], team: str) -> Document | None:
    return next((row for row in rows if row["kind"] == "owner" and row["key"] == team), None)


def _nothing(team: str) -> Document:
    """Return the row of a team that had something before and has nothing now."""
    return {
        "key": team, "kind": "owner", "gpu_hours": 0.0, "active_gpu_hours": 0.0, "energy_kwh": 0.0, "carbon_kg": 0.0,
        "cost": "0.00", "unpriced_gpu_hours": 0.0, "states": {},
    }  # fmt: skip


def _head(found: Material, spent: Document) -> list[Fact]:
    whole, cost = money(found.chargeback["total"]["cost"]), money(spent["cost"])
    share = None if not whole or cost is None else float(cost / whole)
    return [
        Fact("Of the whole fleet", share, Kind.RATIO),
        Fact("Energy, kWh", spent["energy_kwh"], Kind.HOURS),
        Fact("CO2e, kg", spent["carbon_kg"], Kind.HOURS),
    ]


def _command(name: str, found: Material, *more: str) -> str:
    return " ".join([f"gpuledger {name} --period {found.label}", *more])


def _days(found: Material, team: str) -> Section:
    costs = [float(money(step["costs"].get(team)) or 0) for step in found.timeline["rows"]]
    finding = "What each day cost."
    if any(costs):
        dearest = max(range(len(costs)), key=costs.__getitem__)
        at = found.timeline["rows"][dearest]
        finding = f"The dearest day was {at['at'][:10]}, with {amount(at['costs'][team])} {found.currency}."
    layers = [charts.Series(team, ACCENT, costs)]
    return pieces.days_section(layers, found, _command("chargeback", found, "--by team"), finding)


def lines_of(lines: pl.DataFrame, team: str) -> pl.DataFrame:
    """Return the charges of what a team held."""
    return lines.filter(IS_HELD & (pl.col("team") == team))


def _spent_on(found: Material, team: str, spent: Document, by: str) -> Section:
    """Return what the team's cost is made of, by a dimension; its rows sum to it exactly."""
    own = lines_of(found.lines, team)
    costs = {
        (row["kind"], row["key"]): row
        for row in spending([own], by)
        .group_by("kind", "key")
        .agg(
            pl.when(pl.col("cost_quanta").is_not_null().any()).then(pl.col("cost_quanta").sum()).alias("cost_quanta"),
            pl.col("unpriced_part_us").sum(),
        )
        .iter_rows(named=True)
    }
    times = utilisation(own, by).iter_rows(named=True)
    rows = sorted(
        ({**time, **costs[time["kind"], time["key"]]} for time in times),
        key=lambda row: (-(row["cost_quanta"] or 0), -row["held_part_us"], row["key"]),
    )
    head = _BY[by]
    whole = money(spent["cost"])
    columns = (
        Column(head),
        Column("GPU-hours", Kind.HOURS),
        Column("At work", Kind.RATIO),
        Column("Idle, GPU-hours", Kind.HOURS),
        Column(found.currency, Kind.MONEY),
        Column("Share", Kind.RATIO),
    )
    total = Row(
        (
            "Sum",
            spent["gpu_hours"],
            part(spent["active_gpu_hours"], watched_hours(spent)),
            spent["states"].get("held_idle", 0.0),
            whole,
            1.0 if whole else None,
        ),
        "total",
    )
    finding = _most(rows, whole, head)
    table = Table(columns, [_spent_row(row, whole) for row in rows], total)
    return Section(f"By {_LOWER[by]}", finding, _command("chargeback", found, f"--by {by}"), table)


_LOWER: Final = {"workload": "workload", "system": "MLOps system", "model": "GPU model", "user": "user"}


def _spent_row(row: Document, whole: Decimal | None) -> Row:
    cost = None if row["cost_quanta"] is None else from_quanta(row["cost_quanta"])
    nobody = row["kind"] == "unattributed"
    return Row(
        (
            "not known" if nobody else row["key"],
            float(gpu_hours(row["held_part_us"])),
            row["active_of_held"],
            float(gpu_hours(row["held_idle_part_us"])),
            cost,
            float(cost / whole) if cost is not None and whole else None,
        ),
        "aside" if nobody else "",
    )


def _most(rows: Sequence[Document], whole: Decimal | None, head: str) -> str:
    if not rows or not whole or not rows[0]["cost_quanta"]:
        return f"What was spent, by {head if head == 'GPU' else head[:1].lower() + head[1:]}."
    first = rows[0]
    name = "Work of which that is not known" if first["kind"] == "unattributed" else first["key"]
    return f"{charts.shorten(name, 60)} took {percent(float(from_quanta(first['cost_quanta']) / whole))} of it."


def _waste(found: Material, team: str) -> Section:
    rows = [row for row in found.waste["rows"] if row["kind"] == "held_idle" and row["team"] == team]
    return pieces.waste_section(rows, found, _command("waste", found), whose=False)


def _energy(found: Material, team: str) -> Section:
    command = _command("energy", found, "--by team")
    row = _of(found.energy["rows"], team)
    moved = next((each for each in found.energy["shifting"]["rows"] if each["key"] == team), None)
    if row is None:
        return Section("Energy and carbon", "No energy was measured.", command)
    took = f"{material.plain(row['energy_kwh'])} kWh"
    carbon = "" if row["carbon_kg"] is None else f", which emitted {material.plain(row['carbon_kg'])} kg CO2e"
    rows = [(title(team), row, ""), ("The whole fleet, idle GPUs included", found.energy["total"], "aside")]
    return pieces.energy_section(rows, moved, f"{took}{carbon}.", command)


def _complete(found: Material, spent: Document) -> Section:
    """Return what the figures are without."""
    watched = watched_hours(spent)
    known = found.compared["known"]
    rows = [
        Row(("Hours of the period that are in the ledger", f"{known['hours']:,} of {known['of_hours']:,}")),
        Row(("GPU-hours in which somebody saw whether work was done", percent(part(watched, spent["gpu_hours"])))),
        Row(("GPU-hours without a price", material.plain(spent["unpriced_gpu_hours"]))),
        Row(
            (
                "GPU-hours of the whole fleet that nobody observed",
                material.plain(found.chargeback["unobserved_gpu_hours"]),
            )
        ),
    ]
    table = Table((Column("What"), Column("How much")), rows)
    return Section(
        "How complete this is", f"The figures are {material.standing(found)}.", _command("reconcile", found), table
    )
