"""The adjustments of a billing period: made by a list of adjusters in order, each of which sees what came before it.

The same functions say what an open period would have and what a closing one gets; a closed one keeps what was stored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import pyarrow as pa

from collector.ledger.database import Seen, Session
from collector.periods.committing import commitments
from collector.periods.lent import idle_of, loans_of
from collector.periods.manual import manual_adjustments
from collector.periods.resolving import dispute_adjustments
from collector.policies import adjusters as policies
from gpuledger.accounting.adjustments import KINDS, Adjustment, require_conserved
from gpuledger.accounting.periods import Period
from gpuledger.errors import ConservationError

# From the charges of a period that are rated, and the adjustments so far: what else its bill has.
Adjuster = Callable[[Session, Period, Sequence[Adjustment]], list[Adjustment]]

# Basis, free tier, fault credit, loans, commitments, idle share, then what was decided; why: docs/guides/policies.md.
# Idle time is moved once: idle_of stands back where a policy has moved it.
ADJUSTERS: Final[tuple[Adjuster, ...]] = (
    policies.own_time,  # basis, free tier, fault credit
    loans_of,
    commitments,
    policies.idle_share,
    idle_of,
    dispute_adjustments,
    manual_adjustments,
)

_SCHEMA: Final = pa.schema([
    *((name, pa.int64()) for name in ("adjustment", "from_us", "to_us", "state", "cost_quanta")),
    ("part_us", pa.decimal128(38, 0)),
    *((name, pa.string()) for name in (
        "kind", "because", "reference", "organisation", "department", "team", "project", "model", "mig_profile",
        "corrects",
    )),
])  # fmt: skip


def adjustments_of(
    session: Session, period: Period, adjusters: Sequence[Adjuster] = ADJUSTERS
) -> tuple[Adjustment, ...]:
    """Return what a bill of `period` has beside its charges and corrections, as it is known now.

    They follow from everybody's charges: a session that sees some owners only gets those of these owners.
    Raises ConservationError where an adjuster makes or loses money that it should move.
    """
    found: list[Adjustment] = []
    for adjuster in adjusters:
        found += adjuster(session.whole, period, tuple(found))
    require_conserved(found)
    strange = {each.kind for each in found} - set(KINDS)
    if strange:
        raise ConservationError(f"adjustments of unknown kinds: {', '.join(sorted(strange))}")
    return tuple(found) if session.seen is None else _seen(found, session.seen)


def _seen(found: Sequence[Adjustment], by: Seen) -> tuple[Adjustment, ...]:
    return tuple(
        each._replace(because=by.told(each.because), reference=by.told(each.reference))
        for each in found
        if by.owner(each.organisation, each.department, each.team)
    )


def store(session: Session, period_id: int, adjustments: Sequence[Adjustment]) -> None:
    """Put adjustments onto the bill of a period that is being closed, numbered from 1."""
    rows = [{"adjustment": number, **each._asdict()} for number, each in enumerate(adjustments, start=1)]
    table = pa.Table.from_pylist(rows, schema=_SCHEMA)
    session.execute("insert_adjustments", {"period_id": period_id}, {"new_adjustments": table})


def stored(session: Session, period_id: int) -> tuple[Adjustment, ...]:
    """Return the adjustments on the bill of a closed period, in their order."""
    rows: list[dict[str, Any]] = session.execute("select_adjustments", {"period_id": period_id}).to_pylist()
    return tuple(Adjustment(**row)._replace(part_us=int(row["part_us"])) for row in rows)
