"""What disputes are about in money: in question now, granted by a decision, posted on bills, and due on the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import pyarrow as pa

from collector.ledger.database import Session
from gpuledger.accounting.disputes import About, Decision, Resolution, due, granted

ASKED: Final = pa.schema([("dispute_id", pa.int64())])
Amounts = dict[About, int]
Disputes = Sequence[Mapping[str, Any]]  # rows of dispute_states


class Standing(NamedTuple):
    """The money of one dispute, in quanta: in question as it is known now, granted of it, posted on closed bills."""

    question: Amounts
    granted: Amounts
    posted: Amounts
    bills: str  # the closed periods whose bills have it

    @property
    def due(self) -> Amounts:
        """Return what the next bill gives back; empty where bills have all that was granted."""
        return due(self.granted, self.posted)


def in_question(session: Session, disputes: Disputes) -> dict[int, Amounts]:
    """Return what the owner who disputes pays for what is disputed, as it is known now, by dispute."""
    found: dict[int, Amounts] = {row["dispute_id"]: {} for row in disputes}
    for row in _amounts(session, disputes):
        found[row["dispute_id"]][_about(row)] = row["cost_quanta"]
    for dispute in disputes:
        if dispute["fixed_quanta"] is not None:
            lines = session.execute("query_invoice_lines", {"invoice_number": dispute["invoice_number"]}).to_pylist()
            about = next(_about(line) for line in lines if line["line"] == dispute["line"])
            found[dispute["dispute_id"]] = {about: dispute["fixed_quanta"]}
    return found


def standings(session: Session, disputes: Disputes) -> dict[int, Standing]:
    """Return the money of each dispute."""
    posted: dict[int, Amounts] = {row["dispute_id"]: {} for row in disputes}
    bills: dict[int, set[str]] = {row["dispute_id"]: set() for row in disputes}
    for row in session.execute("dispute_posted").to_pylist():
        if row["dispute_id"] in posted:
            posted[row["dispute_id"]][_about(row)] = row["cost_quanta"]
            bills[row["dispute_id"]].update(row["labels"].split(", "))
    asked = in_question(session, disputes)
    return {
        number: Standing(
            question=asked[number],
            granted=granted(resolution, asked[number]) if (resolution := resolution_of(row)) else {},
            posted=posted[number],
            bills=", ".join(sorted(bills[number])),
        )
        for row in disputes
        for number in (row["dispute_id"],)
    }


def resolution_of(row: Mapping[str, Any]) -> Resolution | None:
    """Return what was decided about a dispute, if anything."""
    if not row["decision"]:
        return None
    return Resolution(Decision(row["decision"]), row["amount_quanta"], row["percent"])


def _amounts(session: Session, disputes: Disputes) -> list[dict[str, Any]]:
    by_charge = [row for row in disputes if row["fixed_quanta"] is None]
    if not by_charge:
        return []
    asked = pa.table({"dispute_id": [row["dispute_id"] for row in by_charge]}, schema=ASKED)
    bounds = {
        "from_us": min(row["from_us"] for row in by_charge),
        "to_us": max(row["to_us"] for row in by_charge),
    }
    rows: list[dict[str, Any]] = session.execute("dispute_amounts", bounds, {"asked_disputes": asked}).to_pylist()
    return rows


def _about(row: Mapping[str, Any]) -> About:
    return About(row["project"], row["model"], row["mig_profile"], row["state"])
