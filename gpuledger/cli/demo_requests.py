"""What people of the demo asked for: one request that was approved and holds, one that waits for a second person."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from gpuledger.accounting.periods import iso, to_us
from gpuledger.cli.fleet import Fleet
from gpuledger.cli.sources import Document, Source

QUOTA: Final = {
    "kind": "quota",
    "owner": "acme/research/language",
    "gpus": "4",
    "why": "the evaluation before the paper's deadline",
}
BUDGET: Final = {
    "kind": "budget",
    "owner": "acme/research",
    "amount": "2500",
    "currency": "EUR",
    "why": "a second training run, as agreed in the steering group",
}
HELD_DAYS: Final = 14


def make_requests(fleet: Fleet, now: datetime) -> None:
    """Ask for both and decide what is decided; nothing where somebody asked before: the demo goes on from there.

    Everybody acts with a token of their own, so that the audit log tells apart who asked and who approved.
    """
    if fleet.source.query("approvals", {})["rows"]:
        return
    until = iso(to_us(now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=HELD_DAYS)))
    with fleet.acting("luis", "team-lead", "acme/research") as luis:
        quota, budget = (_ask(luis, {**asked, "to": until}) for asked in (QUOTA, BUDGET))
    with fleet.acting("lena", "approver") as lena:
        _approve(lena, quota, "it fits beside the others")
    with fleet.acting("farida", "finance") as farida:
        _approve(farida, budget, "the project has it")


def _ask(source: Source, asked: Document) -> int:
    return int(source.change("/v1/approvals", {**asked, "by": ""})["approval"]["approval"])


def _approve(source: Source, number: int, why: str) -> None:
    source.change(f"/v1/approvals/{number}/approval", {"by": "", "why": why})
