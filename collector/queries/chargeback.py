"""Chargeback: what each owner (or whatever one asks by) held, used and cost in a period, in two views of one total."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, fields
from decimal import Decimal
from typing import Any, Final, NamedTuple

import msgspec

from collector.ledger.store import Ledger
from collector.queries.figures import (
    HELD,
    Span,
    cost_of,
    energy,
    hours,
    instant,
    integers,
    money,
    ratio,
    span,
    state_hours,
)
from collector.queries.grouping import (
    BY,
    BY_DEVICE,
    BY_HOLDER,
    KINDS,
    NOBODYS,
    VIEWS,
    choice,
    group_of,
    named,
)
from collector.queries.scope import scope_params
from collector.queries.standing import Standing, standing_in
from collector.queries.summed_days import days_params
from gpuledger.accounting.idle_policy import PLATFORM, POLICIES, idle_shares
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.accounting.units import MJ_PER_KWH
from gpuledger.errors import ConfigError
from gpuledger.model import State
from gpuledger.within import EVERYTHING, Within


class ChargebackRow(msgspec.Struct, frozen=True):
    """One group. Money is exact text, None where no price applies; activity, energy, carbon are None where unknown.

    `carbon_hourly_ratio` is the share of the energy whose carbon follows from its hour's intensity; that of the rest
    follows from the constants of price entries. `shared_cost` is what of `cost` an idle policy moved here, negative for
    time that nobody held, so that all of them sum to zero. None where the platform pays.
    """

    key: str
    kind: str
    gpu_hours: float
    active_gpu_hours: float | None
    energy_kwh: float | None
    carbon_kg: float | None
    carbon_hourly_ratio: float | None
    cost: str | None
    shared_cost: str | None
    unpriced_gpu_hours: float
    states: dict[str, float]


class Chargeback(msgspec.Struct, frozen=True):
    """All time of all devices in a period, or of a part of the ledger, by group.

    The costs of all groups sum to the total exactly. `groups` counts them; `rows` are all, or some if asked for.
    """

    currency: str | None
    period: Span
    view: str
    by: str
    idle_policy: str
    within: str
    groups: int
    rows: list[ChargebackRow]
    total: ChargebackRow
    unpriced_gpu_hours: float
    unobserved_gpu_hours: float
    pending_hours: int  # hours that wait to be rated again
    as_of: str | None
    final: bool


@dataclass(slots=True)
class _Sums:
    part_us: int = 0
    active_part_us: int = 0
    measured_part_us: int = 0  # held time whose activity is known
    unmeasured_part_us: int = 0
    energy_mj: int = 0
    metered_part_us: int = 0  # held time whose energy is known
    unmetered_part_us: int = 0
    carbon_g_mj: Decimal = Decimal(0)  # grams per kilowatt-hour x millijoules
    carbon_unknown_mj: int = 0
    carbon_hourly_mj: int = 0
    cost_quanta: int = 0
    shared_quanta: int = 0  # of the cost: what the idle policy added, or took away
    unpriced_part_us: int = 0
    states: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))

    def hold(self, state: int, part_us: int, cost_quanta: int, unpriced_part_us: int) -> None:
        self.part_us += part_us
        self.states[state] += part_us
        self.cost_quanta += cost_quanta
        self.unpriced_part_us += unpriced_part_us

    def share(self, quanta: int) -> None:
        self.cost_quanta += quanta
        self.shared_quanta += quanta

    def measure(self, row: dict[str, Any]) -> None:
        self.active_part_us += row["active_part_us"]
        self.measured_part_us += row["part_us"] - row["active_unknown_part_us"]
        self.unmeasured_part_us += row["active_unknown_part_us"]
        self.energy_mj += row["energy_mj"]
        self.metered_part_us += row["part_us"] - row["energy_unknown_part_us"]
        self.unmetered_part_us += row["energy_unknown_part_us"]
        self.carbon_g_mj += row["carbon_g_mj"]
        self.carbon_unknown_mj += row["carbon_unknown_mj"]
        self.carbon_hourly_mj += row["carbon_hourly_mj"]

    def add(self, other: _Sums) -> None:
        for name in _ADDED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for state, part_us in other.states.items():
            self.states[state] += part_us

    @property
    def activity_unknown(self) -> bool:
        return self.unmeasured_part_us > 0 and self.measured_part_us <= 0

    @property
    def energy_unknown(self) -> bool:
        return self.unmetered_part_us > 0 and self.metered_part_us <= 0

    @property
    def empty(self) -> bool:
        return not (self.part_us or self.cost_quanta or self.energy_mj or self.unmeasured_part_us)


_ADDED: Final = tuple(item.name for item in fields(_Sums) if item.name != "states")
_Groups = defaultdict[tuple[str, str], _Sums]


class _Asked(NamedTuple):
    by: str
    view: str
    idle_policy: str
    within: Within
    rows: slice


def chargeback(
    ledger: Ledger,
    period: Period,
    *,
    by: str = "team",
    view: str = "allocation",
    idle_policy: str = PLATFORM,
    within: Within = EVERYTHING,
    limit: int | None = None,
    offset: int = 0,
) -> Chargeback:
    """Return the charges of `period` by group.

    The allocation view charges all held time. The usage view charges the active part of it; the rest of the held time
    is a row of its own, so that both views have the same total. An `idle_policy` other than the platform's moves the
    cost of time that nobody held to owners; the total stays. `within` narrows all to a part of the ledger, `limit` and
    `offset` the rows to some of them. Raises ConfigError on a period off the hour.
    """
    choice("idle_policy", idle_policy, POLICIES)
    _refuse_devices(by, idle_policy)
    _refuse_parts(within, idle_policy)
    choice("by", by, BY)
    choice("view", view, VIEWS)
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us, "by": by, **scope_params(within)}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        params |= days_params(session, period, within, by_hour=True)
        rows = session.execute("query_chargeback", params).to_pylist()
    groups: _Groups = defaultdict(_Sums)
    for row in rows:
        _add(groups, group_of(by, row["group_key"], row["state"], within), view, integers(row))
    _share_idle(groups, idle_policy)
    some = slice(offset, None if limit is None else offset + limit)
    return _answer(groups, period, _Asked(by, view, idle_policy, within, some), now)


def _refuse_devices(by: str, idle_policy: str) -> None:
    if by in BY_DEVICE and idle_policy != PLATFORM:
        raise ConfigError(
            f"by {by} a row is all the time of devices, so that nobody can pay for the idle part of it",
            hint=f"ask by one of {', '.join(BY_HOLDER)}, or leave the idle policy out",
        )


def _refuse_parts(within: Within, idle_policy: str) -> None:
    if within.kind and idle_policy != PLATFORM:
        raise ConfigError(
            "an idle policy moves cost between owners, so it applies to the whole ledger only",
            hint="leave out the idle policy, or within",
        )


def _share_idle(groups: _Groups, policy: str) -> None:
    """Move the cost of time that nobody held to owners, as the policy says."""
    owners = {group[1]: sums for group, sums in groups.items() if group[0] == "owner" and not sums.empty}
    idle = [sums for group, sums in groups.items() if group[0] in NOBODYS]
    shares = idle_shares(
        {name: sums.cost_quanta for name, sums in owners.items()}, sum(sums.cost_quanta for sums in idle), policy
    )
    if not shares:
        return
    for sums in idle:
        sums.share(-sums.cost_quanta)
    for name, share in shares.items():
        owners[name].share(share)


def _add(groups: _Groups, group: tuple[str, str], view: str, row: dict[str, Any]) -> None:
    state = row["state"]
    if view == "allocation" or (state not in HELD and group[0] != "device"):
        groups[group].hold(state, row["part_us"], row["cost_quanta"], row["unpriced_part_us"])
        groups[group].measure(row)
        return
    if state not in HELD:
        rest = group_of("team", None, state)
        groups[rest].hold(state, row["part_us"], row["cost_quanta"], row["unpriced_part_us"])
        groups[rest].measure(row)
        return
    _add_usage(groups, group, row)


def _add_usage(groups: _Groups, group: tuple[str, str], row: dict[str, Any]) -> None:
    """Charge a holder for its active time; held time without work, and held time that nobody watched, stand apart."""
    state = row["state"]
    unwatched_us, unwatched_unpriced_us = row["active_unknown_part_us"], row["unwatched_unpriced_part_us"]
    active_us, active_unpriced_us = row["active_part_us"], row["active_unpriced_part_us"]
    watched_us = row["part_us"] - unwatched_us
    watched_unpriced_us = row["unpriced_part_us"] - unwatched_unpriced_us
    watched_cost = row["cost_quanta"] - row["unwatched_cost_quanta"]
    groups[group].hold(state, active_us, row["active_cost_quanta"], active_unpriced_us)
    groups[group].measure(row)
    groups[named("held_not_used")].hold(
        state,
        watched_us - active_us,
        watched_cost - row["active_cost_quanta"],
        watched_unpriced_us - active_unpriced_us,
    )
    if unwatched_us:
        rest = groups[named("unobserved")]
        rest.hold(state, unwatched_us, row["unwatched_cost_quanta"], unwatched_unpriced_us)


def _answer(groups: _Groups, period: Period, asked: _Asked, now: Standing) -> Chargeback:
    shared = asked.idle_policy != PLATFORM
    present = {group: sums for group, sums in groups.items() if not sums.empty}
    total = _Sums()
    for sums in present.values():
        total.add(sums)
    ordered = sorted(present.items(), key=lambda item: (KINDS.index(item[0][0]), -item[1].cost_quanta, item[0][1]))
    return Chargeback(
        currency=now.currency,
        period=span(period),
        view=asked.view,
        by=asked.by,
        idle_policy=asked.idle_policy,
        within=str(asked.within),
        groups=len(ordered),
        rows=[_row(kind, key, sums, shared=shared) for (kind, key), sums in ordered[asked.rows]],
        total=_row("total", "total", total, shared=shared),
        unpriced_gpu_hours=hours(total.unpriced_part_us),
        unobserved_gpu_hours=hours(total.states[State.UNOBSERVED]),
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
        final=now.final,
    )


def _row(kind: str, key: str, sums: _Sums, *, shared: bool) -> ChargebackRow:
    own = cost_of(sums.part_us, sums.unpriced_part_us, sums.cost_quanta - sums.shared_quanta)
    unknown = own is None or (sums.activity_unknown and not sums.part_us)
    carbon_known = not sums.energy_unknown and not sums.carbon_unknown_mj
    return ChargebackRow(
        key=key,
        kind=kind,
        gpu_hours=hours(sums.part_us),
        active_gpu_hours=None if sums.activity_unknown else hours(sums.active_part_us),
        energy_kwh=None if sums.energy_unknown else energy(sums.energy_mj),
        carbon_kg=round(float(sums.carbon_g_mj / MJ_PER_KWH / 1000), 6) if carbon_known else None,
        carbon_hourly_ratio=ratio(sums.carbon_hourly_mj, sums.energy_mj) if carbon_known else None,
        cost=None if unknown and not sums.shared_quanta else money(sums.cost_quanta),
        shared_cost=money(sums.shared_quanta) if shared else None,
        unpriced_gpu_hours=hours(sums.unpriced_part_us),
        states=state_hours(sums.states),
    )
