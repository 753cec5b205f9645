"""Idle by workload: what each workload of a team and user held without work, its runs together, the dearest first."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.ledger.store import Ledger
from collector.queries.figures import Span, cost_of, hours, instant, integers, money, span
from collector.queries.scope import scope_params
from collector.queries.standing import standing_in
from collector.queries.summed_days import days_params
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.model import RUN_NUMBER
from gpuledger.within import EVERYTHING, Within


class IdleWorkloadRow(msgspec.Struct, frozen=True):
    """One workload: names that differ in a trailing number are its runs. `reason` is that of one run's longest time."""

    workload: str
    team: str | None
    user: str
    runs: int
    reason: str
    gpu_hours: float
    cost: str | None


class IdleWorkloads(msgspec.Struct, frozen=True):
    """Held-idle time of a part of the ledger. All but `rows` are of all of it, whatever rows are asked for."""

    currency: str | None
    period: Span
    within: str
    count: int
    gpu_hours: float
    cost: str | None
    rows: list[IdleWorkloadRow]
    pending_hours: int
    as_of: str | None


def idle_workloads(
    ledger: Ledger, period: Period, *, within: Within = EVERYTHING, limit: int = 1_000_000, offset: int = 0
) -> IdleWorkloads:
    """Return which workloads held devices without work. Raises ConfigError on a period off the hour."""
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us, "run_number": RUN_NUMBER, **scope_params(within)}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        params |= days_params(session, period, within)
        found = [integers(row) for row in session.execute("query_idle_workloads", params).to_pylist()]
    part_us, unpriced_us, cost = (
        sum(row[name] for row in found) for name in ("part_us", "unpriced_part_us", "cost_quanta")
    )
    return IdleWorkloads(
        currency=now.currency,
        period=span(period),
        within=str(within),
        count=len(found),
        gpu_hours=hours(part_us),
        cost=money(cost_of(part_us, unpriced_us, cost)),
        rows=[_row(row) for row in found[offset : offset + limit]],
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def _row(row: dict[str, Any]) -> IdleWorkloadRow:
    return IdleWorkloadRow(
        workload=row["workload"],
        team=row["team"] or None,
        user=row["user_name"],
        runs=row["runs"],
        reason=row["reason"],
        gpu_hours=hours(row["part_us"]),
        cost=money(cost_of(row["part_us"], row["unpriced_part_us"], row["cost_quanta"])),
    )
