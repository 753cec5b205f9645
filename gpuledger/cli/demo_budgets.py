"""The budgets of the demo: of the two teams that spend most, one is over 100 % of its budget, the other over 80 %."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

from gpuledger.cli.demo_plan import DemoPlan
from gpuledger.cli.sources import Source

SPENT: Final = (Decimal("1.1"), Decimal("0.88"))  # of their budgets; the dearest team first
DAYS: Final = 35  # how long the budgets are for, from the begin of the history
LEFT_DAYS: Final = 5  # and at least so much longer than it
_HEAD: Final = (
    "# Written by the demo, from what its teams have spent. Nobody is told: the collector has no addresses.\n"
)
_STAGES: Final = """\
stages = [
  { at = 50 },
  { at = 80, tell = ["team-lead"] },
  { at = 100, do = "hold", tell = ["team-lead", "finance"] },
]"""


def give_budgets(source: Source, plan: DemoPlan, directory: Path) -> None:
    """Import a budget book; nothing where there is one: the demo goes on from there."""
    if source.query("budgets/book", {})["version"]:
        return
    text = budget_book(source, plan)
    if text:
        path = directory / "budgets.toml"
        path.write_text(text, encoding="utf-8")
        source.import_book("budgets", path)
        source.change("/v1/budgets/evaluation", {})


def budget_book(source: Source, plan: DemoPlan) -> str:
    """Return the book; an empty text where nobody spent anything."""
    history = f"{plan.from_:%Y-%m-%dT%H:%MZ}..{plan.until:%Y-%m-%dT%H:%MZ}"
    answer = source.query("chargeback", {"period": history, "by": "team", "view": "allocation"})
    paths = {
        row["team"]: "/".join(filter(None, (row["organisation"], row["department"], row["team"])))
        for row in source.query("owners", {})["rows"]
    }
    spends = {
        row["key"]: Decimal(row["cost"])
        for row in answer["rows"]
        if row["kind"] == "owner" and row["key"] in paths and Decimal(row["cost"] or 0) > 0
    }
    end = plan.from_ + timedelta(days=max(DAYS, int(plan.days) + LEFT_DAYS))
    period = f"{plan.from_:%Y-%m-%d}..{end:%Y-%m-%d}"
    ordered = sorted(spends, key=lambda team: (-spends[team], team))
    entries = [
        f'\n[[budget]]\nowner = "{paths[team]}"\nperiod = "{period}"\ncurrency = "{answer["currency"]}"\n'
        f'amount = "{_round(spends[team] / share)}"\n{_STAGES}\n'
        for team, share in zip(ordered, SPENT, strict=False)
    ]
    return _HEAD + "".join(entries) if entries else ""


def _round(amount: Decimal) -> str:
    """Return an amount as somebody would agree on it: to two digits, and to whole cents."""
    places = min(amount.adjusted() - 1, 10)
    return f"{max(amount.scaleb(-places).to_integral_value().scaleb(places), Decimal('0.01')):f}"
