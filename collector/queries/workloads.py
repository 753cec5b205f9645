"""Workloads: what each run, step or endpoint held, did and cost, in the words of the system that started it."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec
import pyarrow as pa

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.queries.figures import Span, cost_of, energy, hours, instant, integers, money, ratio, span
from collector.queries.scope import scope_params
from collector.queries.standing import standing_in
from collector.queries.summed_days import days_params
from gpuledger.accounting.periods import Period, iso, require_hours
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.within import EVERYTHING, OWNER, UNATTRIBUTED, Within

EVERY_SYSTEM = "*"
SHOWN = pa.schema([("place", pa.int32()), ("first_id", pa.int32()), ("owner_id", pa.int32())])


class WorkloadRow(msgspec.Struct, frozen=True):
    """One workload of one user and owner. `system` is empty where no tool was recognised: `holder_kind` tells more.

    `running_hours` is for how long it held any device: each hour counts as long as the device that it held longest.
    `cost_per_hour` is the cost by that, `devices` the most that it held in one hour. Unknown figures are None.
    """

    system: str
    scope: str
    workload: str
    holder_kind: str
    namespace: str
    user: str
    team: str | None
    within: str  # the part of the ledger that this row is, as other questions take it
    first: str  # the hour it was first seen in
    last: str  # the end of the last
    runs: int
    devices: int
    running_hours: float
    gpu_hours: float
    active_of_held: float | None
    energy_kwh: float
    cost: str | None
    cost_per_hour: str | None
    idle_cost: str | None


class SystemRow(msgspec.Struct, frozen=True):
    """All workloads of one system."""

    system: str
    workloads: int
    gpu_hours: float
    cost: str | None


class Workloads(msgspec.Struct, frozen=True):
    """Workloads, the dearest first. All but `rows` are of all of them, whatever rows are asked for."""

    currency: str | None
    period: Span
    within: str
    count: int
    gpu_hours: float
    cost: str | None
    systems: list[SystemRow]
    rows: list[WorkloadRow]
    pending_hours: int
    as_of: str | None


def workloads(
    ledger: Ledger,
    period: Period,
    *,
    within: Within = EVERYTHING,
    system: str = EVERY_SYSTEM,
    limit: int = 1000,
    offset: int = 0,
) -> Workloads:
    """Return the workloads of `period`, the dearest first. Raises ConfigError on a period off the hour.

    An empty `system` is for those that no tool was recognised in.
    """
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us, **scope_params(within)}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        chosen = {"system": None if system == EVERY_SYSTEM else system, **days_params(session, period, within)}
        found = session.execute("query_workloads", params | chosen)
        rows = [integers(row) for row in found.to_pylist()]
        shown = rows[offset : offset + limit]
        _add_hours(session, params, shown)
    gpu_hours, cost = _sums(rows)
    return Workloads(
        currency=now.currency,
        period=span(period),
        within=str(within),
        count=len(rows),
        gpu_hours=gpu_hours,
        cost=cost,
        systems=_systems(rows),
        rows=[_row(row) for row in shown],
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def _add_hours(session: Session, params: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Add to rows how long each ran, and the most devices that it held in an hour."""
    shown = pa.Table.from_pylist([{**row, "place": place} for place, row in enumerate(rows)], schema=SHOWN)
    for found in session.execute("query_workload_hours", params, {"shown_workloads": shown}).to_pylist():
        hours = integers(found)
        rows[hours.pop("place")].update(hours)


def _sums(rows: list[dict[str, Any]]) -> tuple[float, str | None]:
    part_us, unpriced_us, cost = (
        sum(row[name] for row in rows) for name in ("part_us", "unpriced_part_us", "cost_quanta")
    )
    return hours(part_us), money(cost_of(part_us, unpriced_us, cost))


def _systems(rows: list[dict[str, Any]]) -> list[SystemRow]:
    """Return the systems, the dearest first; what no tool was recognised in comes last."""
    by_system: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_system.setdefault(row["workload_system"], []).append(row)
    spent = {name: sum(row["cost_quanta"] for row in found) for name, found in by_system.items()}
    ordered = sorted(by_system.items(), key=lambda item: (not item[0], -spent[item[0]], item[0]))
    return [SystemRow(name, len(found), *_sums(found)) for name, found in ordered]


def _row(row: dict[str, Any]) -> WorkloadRow:
    cost = cost_of(row["part_us"], row["unpriced_part_us"], row["cost_quanta"])
    idle = None if cost is None else row["idle_cost_quanta"]
    priced = cost is not None and row["running_us"] > 0
    per_hour = round(Fraction(row["cost_quanta"] * US_PER_HOUR, row["running_us"])) if priced else None
    return WorkloadRow(
        system=row["workload_system"],
        scope=row["workload_scope"],
        workload=row["workload"],
        holder_kind=row["holder_kind"],
        namespace=row["namespace"],
        user=row["user_name"],
        team=row["team"] or None,
        within=str(_part(row)),
        first=iso(row["first_us"]),
        last=iso(row["last_us"] + US_PER_HOUR),
        runs=row["runs"],
        devices=row["devices"],
        running_hours=float(f"{row['running_us'] / US_PER_HOUR:.6f}"),
        gpu_hours=hours(row["part_us"]),
        active_of_held=ratio(row["active_part_us"], row["part_us"] - row["active_unknown_part_us"]),
        energy_kwh=energy(row["energy_mj"]),
        cost=money(cost),
        cost_per_hour=money(per_hour),
        idle_cost=money(idle),
    )


def _part(row: dict[str, Any]) -> Within:
    """Return the part of the ledger that a row is."""
    last = (row["user_name"], row["workload"])
    if not row["has_owner"]:
        return Within(UNATTRIBUTED, last)
    return Within(OWNER, (*(row[name] for name in ("organisation", "department", "team", "project")), *last))
