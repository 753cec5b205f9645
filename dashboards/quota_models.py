"""What the Budgets & approvals page shows of quotas: owner, model, limit, used, borrowed, what follows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from analytics.words import title
from dashboards import wording
from dashboards.budget_models import ACTIONS
from dashboards.view_models import Line, Table

Document = Mapping[str, Any]
DEVICES: Final = "devices"


def quota_table(rows: Sequence[Document]) -> Table:
    """Return each quota, the fullest first; of two as full the wider one. GPUs are those held now."""
    ranked = sorted(rows, key=lambda row: (-Decimal(row["percent"] or "-1"), row["owner"]))
    headers = ("Owner", "Model", "What it does now", "Used", "Limit", "Of limit", "Borrowed", "Lent", "Room")
    return Table(headers, tuple(_quota(row) for row in ranked), 3)


def notes_of(answer: Document) -> list[tuple[str, str]]:
    """Return what is not known of quotas, or beyond them: whose, and what; of raises that raise nothing, why."""
    found = []
    for row in answer["rows"]:
        name, unit = title_of(row["owner"]), _unit(row)
        if row["beyond"]:
            found.append((name, f"{_amount(row['beyond'])} {unit} are used beyond what anybody lends"))
        if row["unobserved"]:
            unseen = "have not been heard of for a while" if row["of"] == DEVICES else "were not observed"
            found.append((name, f"{_amount(row['unobserved'])} {unit} {unseen}"))
    return [*found, *(("Raise", note) for note in answer["notes"])]


def title_of(owner: str) -> str:
    """Return an owner by the last part of its path."""
    return "Everything" if owner == "*" else title(owner.rpartition("/")[2])


def _quota(row: Document) -> Line:
    raised = f" + {_amount(row['raise'])}" if row["raise"] else ""
    period = "at once" if row["of"] == DEVICES else row["period"]
    action = ACTIONS[row["action"]] or ("nothing more fits" if not row["room"] else "")
    return Line(
        "owner",
        (
            title_of(row["owner"]),
            "All" if row["model"] == "*" else row["model"],
            action,
            _amount(row["used"]),
            f"{_amount(row['limit'])}{raised}",
            wording.UNKNOWN if row["percent"] is None else f"{Decimal(row['percent']):,.0f} %",
            _amount(row["borrowed"]),
            _amount(row["lent"]),
            _amount(row["room"]),
        ),
        f"{_unit(row)} {period}",
    )


def _unit(row: Document) -> str:
    return "GPUs" if row["of"] == DEVICES else "GPU-hours"


def _amount(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")
