"""Sections that the report of a team and the summary share: change, days, waste, energy, shares, invoices."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from analytics.figures import amount, month
from analytics.reports import charts
from analytics.reports.material import Material, money, plain, signed
from analytics.reports.report import Column, Kind, Row, Section, Table
from analytics.words import PLATFORM, title
from gpuledger.model import RUN_NUMBER

Document = Mapping[str, Any]
WHY: Final = {
    "memory_held": "runs nothing",
    "never_started": "never ran a kernel",
    "no_process": "has no process any more",
    "starved": "waits for data",
    "throttled": "is slowed down",
    "stalled": "stands still",
    "stranded": "is left over by MIG",
}
ADVICE: Final = {
    "memory_held": "Stop it when nobody uses it; let idle notebooks end by themselves.",
    "never_started": "Find out why it asked for a GPU: it may not need one.",
    "no_process": "End it: nothing of it uses what it was granted.",
    "starved": "Load data faster (more workers, local copies), or use fewer GPUs.",
    "throttled": "Ask the platform: heat or power slows the card.",
    "stalled": "Look at its log and restart it: it no longer gets on.",
    "stranded": "Choose a MIG layout that leaves nothing over.",
}
NO_QUEUES: Final = "Whether anybody waited meanwhile is not known: the ledger has no queues."
ASK: Final = "Ask its owner whether it still needs the GPU."


def change_section(row: Document | None, material: Material, command: str, finding: str = "") -> Section:
    """Return why the amount changed against the period before, in words unless another `finding` is given."""
    before, now = month(material.compared["with"]["label"]), material.period
    notes = before_notes(material)
    if row is None or row["change"] is None:
        unknown = "There is nothing to compare with: time of one of the two periods has no price."
        return Section("What changed", unknown if row else "Nothing was held in either period.", command, notes=notes)
    amounts = {name: Decimal(row[name]) for name in ("cost_before", "price", "volume", "mix", "no_price", "cost")}
    parts = [(name, amounts[key]) for key, name in _PARTS.items() if amounts[key] or key != "no_price"]
    way = [
        charts.Step(before, amounts["cost_before"], amount(amounts["cost_before"]), change=False),
        *(charts.Step(name, value, signed(value)) for name, value in parts),
        charts.Step(now, amounts["cost"], amount(amounts["cost"]), change=False),
    ]
    rows = [Row((before, amounts["cost_before"])), *(Row((name, value)) for name, value in parts)]
    table = Table((Column(""), Column(material.currency, Kind.MONEY)), rows, Row((now, amounts["cost"]), "total"))
    said = finding or change_words(row, before)
    return Section("What changed", said, command, table, charts.steps(way), notes)


_PARTS: Final = {"price": "Price", "volume": "Volume", "mix": "Mix", "no_price": "Without a price"}


def change_words(row: Document, before: str) -> str:
    """Return a change in words, with its parts."""
    if row["standing"] == "new":
        return f"Nothing was spent in {before}."
    if row["standing"] == "gone":
        return f"All that was spent was spent in {before}."
    change, was = Decimal(row["change"]), Decimal(row["cost_before"])
    percent = f" ({change / was * 100:+.0f} %)".replace("-", "\N{MINUS SIGN}") if was else ""
    amounts = {key: Decimal(row[key]) for key in _BECAUSE}
    parts = [
        f"{signed(part)} because {_BECAUSE[key][part > 0]}" for key, part in amounts.items() if amount(part) != "0.00"
    ]
    return f"{signed(change)}{percent} against {before}{': ' if parts else ''}{', '.join(parts)}."


_BECAUSE: Final = {  # where a part is less, and where it is more
    "volume": ("less time was held", "more time was held"),
    "mix": ("cheaper GPUs were held", "dearer GPUs were held"),
    "price": ("prices fell", "prices rose"),
    "no_price": ("time has no price now", "time had no price before"),
}


def before_notes(material: Material) -> list[str]:
    """Return what makes the period before no equal of this one."""
    known, before = material.compared["known_before"], month(material.compared["with"]["label"])
    found = []
    if not known["hours"]:
        return [f"Nothing of {before} is in the ledger."]
    if known["hours"] < known["of_hours"]:
        found.append(f"Of {before} the ledger has {known['hours']:,} of {known['of_hours']:,} hours.")
    if known["unpriced_gpu_hours"]:
        found.append(f"{plain(known['unpriced_gpu_hours'])} GPU-hours of {before} have no price.")
    return found


def days_section(
    layers: Sequence[charts.Series], keys: Sequence[str], material: Material, command: str, finding: str
) -> Section:
    """Return the cost of each day: as a picture in layers, and exactly by `keys` of the timeline in the workbook."""
    columns = (Column("Day"), *(Column(title(key), Kind.MONEY) for key in keys))
    rows = [Row((day, *(costs.get(key, Decimal(0)) for key in keys))) for day, costs, _ in material.days]
    heads = [str(int(day[8:])) for day, _, _ in material.days]
    picture = charts.columns(heads, layers, material.currency) if heads else ""
    return Section("Day by day", finding, command, Table(columns, rows, shown=0), picture)


def waste_section(rows: Sequence[Document], material: Material, command: str, *, whose: bool) -> Section:
    """Return what was paid for and did nothing, and what to do about it."""
    columns = (
        Column("What"),
        *([Column("Whose")] if whose else []),
        Column("Why"),
        Column("Runs", Kind.COUNT),
        Column("GPU-hours", Kind.HOURS),
        Column("Saving, from", Kind.MONEY),
        Column("to", Kind.MONEY),
    )
    found = [_wasted(row, whose=whose) for row in by_work(rows)]
    low, high = (sum((Decimal(row[name] or 0) for row in rows), Decimal(0)) for name in ("saving_low", "saving_high"))
    whole = sum(row["gpu_hours"] for row in rows)
    priced = any(row["saving_high"] is not None for row in rows)
    total = Row(("Sum", *([""] if whose else []), "", None, whole, *((low, high) if priced else (None, None))), "total")
    finding = "Nothing was held without work."
    if rows:
        finding = "What it cost is not known: none of it has a price."
    if priced:
        finding = f"Between {amount(low)} and {amount(high)} {material.currency} could have been saved."
    notes = _saved(rows, material, whose=whose)
    if rows:
        notes += [
            *_advice(rows),
            NO_QUEUES,
            f"The low end forgives the first {material.waste['grace_hours']} hours of each idle stretch.",
            f"Why the first row is here: gpuledger explain {shlex.quote(rows[0]['evidence'][0])}",
        ]
    return Section(
        "What was wasted, and what to do",
        finding,
        command,
        Table(columns, found, total if rows else None, 8),
        notes=notes,
    )


def _saved(rows: Sequence[Document], material: Material, *, whose: bool) -> list[str]:
    """Return what earlier advice really saved: of everybody, or of the team that the rows are of."""
    teams = {row["team"] for row in rows}
    followed = [
        row
        for row in material.waste.get("advice", {}).get("rows", ())
        if row["saved"] is not None and row["currency"] == material.currency and (whose or row["team"] in teams)
    ]
    if not followed:
        return []
    saved, low, high = (sum((Decimal(row[name]) for row in followed), Decimal(0)) for name in ("saved", "low", "high"))
    stated = f"{amount(low)} to {amount(high)} had been stated"
    return [f"Earlier advice really saved {amount(saved)} {material.currency} at the prices of then; {stated}."]


def _advice(rows: Sequence[Document]) -> list[str]:
    """Return what to do about each reason that occurs, the dearest first."""
    reasons = dict.fromkeys(row["reason"] for row in rows)
    return [f"What {_why(reason)}: {ADVICE.get(reason, ASK)}" for reason in reasons]


def _why(reason: str) -> str:
    return WHY.get(reason) or f"is idle ({reason.replace('_', ' ')})"


def by_work(rows: Sequence[Document]) -> list[dict[str, Any]]:
    """Return rows whose names differ in a trailing number only as one, the dearest first: they are runs of one work."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    for row in rows:
        name = RUNS.sub("", row["workload"])
        one = found.get(
            key := (row["kind"], row["reason"], name, row["team"], row["user"], row["node"], row["instead"])
        )
        if one is None:
            found[key] = {**row, "workload": name or row["workload"]}
            continue
        one["holders"] += row["holders"]
        one["gpu_hours"] += row["gpu_hours"]
        for amount_of in ("saving_low", "saving_high"):
            known = [Decimal(text) for text in (one[amount_of], row[amount_of]) if text is not None]
            one[amount_of] = str(sum(known)) if known else None
    return sorted(found.values(), key=lambda row: -Decimal(row["saving_high"] or 0))


