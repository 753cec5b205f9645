"""What the Chargeback page shows: who is charged what, why less was used, and what else is on bills. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from analytics.words import ADJUSTMENT_WORDS, PLATFORM
from dashboards import wording
from dashboards.view_models import Line, Table

Document = Mapping[str, Any]
_HELD_IDLE: Final = "held_idle: "
_CAUSES: Final = {
    "partly_active": "At work, not always",
    "unobserved": "Not observed",
    "ungranted": "Without a grant",
    "beyond_share": "Beyond its share",
}
MAX_ADJUSTMENTS: Final = 20
MAX_TEAMS: Final = 25
UNATTRIBUTED: Final = wording.KIND_WORDS["unattributed"]


def finding(answer: Document, spoken: str) -> str:
    """Return the headline: what owners are charged of what the fleet cost."""
    currency = answer["currency"] or ""
    total = Decimal(answer["total"]["cost"] or 0)
    owners = [Decimal(row["cost"] or 0) for row in answer["rows"] if row["kind"] == "owner"]
    if not total:
        return f"Nothing has a price {spoken}"
    billed = wording.money_short(sum(owners, Decimal(0)), currency)
    return f"{billed} of {wording.money_short(total, currency)} is charged to teams {spoken}"


def lead(answer: Document) -> str:
    """Return the sentence below it: how final that is."""
    if answer["final"]:
        return "The period is closed: these figures do not change any more."
    waiting = answer["pending_hours"]
    return "Provisional until the period is closed." + (f" {waiting:,} hours wait to be rated." if waiting else "")


def gap_table(gap: Document) -> Table:
    """Return why what was held costs more than what was used, by team and cause; the causes sum to the gap."""
    total = gap["total"]
    causes = list(total["parts"])
    shown = gap["rows"][:MAX_TEAMS]
    lines = [_gap_line("owner", wording.title(row["team"]) or UNATTRIBUTED, row, causes) for row in shown]
    lines.append(_gap_line("total", "Total", total, causes))
    headers = ("Team", f"Held, {gap['currency']}", "Used", "Gap", *map(_cause, causes))
    return Table(headers, tuple(lines), left_out=max(0, len(gap["rows"]) - MAX_TEAMS))


def adjustment_table(adjustments: Document) -> Table:
    """Return what bills have beside charges and corrections, and why."""
    rows = adjustments["rows"]
    lines = [
        Line(
            "owner" if row["final"] else "aside",
            (
                wording.title(row["team"]) or PLATFORM,
                ADJUSTMENT_WORDS.get(row["kind"], row["kind"]).capitalize(),
                wording.month_name(row["period"]),
                _amount(row["cost"]),
            ),
            row["because"],
        )
        for row in rows[:MAX_ADJUSTMENTS]
    ]
    headers = ("For", "What", "On the bill of", f"Cost, {adjustments['currency']}")
    return Table(headers, tuple(lines), 3, left_out=max(0, len(rows) - MAX_ADJUSTMENTS))


def _gap_line(kind: str, name: str, row: Document, causes: list[str]) -> Line:
    held, used = row["allocation_cost"], row["usage_cost"]
    parts = (row["parts"].get(cause, "0") for cause in causes)
    return Line(kind, (name, _amount(held), _amount(used), _amount(row["gap"]), *map(_amount, parts)))


def _cause(name: str) -> str:
    if name.startswith(_HELD_IDLE):
        reason = name.removeprefix(_HELD_IDLE)
        return wording.REASON_WORDS.get(reason) or "Held idle"
    return _CAUSES.get(name, name.replace("_", " ").capitalize())


def _amount(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text):,.2f}"
