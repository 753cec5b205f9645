"""The adjuster of disputes: what was decided goes onto the next bill as a credit and, elsewhere, the same amount."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from collector.ledger.database import Session
from collector.periods.entries import Bills, Payer, bills_of
from collector.periods.question import Standing, standings
from collector.queries.charge_id import SEPARATOR, parse_charge_id
from gpuledger.accounting.adjustments import DISPUTE, Adjustment
from gpuledger.accounting.periods import Period, iso


def dispute_adjustments(session: Session, period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return what decided disputes give back on the bill of `period`, less what earlier bills gave back of them.

    One about closed time is on the next bill that closes, one about open time on that time's own bill.
    """
    decided = [
        row
        for row in session.execute("dispute_states", {"dispute_id": 0}).to_pylist()
        if row["decision"] and row["decision"] != "rejected"
    ]
    if not decided:
        return []
    bills = bills_of(session, period)
    posted = {row["dispute_id"] for row in session.execute("dispute_posted").to_pylist()}
    mine = [
        row
        for row in decided
        if bills.take(row["to_us"]) and (row["restated"] or row["dispute_id"] not in posted)  # else nothing is due
    ]
    money = standings(session, mine)
    return [line for row in mine for line in _lines(row, money[row["dispute_id"]], bills)]


def _named(subject: str) -> str:
    """Return what is disputed as a bill shows it; the dispute itself has the whole name of the charge."""
    if SEPARATOR not in subject:
        return subject
    charge = parse_charge_id(subject)
    return f"{charge.device} at {iso(charge.hour_us)}"


def _lines(row: dict[str, Any], standing: Standing, bills: Bills) -> Iterator[Adjustment]:
    payer = Payer(row["organisation"], row["department"], row["team"])
    receiver = Payer(row["to_organisation"], row["to_department"], row["to_team"])
    again = "; what it is about was corrected since" if standing.posted else ""
    for about, quanta in standing.due.items():
        common = {
            "kind": DISPUTE,
            "reference": f"dispute {row['dispute_id']}",
            "from_us": row["from_us"],
            "to_us": row["to_us"],
            "model": about.model,
            "mig_profile": about.mig_profile,
            "state": about.state,
            "corrects": bills.corrects(row["from_us"]),
        }
        decision = "upheld partly" if row["decision"] == "partly" else row["decision"]
        how = f"dispute {row['dispute_id']} ({_named(row['subject'])})"
        yield Adjustment(
            because=f"{how} {decision} by {row['ended_by']}: {row['ended_why']}{again}",
            cost_quanta=-quanta,
            project=about.project,
            **payer._asdict(),
            **common,
        )
        yield Adjustment(
            because=f"{how} moved here from {payer} by {row['ended_by']}: {row['ended_why']}{again}",
            cost_quanta=quanta,
            **receiver._asdict(),
            **common,
        )
