"""The monthly report of a team: what it spent, on what, why that changed, what it wasted and what to do. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from analytics.figures import amount, month, percent
from analytics.reports import charts, material, pieces
from analytics.reports.colours import ACCENT
from analytics.reports.less import less_section
from analytics.reports.material import Material, money, part, watched_hours
from analytics.reports.outlook import outlook_section
from analytics.reports.report import Column, Fact, Kind, Report, Row, Section, Table
from analytics.reports.spent_on import spent_on_sections
from analytics.words import title
from gpuledger.errors import AnalysisError

Document = Mapping[str, Any]
MEANS: Final = (
    "Volume is more or less time, at the average price of before; mix is other GPUs, at their prices of before; price"
    " is the rest."
)


def team_report(found: Material, team: str) -> Report:
    """Return the report of a team. Raises AnalysisError where it had nothing in this period nor in the one before."""
    row = _of(found.chargeback["rows"], team)
    change = _of(found.compared["rows"], team)
    if change is None:
        known = ", ".join(found.teams) or "none"
        raise AnalysisError(f'the team "{team}" held nothing in {found.label}', hint=f"teams that did: {known}")
    spent = row or _nothing(team)
    sections = [
        pieces.change_section(change, found, _command("compare", found, "--by team"), MEANS),
        _days(found, team),
        outlook_section(found, team),
        *spent_on_sections(found, team, spent),
        _waste(found, team),
        less_section(
            [each for each in found.waste["rows"] if each["team"] == team], found, _command("waste", found), whose=False
        ),
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
        warnings=[*material.incomplete(found, spent["unpriced_gpu_hours"]), *material.unequal(found)],
        sections=[section for section in sections if section],
        made_from=" ".join(each["digest"] for each in found.periods if each["digest"]),
        as_of=found.chargeback["as_of"],
        covers=material.covers(found, f"{_watched(spent)} watched", spent["unpriced_gpu_hours"]),
    )


def _watched(spent: Document) -> str:
    """Return in how much of the held time somebody saw whether work was done."""
    return percent(part(watched_hours(spent), spent["gpu_hours"]))


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
    costs = [(costs.get(team) or Decimal(0), day) for day, costs, _ in found.days]
    finding = "What each day cost."
    if any(cost for cost, _ in costs):
        cost, day = max(costs)
        finding = f"The dearest day was {day}, with {amount(cost)} {found.currency}."
    layers = [charts.Series(title(team), ACCENT, [float(cost) for cost, _ in costs])]
    return pieces.days_section(layers, [team], found, _command("chargeback", found, "--by team"), finding)


def _waste(found: Material, team: str) -> Section:
    rows = [row for row in found.waste["rows"] if row["kind"] == "held_idle" and row["team"] == team]
    return pieces.waste_section(rows, found, _command("waste", found), whose=False)


def _energy(found: Material, team: str) -> Section:
    command = _command("energy", found, "--by team")
    row = _of(found.energy["rows"], team)
    moved = next((each for each in found.energy["shifting"]["rows"] if each["key"] == team), None)
    if row is None or row["energy_kwh"] is None:
        return Section("Energy and carbon", "No energy was measured.", command)
    took = f"{material.plain(row['energy_kwh'])} kWh"
    carbon = "" if row["carbon_kg"] is None else f", which emitted {material.plain(row['carbon_kg'])} kg CO2e"
    rows = [(title(team), row, ""), ("The whole fleet, idle GPUs included", found.energy["total"], "aside")]
    return pieces.energy_section(rows, row, moved, f"{took}{carbon}.", command)


def _complete(found: Material, spent: Document) -> Section:
    """Return what the figures are without."""
    known = found.compared["known"]
    rows = [
        Row(("Hours of the period that are in the ledger", f"{known['hours']:,} of {known['of_hours']:,}")),
        Row(("GPU-hours in which somebody saw whether work was done", _watched(spent))),
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
