"""What the Budgets & approvals page shows: where budgets stand, what waits for a decision, what was decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from analytics.budget_outlook import Outlook
from analytics.words import title
from dashboards import wording
from dashboards.view_models import Line, Table

Document = Mapping[str, Any]
NEAR: Final = 80
FORECASTS: Final = (
    "At the run rate: if the rest of the period costs as much an hour as what was watched of it. Stages, alerts and the"
    " day on which a budget runs out go by that. By past weeks: where four of five such periods land, by the rhythm of"
    " the owner's weeks before, as gpuledger forecast has it; a dash where less than three weeks are known, or the"
    " owner is no team."
)
WAITING: Final = "waiting"
MOST_DECIDED: Final = 25
ACTIONS: Final[dict[str, str]] = {
    "": "",
    "notify": "people told",
    "hold": "new work waits",
    "block": "new work is refused",
}


def finding(rows: Sequence[Document]) -> str:
    """Return the headline: which budgets are spent, or nearly."""
    if not rows:
        return "No budget is set"
    over, near = _at_least(rows, 100), _at_least(rows, NEAR)
    if len(over) == 1:
        return f"{_name(over[0]['owner'])} has spent {_percent(over[0])} of its budget"
    if over:
        return f"{len(over)} of {len(rows):,} budgets are spent"
    if near:
        them = _name(near[0]["owner"]) if len(near) == 1 else f"{len(near)} owners"
        return f"No budget is spent; {them} went past {NEAR} %"
    unknown = sum(row["percent"] is None for row in rows)
    if unknown:
        return f"What was spent of {unknown:,} budget{'s' if unknown > 1 else ''} is not known"
    return "The budget has room" if len(rows) == 1 else f"All {len(rows):,} budgets have room"


def lead(rows: Sequence[Document], waiting: int, forecast_by: str) -> str:
    """Return the sentence below it."""
    asks = {0: "Nothing waits for a decision.", 1: "1 request waits for a decision."}.get(
        waiting, f"{waiting:,} requests wait for a decision."
    )
    return f"{asks} Forecasts are made by {forecast_by}." if rows else asks


def fullest_first(rows: Sequence[Document]) -> list[Document]:
    """Return budgets in the order of the table; those whose spend is not known come last."""
    return sorted(rows, key=lambda row: Decimal(row["percent"] or "-1"), reverse=True)


def budget_table(ranked: Sequence[Document], outlooks: Mapping[int, Outlook]) -> Table:
    """Return each budget in its period, with where it lands by the weeks before (by its place), where that is known."""
    headers = (
        "Owner", "Period", "What it does now", "Spent", "Limit", "Used", "At the run rate", "By past weeks", "Runs out",
    )  # fmt: skip
    lines = (_budget(row, outlooks.get(place, Outlook())) for place, row in enumerate(ranked))
    return Table(headers, tuple(lines), 3)


def waiting_table(rows: Sequence[Document]) -> Table:
    """Return requests that wait, the one that expires first on top."""
    waiting = sorted((row for row in rows if row["state"] == WAITING), key=lambda row: row["expires_at"])
    lines = (
        Line(
            "owner",
            (_asked(row), row["why"], row["requested_by"], row["needs"], wording.instant(row["expires_at"])),
            f"request {row['approval']}",
        )
        for row in waiting
    )
    return Table(("What", "Why", "Asked by", "Needs", "Expires"), tuple(lines), 5)


def decided_table(rows: Sequence[Document]) -> Table:
    """Return what became of other requests, the newest first."""
    decided = sorted((row for row in rows if row["state"] != WAITING), key=lambda row: -row["approval"])
    lines = (
        Line(
            "owner",
            (_asked(row), row["state"], row["requested_by"], row["approved_by"], wording.instant(row["decided_at"])),
            f"request {row['approval']}{', in force' if row['in_force'] else ''}",
        )
        for row in decided[:MOST_DECIDED]
    )
    left_out = max(0, len(decided) - MOST_DECIDED)
    return Table(("What", "Became", "Asked by", "Approved by", "When"), tuple(lines), 5, left_out)


def notes_of(rows: Sequence[Document]) -> list[tuple[str, str]]:
    """Return what is not known of budgets: whose, and what."""
    found = [(_name(row["owner"]), row["note"]) for row in rows if row["note"]]
    found += [
        (_name(row["owner"]), f"{wording.hours(row[name])} GPU-hours {words}")
        for row in rows
        for name, words in (("unpriced_gpu_hours", "have no price yet"), ("unobserved_gpu_hours", "were not observed"))
        if row[name]
    ]
    return found


def _budget(row: Document, outlook: Outlook) -> Line:
    raised = f" + {wording.amount(row['raise'])}" if Decimal(row["raise"] or 0) else ""
    return Line(
        "owner",
        (
            _name(row["owner"]),
            wording.days(row["period"]),
            ACTIONS[row["action"]],
            _money(row["spent"], row["currency"]),
            f"{_money(row['limit'], row['currency'])}{raised}",
            _percent(row),
            _money(row["forecast"], row["currency"]),
            _range(outlook, row["currency"]),
            _runs_out(row),
        ),
        row["owner"] if "/" in row["owner"] else "",
    )


def _range(outlook: Outlook, currency: str) -> str:
    """Return the range of four of five; where nothing says how far a forecast is off, the forecast alone."""
    if outlook.low is None or outlook.high is None:
        return wording.UNKNOWN if outlook.expected is None else _short(outlook.expected, currency)
    low, high = _short(outlook.low, currency), _short(outlook.high, currency)
    return low if low == high else f"{low} to {high}"


def _short(amount: float, currency: str) -> str:
    return wording.money_short(Decimal(repr(amount)), currency)


def _runs_out(row: Document) -> str:
    if _at_least([row], 100):
        return "already spent"
    return wording.instant(row["exhausted_at"]) if row["exhausted_at"] else "not in this period"


def _asked(row: Document) -> str:
    of = f" for {_name(row['owner'])}" if row["owner"] else ""
    return f"{title(row['kind'])}{of}: {row['wanted']}"


def _at_least(rows: Sequence[Document], percent: int) -> list[Document]:
    return [row for row in rows if row["percent"] is not None and Decimal(row["percent"]) >= percent]


def _percent(row: Document) -> str:
    return wording.UNKNOWN if row["percent"] is None else f"{Decimal(row['percent']):,.0f} %"


def _money(text: str | None, currency: str) -> str:
    return wording.money(None if text is None else Decimal(text), currency)


def _name(owner: str) -> str:
    """Return an owner by the last part of its path."""
    return "Everything" if owner == "*" else title(owner.rpartition("/")[2])
