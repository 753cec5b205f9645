"""Waste: time that was held idle or left over by MIG, what it cost, how much of that could have been saved; exact."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import msgspec
import pyarrow as pa

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.queries.charge_id import charge_id_of
from collector.queries.figures import Span, instant, integers, span
from collector.queries.standing import standing_in
from collector.queries.summed_days import days_params
from gpuledger.accounting.periods import Period, require_hours

GRACE_HOURS: Final = 2
EVIDENCE: Final = 3
NAMES: Final = ("kind", "reason", "workload", "team", "user_name", "node")
GROUPS = pa.schema([("place", pa.int32()), *((name, pa.string()) for name in NAMES)])


class WasteRow(msgspec.Struct, frozen=True):
    """What one workload of one owner held idle for one reason, or what MIG left over on one node (`stranded`).

    Times are microseconds x parts of a GPU, money whole quanta. `high_quanta` is all that it cost; `low_quanta` leaves
    out hours with some work and the grace at the start of every stretch; both are None where no price applies.
    `evidence` names the dearest charges, as /v1/explain takes them.
    """

    kind: str
    reason: str
    workload: str | None
    team: str
    user: str
    node: str
    holders: int
    devices: int
    part_us: int
    unpriced_part_us: int
    low_quanta: int | None
    high_quanta: int | None
    energy_mj: int
    evidence: list[str]


class Waste(msgspec.Struct, frozen=True):
    """Wasted time of a period, the dearest first. All but `rows` are of all of it, whatever rows are asked for."""

    currency: str | None
    period: Span
    grace_hours: int
    count: int
    part_us: int
    low_quanta: int | None
    high_quanta: int | None
    rows: list[WasteRow]
    pending_hours: int
    as_of: str | None


class IdlePowerRow(msgspec.Struct, frozen=True):
    """What boards of one model on one node took while nobody held them, and the time without a reading."""

    node: str
    model: str
    part_us: int
    energy_mj: int
    energy_unknown_part_us: int


class IdlePower(msgspec.Struct, frozen=True):
    """Energy of time that nobody held, the most first. `count` is of all rows, whatever rows are asked for."""

    period: Span
    count: int
    rows: list[IdlePowerRow]
    pending_hours: int
    as_of: str | None


def waste(
    ledger: Ledger, period: Period, *, grace: int = GRACE_HOURS, limit: int = 1_000_000, offset: int = 0
) -> Waste:
    """Return what was wasted in `period`; `grace` in hours. Raises ConfigError on a period off the hour."""
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        found = [integers(row) for row in session.execute("query_waste", {**params, "grace": grace}).to_pylist()]
        shown = found[offset : offset + limit]
        evidence = _evidence(session, params, shown)
    return Waste(
        currency=now.currency,
        period=span(period),
        grace_hours=grace,
        count=len(found),
        part_us=sum(row["part_us"] for row in found),
        low_quanta=_sum(found, "low_quanta"),
        high_quanta=_sum(found, "high_quanta"),
        rows=[WasteRow(user=row.pop("user_name"), evidence=evidence[place], **row) for place, row in enumerate(shown)],
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def idle_power(ledger: Ledger, period: Period, *, limit: int = 1_000_000, offset: int = 0) -> IdlePower:
    """Return what idle boards took in `period`. Raises ConfigError on a period off the hour."""
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        found = session.execute("query_idle_power", params | days_params(session, period))
    rows = [IdlePowerRow(**integers(row)) for row in found.slice(offset, limit).to_pylist()]
    return IdlePower(span(period), found.num_rows, rows, now.pending_hours, instant(now.known_until_us))


def _sum(rows: list[dict[str, Any]], name: str) -> int | None:
    """Return the sum of an amount; None where no row has one."""
    known = [row[name] for row in rows if row[name] is not None]
    return sum(known) if known else None


def _evidence(session: Session, params: dict[str, int], rows: list[dict[str, Any]]) -> defaultdict[int, list[str]]:
    """Return the names of the dearest charges of each row, by its place; of equal ones the first by name."""
    groups = pa.Table.from_pylist([{**row, "place": place} for place, row in enumerate(rows)], schema=GROUPS)
    found = session.execute("query_waste_evidence", params, {"waste_groups": groups}).to_pylist()
    charges: defaultdict[int, list[tuple[int, str]]] = defaultdict(list)
    for row in found:
        cost = -1 if row["cost_quanta"] is None else row["cost_quanta"]
        charges[row["place"]].append((-cost, str(charge_id_of(row))))
    named = {place: [name for _, name in sorted(each)[:EVIDENCE]] for place, each in charges.items()}
    return defaultdict(list, named)
