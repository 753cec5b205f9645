"""What the figures leave out or rest on: unpriced, unobserved, unattributed, refused, not final. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import polars as pl

from analytics.overview import total_cost, unwatched_hours
from analytics.words import ADJUSTMENT_WORDS
from dashboards import wording

Document = Mapping[str, Any]


class Note(NamedTuple):
    """Something that the figures leave out or rest on: how much, what it means, what to do."""

    amount: str
    text: str
    step: str = ""
    serious: bool = False


def notes(
    frame: pl.DataFrame, chargeback: Document, status: Document, adjustments: Document | None = None
) -> tuple[Note, ...]:
    """Return what the figures leave out, the gravest first, each with the next step."""
    hours = float(frame["gpu_hours"].sum())
    found = [
        _unpriced(chargeback["unpriced_gpu_hours"], hours),
        _unobserved(chargeback["unobserved_gpu_hours"], hours),
        _unwatched(unwatched_hours(frame), hours),
        _unattributed(frame, chargeback["currency"] or ""),
        _quarantined(status.get("quarantined") or 0),
        _pending(chargeback.get("pending_hours") or 0),
        _adjusted(adjustments["rows"] if adjustments else (), chargeback["currency"] or ""),
        _finality(chargeback, status),
    ]
    return tuple(note for note in found if note)


def _unpriced(hours: float, whole: float) -> Note | None:
    if not hours:
        return None
    text = (
        f"unpriced ({wording.share(hours, whole)}): no entry of the price book covers them, so every total is too low."
    )
    return Note(f"{wording.hours(hours)} GPU-h", text, "gpuledger price import FILE", serious=True)


def _unobserved(hours: float, whole: float) -> Note | None:
    if not hours:
        return Note("0 GPU-h", "unobserved: an agent or a job log accounts for all the time.")
    text = f"unobserved ({wording.share(hours, whole)}): no telemetry. They are shown apart, and never billed as idle."
    return Note(f"{wording.hours(hours)} GPU-h", text, "", serious=hours > whole / 50)


def _unwatched(hours: float, whole: float) -> Note | None:
    if not hours:
        return None
    text = (
        f"held, not observed ({wording.share(hours, whole)}): MIG instances and imported jobs do not show whether they"
        " worked. They are billed as held, and are in no figure of utilisation or idle time."
    )
    return Note(f"{wording.hours(hours)} GPU-h", text)


def _unattributed(frame: pl.DataFrame, currency: str) -> Note | None:
    rows = frame.filter(pl.col("kind") == "unattributed")
    hours = float(rows["gpu_hours"].sum())
    if not hours:
        return None
    cost = wording.money_short(total_cost(rows), currency)
    text = f"unattributed ({wording.hours(hours)} GPU-h): no owner rule matches who held them."
    return Note(cost, text, "gpuledger owner import FILE", serious=True)


def _quarantined(batches: int) -> Note | None:
    if not batches:
        return None
    text = f"{'batch' if batches == 1 else 'batches'} refused: kept with the reason, and counted in no figure here."
    return Note(f"{batches:,}", text, "", serious=True)


def _pending(hours: int) -> Note | None:
    if not hours:
        return None
    return Note(f"{hours:,} h", "wait to be rated again: reload in a moment for the newest figures.", serious=True)


def _adjusted(rows: Sequence[Document], currency: str) -> Note | None:
    """Say what bills have beside charges: of teams, since what the platform has is the other side of it."""
    sums: dict[str, Decimal] = {}
    for row in rows:
        if row["team"] and row["cost"] is not None:
            sums[row["kind"]] = sums.get(row["kind"], Decimal(0)) + Decimal(row["cost"])
    if not sums:
        return None
    kinds = ", ".join(f"{ADJUSTMENT_WORDS[kind]} {wording.money(amount, currency)}" for kind, amount in sums.items())
    text = f"adjustments of teams' bills, which these charges are without: {kinds}."
    return Note(wording.money(sum(sums.values(), Decimal(0)), currency), text, "gpuledger invoice list")


def _finality(chargeback: Document, status: Document) -> Note:
    until = wording.instant(status.get("watermark"))
    if chargeback["final"]:
        return Note("Final", "The period is closed: these charges do not change any more.")
    return Note("Provisional", f"Data reaches to {until}. Charges can change until the period is closed.")
