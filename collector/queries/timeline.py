"""Timeline: GPU-hours by state and cost by team, hour by hour or day by day."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from collector.queries.figures import Span, cost_of, hours, instant, integers, money, span, state_hours
from collector.queries.grouping import choice, group_of
from collector.queries.standing import standing
from collector.queries.summed_days import NO_DAYS, days_params
from gpuledger.accounting.periods import Period, day_of, iso, require_hours
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.zones import find_zone

GRAINS = ("hour", "day")
STEPS = pa.schema([("hour_us", pa.int64()), ("at_us", pa.int64())])


class TimelineRow(msgspec.Struct, frozen=True):
    """One bucket: GPU-hours by state; cost by team, and by kind for time that is no team's (None: unpriced)."""

    at: str
    gpu_hours: float
    states: dict[str, float]
    costs: dict[str, str | None]
    cost: str | None


class Timeline(msgspec.Struct, frozen=True):
    """A period in buckets, the earliest first; a bucket without any device is left out."""

    currency: str | None
    period: Span
    grain: str
    rows: list[TimelineRow]
    pending_hours: int
    as_of: str | None


@dataclass(slots=True)
class _Cost:
    part_us: int = 0
    unpriced_us: int = 0
    quanta: int = 0

    def add(self, part_us: int, unpriced_us: int, quanta: int) -> None:
        self.part_us += part_us
        self.unpriced_us += unpriced_us
        self.quanta += quanta

    def shown(self) -> str | None:
        return money(cost_of(self.part_us, self.unpriced_us, self.quanta))


@dataclass(slots=True)
class _Bucket:
    states: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    costs: defaultdict[str, _Cost] = field(default_factory=lambda: defaultdict(_Cost))
    cost: _Cost = field(default_factory=_Cost)


def timeline(ledger: Ledger, period: Period, *, grain: str = "hour") -> Timeline:
    """Return `period` in hours, or in the days of its zone.

    Raises ConfigError on another grain or a period off the hour.
    """
    choice("grain", grain, GRAINS)
    require_hours(period)
    now = standing(ledger, period)
    params = {"from_us": period.start_us, "to_us": period.end_us}
    buckets: defaultdict[int, _Bucket] = defaultdict(_Bucket)
    steps = {"timeline_steps": time_steps(ledger, period, grain)}
    with ledger.snapshot() as session:
        days = days_params(session, period) if grain == "day" and period.zone == "UTC" else NO_DAYS
        rows = session.execute("query_timeline", params | days, steps).to_pylist()
    for found in rows:
        row = integers(found)
        bucket = buckets[row["at_us"]]
        amounts = (row["part_us"], row["unpriced_part_us"], row["cost_quanta"])
        bucket.states[row["state"]] += row["part_us"]
        bucket.costs[group_of("team", row["team"], row["state"])[1]].add(*amounts)
        bucket.cost.add(*amounts)
    return Timeline(
        currency=now.currency,
        period=span(period),
        grain=grain,
        rows=[_row(at_us, bucket) for at_us, bucket in sorted(buckets.items())],
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def time_steps(ledger: Ledger, period: Period, grain: str) -> pa.Table:
    """Return where the step of each hour begins that the ledger knows of `period`."""
    reach = ledger.execute("select_reach").to_pylist()
    first_us = max(period.start_us, min((row["from_us"] for row in reach), default=0) // US_PER_HOUR * US_PER_HOUR)
    hours_us = range(first_us, min(period.end_us, max((row["until_us"] for row in reach), default=0)), US_PER_HOUR)
    zone = find_zone(period.zone)
    starts = hours_us if grain == "hour" else [day_of(at_us, zone) for at_us in hours_us]
    return pa.table([pa.array(hours_us, pa.int64()), pa.array(starts, pa.int64())], schema=STEPS)


def _row(at_us: int, bucket: _Bucket) -> TimelineRow:
    return TimelineRow(
        at=iso(at_us),
        gpu_hours=hours(sum(bucket.states.values())),
        states=state_hours(bucket.states),
        costs={name: cost.shown() for name, cost in sorted(bucket.costs.items())},
        cost=bucket.cost.shown(),
    )
