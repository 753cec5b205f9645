"""Week: how long devices were held, worked and were idle in each hour of the week, by a property of devices; exact."""

from __future__ import annotations

from typing import Final

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from collector.queries.figures import Span, instant, integers, span
from collector.queries.grouping import BY_DEVICE, choice
from collector.queries.standing import standing_in
from collector.queries.timeline import time_steps
from gpuledger.accounting.periods import Period, from_us, require_hours
from gpuledger.zones import find_zone

HOURS_OF_DAY: Final = 24
WEEK_STEPS = pa.schema([("hour_us", pa.int64()), ("week_hour", pa.int32())])


class WeekRow(msgspec.Struct, frozen=True):
    """One group in one hour of the week, microseconds x parts of a GPU; `weekday` 1 is Monday, `hour` the zone's.

    `watched_part_us` is the held time whose activity is known, which `active_part_us` is of. Time that nobody observed
    is in the capacity and neither held nor idle.
    """

    key: str
    weekday: int
    hour: int
    capacity_part_us: int
    held_part_us: int
    active_part_us: int
    watched_part_us: int
    held_idle_part_us: int
    idle_part_us: int
    unavailable_part_us: int
    unobserved_part_us: int


class Week(msgspec.Struct, frozen=True):
    """All time of all devices in a period, by hour of the week; hours in which no device was are left out."""

    period: Span
    by: str
    rows: list[WeekRow]
    pending_hours: int
    as_of: str | None


def week(ledger: Ledger, period: Period, *, by: str = "model") -> Week:
    """Return the week of each group of `by`, in the zone of `period`.

    Raises ConfigError on a property that devices do not have, and on a period off the hour.
    """
    choice("by", by, BY_DEVICE)
    require_hours(period)
    steps = {"week_steps": _week_steps(ledger, period)}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        params = {"from_us": period.start_us, "to_us": period.end_us, "by": by}
        found = [integers(row) for row in session.execute("query_week", params, steps).to_pylist()]
    return Week(
        period=span(period),
        by=by,
        rows=[_row(**row) for row in found],
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def _row(group_name: str, week_hour: int, **sizes: int) -> WeekRow:
    return WeekRow(group_name, week_hour // HOURS_OF_DAY + 1, week_hour % HOURS_OF_DAY, **sizes)


def _week_steps(ledger: Ledger, period: Period) -> pa.Table:
    """Return which hour of the week, from 0, each hour is that the ledger knows of `period`."""
    zone = find_zone(period.zone)
    hours_us = time_steps(ledger, period, "hour")["hour_us"].to_pylist()
    local = [from_us(at_us).astimezone(zone) for at_us in hours_us]
    return pa.table([hours_us, [at.weekday() * HOURS_OF_DAY + at.hour for at in local]], schema=WEEK_STEPS)
