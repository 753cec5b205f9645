"""What the Workloads page shows: runs, steps and endpoints by what they cost, in their tools' words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from dashboards import links, wording
from dashboards.view_models import Line, Table

Document = Mapping[str, Any]
EVERY: Final = "*"
NOT_RECOGNISED: Final = "none"  # in the address, where an empty choice is no choice


def finding(answer: Document, spoken: str) -> str:
    """Return the headline: which workload cost most."""
    if not answer["rows"]:
        return f"Nothing ran on a GPU {spoken}"
    top, currency = answer["rows"][0], answer["currency"] or ""
    if top["cost"] is None:
        return f"{answer['count']:,} workloads held GPUs {spoken}; none has a price yet"
    amount = wording.money_short(Decimal(top["cost"]), currency)
    share = wording.share(Decimal(top["cost"]), Decimal(answer["cost"] or 0))
    return f"{wording.run_name(top['workload'])} cost most {spoken}: {amount}, {share} of all workloads"


def lead(answer: Document) -> str:
    """Return the sentence below it: how many there were, and how much is told by tool."""
    cost = Decimal(answer["cost"] or 0)
    amount = wording.money_short(cost, answer["currency"] or "")
    known = [row for row in answer["systems"] if row["system"]]
    told = sum((Decimal(row["cost"] or 0) for row in known), Decimal(0))
    names = ", ".join(wording.system(row["system"]) for row in known[:4])
    names += f" and {len(known) - 4} more" if len(known) > 4 else ""
    tools = (
        f"{wording.share(told, cost)} of that is known by its tool ({names})."
        if known
        else "None was recognised by its tool."
    )
    return f"{answer['count']:,} workloads cost {amount}. {tools}"


def system_table(answer: Document) -> Table:
    """Return the systems that start workloads, the dearest first."""
    cost = Decimal(answer["cost"] or 0)
    lines = [
        Line(
            "owner" if row["system"] else "aside",
            (
                wording.system(row["system"]),
                f"{row['workloads']:,}",
                wording.hours_column(row["gpu_hours"]),
                wording.amount(row["cost"]),
                wording.UNKNOWN if row["cost"] is None else wording.share(Decimal(row["cost"]), cost),
            ),
        )
        for row in answer["systems"]
    ]
    heads = ("Started by", "Workloads", "GPU-hours", f"Cost, {answer['currency'] or '?'}", "Share")
    return Table(heads, tuple(lines))


def table(answer: Document, period: str) -> Table:
    """Return workloads: what each cost, by the hour that it ran, and what of it did nothing."""
    lines = tuple(
        Line(
            "owner",
            (
                row["workload"],
                wording.amount(row["cost"]),
                wording.amount(row["cost_per_hour"]),
                wording.hours_column(row["running_hours"]),
                f"{row['devices']:,}",
                wording.UNKNOWN if row["active_of_held"] is None else wording.share(row["active_of_held"], 1.0),
                wording.amount(row["idle_cost"]),
            ),
            about(row),
            links.link("chargeback", period=period, within=row["within"]),
        )
        for row in answer["rows"]
    )
    currency = answer["currency"] or "?"
    heads = (
        "Workload",
        f"Cost, {currency}",
        f"{currency} an hour",
        "Ran, h",
        "GPUs",
        "Active",
        f"Did nothing, {currency}",
    )
    return Table(heads, lines)


def about(row: Document) -> str:
    """Return what stands below a workload's name: its tool and project there, its team, its user, its runs."""
    tool = wording.system(row["system"]) if row["system"] else wording.HOLDER_WORDS.get(row["holder_kind"], "")
    tool = f"{tool}, {row['scope']}" if row["scope"] else tool
    team = wording.title(row["team"]) if row["team"] else wording.KIND_WORDS["unattributed"]
    runs = f"{row['runs']:,} runs or replicas" if row["runs"] > 1 else ""
    return " · ".join(each for each in (tool, team, row["user"], runs) if each)
