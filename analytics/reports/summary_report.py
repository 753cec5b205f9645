"""The executive summary of a period: what the fleet cost, who spent it, why that changed, what was wasted. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from analytics.bill_page import KINDS, STATES
from analytics.figures import amount, month, percent, share
from analytics.over_asked import OVER_ASKED
from analytics.reports import charts, material, pieces
from analytics.reports.colours import NOT_A_TEAM, OTHERS, TEAMS
from analytics.reports.colours import STATES as STATE_COLOURS
from analytics.reports.less import less_section
from analytics.reports.material import Material, held_hours, money, part, watched_hours
from analytics.reports.outlook import outlook_section
from analytics.reports.report import Column, Fact, Kind, Report, Row, Section, Table
from analytics.series_source import TOTAL
from analytics.words import title
from gpuledger.model import State

Document = Mapping[str, Any]
MOST_TEAMS: Final = len(TEAMS) - 1


def summary_report(found: Material) -> Report:
    """Return the summary of all teams, and of time that is nobody's."""
    total = found.chargeback["total"]
    wasted = [row for row in found.waste["rows"] if row["kind"] != OVER_ASKED]
    sections = [
        pieces.change_section(found.compared["total"], found, _command("compare", found)),
        _days(found),
        outlook_section(found, TOTAL),
        _teams(found),
        _states(found),
        pieces.waste_section(wasted, found, _command("waste", found), whose=True),
        less_section(found.waste["rows"], found, _command("waste", found), whose=True),
        _energy(found),
        pieces.shares_section(found.quotas["rows"], _command("quota", found), whose=True),
        pieces.invoices_section(found.invoices, found, "gpuledger invoice list", whose=True),
    ]
    return Report(
        title="GPU summary",
        who="All teams",
        period=found.period,
        standing=material.standing(found),
        amount=money(total["cost"]),
        currency=found.currency,
        finding=_finding(found),
        facts=_facts(found),
        warnings=[*material.incomplete(found, total["unpriced_gpu_hours"]), *material.unequal(found)],
        sections=[section for section in sections if section],
        made_from=" ".join(each["digest"] for each in found.periods if each["digest"]),
        as_of=found.chargeback["as_of"],
        covers=material.covers(found, f"{percent(_observed(total))} observed", total["unpriced_gpu_hours"]),
    )


def _observed(total: Document) -> float | None:
    """Return how much of the time of all devices somebody saw."""
    whole = total["gpu_hours"]
    return part(whole - total["states"].get(State.UNOBSERVED.label, 0.0), whole)


def _command(name: str, found: Material, *more: str) -> str:
    return " ".join([f"gpuledger {name} --period {found.label}", *more])


def _finding(found: Material) -> str:
    owners = [row for row in found.chargeback["rows"] if row["kind"] == "owner"]
    if not owners:
        return "No team held a GPU in this period."
    paid = sum((Decimal(row["cost"] or 0) for row in owners), Decimal(0))
    idle = sum((Decimal(row["cost"] or 0) for row in found.chargeback["rows"] if row["kind"] == "idle"), Decimal(0))
    return f"{amount(paid)} is for what teams held, {amount(idle)} for capacity that nobody held."


def _facts(found: Material) -> list[Fact]:
    total = found.chargeback["total"]
    states, whole = total["states"], total["gpu_hours"]
    held = {**total, "gpu_hours": held_hours(states), "states": {k: v for k, v in states.items() if k in _HELD}}
    return [
        Fact("GPU-hours", whole, Kind.HOURS),
        Fact("Held, of capacity", part(held_hours(states), whole), Kind.RATIO),
        *material.efficiency(held),
        Fact("Observed", _observed(total), Kind.RATIO),
        Fact("Energy, kWh", total["energy_kwh"], Kind.HOURS),
        Fact("CO2e, kg", total["carbon_kg"], Kind.HOURS),
    ]


_HELD: Final = {state.label for state in STATES if state.label.startswith(("active", "held", "ungranted"))}


def _days(found: Material) -> Section:
    """Return each day's cost by team: the dearest teams by name, then the others, then what is no team's."""
    named, rest = found.teams[:MOST_TEAMS], found.teams[MOST_TEAMS:]
    days = [costs for _, costs, _ in found.days]
    nobodys = [key for key in dict.fromkeys(key for costs in days for key in costs) if key not in found.teams]
    layers = [
        charts.Series(title(team), colour, [_sum(costs, [team]) for costs in days])
        for team, colour in zip(named, TEAMS, strict=False)
    ]
    if rest:
        layers.append(charts.Series("Other teams", OTHERS, [_sum(costs, rest) for costs in days]))
    layers.append(charts.Series("No team", NOT_A_TEAM, [_sum(costs, nobodys) for costs in days]))
    command = _command("chargeback", found)
    return pieces.days_section(layers, [*found.teams, *nobodys], found, command, "What each day cost, by team.")


