"""Utilisation: device time by state, and active time over held time and over capacity, by group."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from collector.ledger.store import Ledger
from collector.queries.figures import HELD, Span, hours, instant, integers, ratio, span, state_hours
from collector.queries.grouping import BY, BY_DEVICE, KINDS, choice, group_of
from collector.queries.scope import scope_params
from collector.queries.standing import standing_in
from collector.queries.summed_days import days_params
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.model import State
from gpuledger.within import EVERYTHING, Within


class UtilizationRow(msgspec.Struct, frozen=True):
    """One group's time. A ratio is None where its whole is nothing or its part is unknown.

    Capacity is the group's own time where one asks by a property of devices, else that of all devices.
    `active_of_held` speaks of the held time that was watched.
    """

    key: str
    kind: str
    gpu_hours: float
    held_gpu_hours: float
    active_gpu_hours: float | None
    active_of_held: float | None
    active_of_capacity: float | None
    held_of_capacity: float | None
    states: dict[str, float]


class Utilization(msgspec.Struct, frozen=True):
    """All time of all devices in a period, by group."""

    period: Span
    by: str
    rows: list[UtilizationRow]
    total: UtilizationRow
    pending_hours: int
    as_of: str | None


@dataclass(slots=True)
class _Time:
    held_us: int = 0
    active_us: int = 0
    watched_us: int = 0
    states: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, state: int, part_us: int, active_us: int, unknown_us: int) -> None:
        self.states[state] += part_us
        if state in HELD:
            self.held_us += part_us
            self.active_us += active_us
            self.watched_us += part_us - unknown_us


def utilization(ledger: Ledger, period: Period, *, by: str = "team", within: Within = EVERYTHING) -> Utilization:
    """Return the time of `period`, or of a part of the ledger, by group and state.

    Raises ConfigError on a period off the hour.
    """
    choice("by", by, BY)
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us, "by": by, **scope_params(within)}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        params |= days_params(session, period, within, by_hour=True)
        rows = session.execute("query_chargeback", params).to_pylist()
    groups: defaultdict[tuple[str, str], _Time] = defaultdict(_Time)
    total = _Time()
    for found in rows:
        row = integers(found)
        amounts = (row["state"], row["part_us"], row["active_part_us"], row["active_unknown_part_us"])
        groups[group_of(by, row["group_key"], row["state"], within)].add(*amounts)
        total.add(*amounts)
    capacity_us = sum(total.states.values())
    ordered = sorted(groups.items(), key=lambda item: (KINDS.index(item[0][0]), -sum(item[1].states.values()), item[0]))
    return Utilization(
        period=span(period),
        by=by,
        rows=[
            _row(kind, key, time, sum(time.states.values()) if by in BY_DEVICE else capacity_us)
            for (kind, key), time in ordered
        ],
        total=_row("total", "total", total, capacity_us),
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
    )


def _row(kind: str, key: str, time: _Time, capacity_us: int) -> UtilizationRow:
    watched = time.watched_us > 0 if time.held_us else time.states.keys() != {State.UNOBSERVED}
    return UtilizationRow(
        key=key,
        kind=kind,
        gpu_hours=hours(sum(time.states.values())),
        held_gpu_hours=hours(time.held_us),
        active_gpu_hours=hours(time.active_us) if watched else None,
        active_of_held=ratio(time.active_us, time.watched_us),
        active_of_capacity=ratio(time.active_us, capacity_us) if watched else None,
        held_of_capacity=ratio(time.held_us, capacity_us),
        states=state_hours(time.states),
    )
