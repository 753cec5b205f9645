"""What people of the demo asked for: one request that was approved and holds, one that waits for a second person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from gpuledger.accounting.periods import iso, to_us
from gpuledger.cli.sources import Document, Source

QUOTA: Final = {
    "kind": "quota",
    "owner": "acme/research/language",
    "gpus": "4",
    "by": "luis",
    "why": "the evaluation before the paper's deadline",
}
BUDGET: Final = {
    "kind": "budget",
    "owner": "acme/research",
    "amount": "2500",
    "currency": "EUR",
    "by": "luis",
    "why": "a second training run, as agreed in the steering group",
}
HELD_DAYS: Final = 14


def make_requests(source: Source, now: datetime) -> None:
    """Ask for both and decide what is decided; nothing where somebody asked before: the demo goes on from there."""
    if source.query("approvals", {})["rows"]:
        return
    until = iso(to_us(now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=HELD_DAYS)))
    quota = _ask(source, {**QUOTA, "to": until})
    _approve(source, quota, "lena", "it fits beside the others")
    budget = _ask(source, {**BUDGET, "to": until})
    _approve(source, budget, "farida", "the project has it")


def _ask(source: Source, asked: Document) -> int:
    return int(source.change("/v1/approvals", asked)["approval"]["approval"])


def _approve(source: Source, number: int, by: str, why: str) -> None:
    source.change(f"/v1/approvals/{number}/approval", {"by": by, "why": why})