RUNS: Final = re.compile(RUN_NUMBER)


def _wasted(row: Document, *, whose: bool) -> Row:
    owner = " ".join(filter(None, (title(row["team"]), row["user"]))) or (PLATFORM if row["node"] else "Unattributed")
    return Row(
        (
            row["workload"] or row["node"],
            *([owner] if whose else []),
            _why(row["reason"]),
            row["holders"] or None,
            row["gpu_hours"],
            money(row["saving_low"]),
            money(row["saving_high"]),
        )
    )


def energy_section(
    rows: Sequence[tuple[str, Document, str]], own: Document, moved: Document | None, finding: str, command: str
) -> Section:
    """Return kilowatt-hours, carbon, and what an hour of work took, for named rows of the energy answer.

    `own` is the row that the section is about: what it is without is said.
    """
    columns = (
        Column(""),
        Column("GPU-hours", Kind.HOURS),
        Column("Energy, kWh", Kind.HOURS),
        Column("CO2e, kg", Kind.HOURS),
        Column("Wh a useful hour", Kind.HOURS),
    )
    names = ("gpu_hours", "energy_kwh", "carbon_kg", "wh_per_active_gpu_hour")
    shown = [Row((name, *(row[each] for each in names)), style) for name, row, style in rows]
    body = [row for row in shown if row.style != "total"]
    total = next((row for row in shown if row.style == "total"), None)
    notes = ["Measured at the board. A useful hour is one of a GPU at work; the idle time of its holder counts in it."]
    if own["unmetered_gpu_hours"]:
        notes.append(f"{_some(own['unmetered_gpu_hours'])} GPU-hours have no reading of energy.")
    if own["carbon_unknown_kwh"]:
        notes.append(f"{_some(own['carbon_unknown_kwh'])} kWh have no carbon intensity.")
    return Section("Energy and carbon", finding, command, Table(columns, body, total), notes=[*notes, *_moving(moved)])