def _sum(costs: Mapping[str, Decimal | None], keys: Sequence[str]) -> float:
    return float(sum((costs.get(key) or Decimal(0) for key in keys), Decimal(0)))


def _teams(found: Material) -> Section:
    """Return every team's cost, its change with its parts, and how well it used what it held."""
    before, now = month(found.compared["with"]["label"]), found.period
    spent = {(row["kind"], row["key"]): row for row in found.chargeback["rows"]}
    columns = (
        Column("Team"),
        Column(before, Kind.MONEY),
        Column(now, Kind.MONEY),
        Column("Change", Kind.MONEY),
        Column("Price", Kind.MONEY),
        Column("Volume", Kind.MONEY),
        Column("Mix", Kind.MONEY),
        Column("At work", Kind.RATIO),
        Column("Held idle", Kind.RATIO),
    )
    ordered = sorted(found.compared["rows"], key=lambda row: (row["kind"] != "owner", -Decimal(row["cost"] or 0)))
    rows = [_team(row, spent.get((row["kind"], row["key"]))) for row in ordered]
    total = _team({**found.compared["total"], "key": "All"}, None)._replace(style="total")
    came = [title(row["key"]) for row in ordered if row["kind"] == "owner" and row["standing"] == "new"]
    went = [title(row["key"]) for row in ordered if row["kind"] == "owner" and row["standing"] == "gone"]
    said = [f"New: {', '.join(came)}."] if came else []
    said += [f"Gone: {', '.join(went)}."] if went else []
    return Section(
        "Teams", " ".join(said) or "No team came and none went.", _command("compare", found, "--by team"),
        Table(columns, rows, total, 40),
        notes=["Volume is more or less time, mix is other GPUs, price is the rest; the three sum to the change."],
    )  # fmt: skip


def _team(row: Document, spent: Document | None) -> Row:
    ratios: list[float | None] = [None, None]
    if spent and row["kind"] in ("owner", "unattributed"):
        held = held_hours(spent["states"])
        ratios = [
            part(spent["active_gpu_hours"], watched_hours(spent)),
            part(spent["states"].get(State.HELD_IDLE.label, 0.0), held),
        ]
    name = title(row["key"]) if row["kind"] == "owner" else KINDS.get(row["kind"], row["key"])
    standing = f" ({row['standing']})" if row["standing"] else ""
    amounts = (money(row[each]) for each in ("cost_before", "cost", "change", "price", "volume", "mix"))
    return Row((f"{name}{standing}", *amounts, *ratios), "" if row["kind"] == "owner" else "aside")


def _states(found: Material) -> Section:
    """Return what the time of all devices was."""
    states = found.chargeback["total"]["states"]
    whole = sum(states.values())
    parts = [
        charts.Part(name, STATE_COLOURS[state.label], hours, share(hours / whole))
        for state, name in STATES.items()
        if (hours := states.get(state.label, 0.0))
    ]
    rows = [Row((part.name, part.value, part.value / whole)) for part in parts]
    columns = (Column("State"), Column("GPU-hours", Kind.HOURS), Column("Share", Kind.RATIO))
    total = Row(("All", found.chargeback["total"]["gpu_hours"], 1.0 if whole else None), "total")
    held = percent(part(held_hours(states), whole))
    finding = f"{held} of all GPU time was held by somebody." if whole else "There were no devices."
    return Section(
        "What the time was", finding, _command("utilization", found), Table(columns, rows, total), charts.bar(parts)
    )


def _energy(found: Material) -> Section:
    total = found.energy["total"]
    idle = sum(row["energy_kwh"] or 0.0 for row in found.energy["rows"] if row["kind"] == "idle")
    rows = [
        (title(row["key"]) if row["kind"] == "owner" else KINDS.get(row["kind"], row["key"]), row, _aside(row))
        for row in sorted(found.energy["rows"], key=lambda row: row["kind"] != "owner")
    ]
    finding = (
        f"{material.plain(total['energy_kwh'])} kWh, of which {material.plain(idle)} kWh by GPUs that nobody held."
    )
    return pieces.energy_section(
        [*rows, ("All", total, "total")], total, found.energy["shifting"]["total"], finding, _command("energy", found)
    )


def _aside(row: Document) -> str:
    return "" if row["kind"] == "owner" else "aside"
