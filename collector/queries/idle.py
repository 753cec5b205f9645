"""Idle: holders that held devices without work, ranked by what that cost, with the reason."""

from __future__ import annotations

from typing import Any

import msgspec

from collector.ledger.store import Ledger
from collector.queries.figures import Span, cost_of, hours, instant, integers, money, ratio, span
from collector.queries.standing import standing
from gpuledger.accounting.periods import Period, require_hours


class IdleRow(msgspec.Struct, frozen=True):
    """Time that one holder held devices of one model without work, for one reason; `share` of all it held of them."""

    key: str
    holder_kind: str
    workload: str
    team: str | None
    namespace: str
    user: str
    reason: str
    model: str
    gpu_hours: float
    held_gpu_hours: float
    share: float | None
    cost: str | None


class IdleTotal(msgspec.Struct, frozen=True):
    """All held time without work."""

    holders: int
    gpu_hours: float
    cost: str | None


class Idle(msgspec.Struct, frozen=True):
    """Held-idle time of a period; the rows' costs sum to the total exactly."""

    currency: str | None
    period: Span
    rows: list[IdleRow]
    total: IdleTotal
    pending_hours: int
    as_of: str | None


def idle(ledger: Ledger, period: Period) -> Idle:
    """Return who held devices without work, the dearest first. Raises ConfigError on a period off the hour."""
    require_hours(period)
    now = standing(ledger, period)
    params = {"from_us": period.start_us, "to_us": period.end_us}
    found = [integers(row) for row in ledger.execute("query_idle", params).to_pylist()]
    part_us, unpriced_us, cost = (
        sum(row[name] for row in found) for name in ("part_us", "unpriced_part_us", "cost_quanta")
    )
    return Idle(
        currency=now.currency,
        period=span(period),
        rows=[_row(row) for row in found],
        total=IdleTotal(
            len({row["holder_id"] for row in found}), hours(part_us), money(cost_of(part_us, unpriced_us, cost))
        ),
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def _row(row: dict[str, Any]) -> IdleRow:
    return IdleRow(
        key=row["holder_key"],
        holder_kind=row["holder_kind"],
        workload=row["workload"],
        team=row["team"],
        namespace=row["namespace"],
        user=row["user_name"],
        reason=row["reason"] or "unknown",
        model=row["model"],
        gpu_hours=hours(row["part_us"]),
        held_gpu_hours=hours(row["held_part_us"]),
        share=ratio(row["part_us"], row["held_part_us"]),
        cost=money(cost_of(row["part_us"], row["unpriced_part_us"], row["cost_quanta"])),
    )