def _some(value: float) -> str:
    """Return how much there is of what is not known: little is not nothing."""
    shown = plain(value)
    return "Less than 0.1" if shown == "0.0" else shown


def _moving(moved: Document | None) -> list[str]:
    """Say what waiting would have saved; nothing where nothing can be said."""
    if moved is None or moved["saving_high_kg"] is None:
        return []
    low, high, whole = (plain(moved[name]) for name in ("saving_low_kg", "saving_high_kg", "movable_carbon_kg"))
    return [f"Batch work that had waited for up to a day would have saved {low} to {high} of its {whole} kg CO2e."]


def shares_section(rows: Sequence[Document], command: str, *, whose: bool) -> Section | None:
    """Return use against shares; None where nobody has one."""
    if not rows:
        return None
    columns = (
        *([Column("Team")] if whose else []),
        Column("Of"),
        Column("Share, GPUs", Kind.HOURS),
        Column("Available, GPU-hours", Kind.HOURS),
        Column("Used", Kind.HOURS),
        Column("Of share", Kind.RATIO),
        Column("Borrowed", Kind.HOURS),
        Column("Lent", Kind.HOURS),
        Column("Left idle", Kind.HOURS),
    )
    found = [
        Row(
            (
                *([title(row["team"]) or "Unattributed"] if whose else []),
                _scope(row),
                row["share_gpus"],
                *(row[f"{name}_gpu_hours"] for name in ("available", "used")),
                row["used_ratio"],
                *(row[f"{name}_gpu_hours"] for name in ("borrowed", "lent", "idle")),
            )
        )
        for row in rows
    ]
    finding = "What was used of the shares of the fleet, and what was borrowed and lent beyond them."
    return Section("Shares", finding, command, Table(columns, found))


def _scope(row: Document) -> str:
    named = (row["cluster"], row["pool"], row["model"])
    return " ".join(name for name in named if name not in ("", "*")) or "all GPUs"


def invoices_section(rows: Sequence[Document], material: Material, command: str, *, whose: bool) -> Section:
    """Return the invoices of the closed billing periods in the period."""
    if not rows:
        return Section("Invoices", "There is no invoice yet: it is made when the billing period is closed.", command)
    columns = (
        Column("Number", Kind.COUNT),
        Column("Document"),
        *([Column("To")] if whose else []),
        Column("Period"),
        Column("Observed", Kind.RATIO),
        Column(f"Payable, {material.currency}", Kind.MONEY),
    )
    found = [
        Row(
            (
                row["number"],
                row["kind"].replace("_", " ").capitalize(),
                *([title(row["team"]) or PLATFORM] if whose else []),
                month(row["period"]),
                row["complete_ratio"],
                money(row["payable"]),
            )
        )
        for row in rows
    ]
    payable = sum((Decimal(row["payable"]) for row in rows), Decimal(0))
    total = Row(("Sum", "", *([""] if whose else []), "", None, payable), "total") if len(rows) > 1 else None
    notes = ["An invoice is in whole cents, and has corrections and adjustments beside the charges of this page."]
    return Section(
        "Invoices",
        f"{amount(payable)} {material.currency} payable.",
        command,
        Table(columns, found, total),
        notes=notes,
    )
