"""Where each quota stands at an instant: its period, raises in force, use, what is borrowed and lent, stages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from collector.governance.effects import effects_at
from collector.governance.quota_books import StoredQuotas, newest_quotas
from collector.governance.quota_use import Amounts, QuotaUse
from collector.ledger.calendar import Calendar
from collector.ledger.database import Session
from gpuledger.accounting.budgets import Stage, is_part, named_period
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period
from gpuledger.accounting.quotas import (
    DEVICES,
    GPU_HOURS,
    Lane,
    LaneStand,
    Position,
    Quota,
    Raise,
    spread_raises,
    stage_key,
)
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR


class PlacedQuota(NamedTuple):
    """A quota in one of its periods; of GPUs at once the month is that in which its stages are recorded.

    `unobserved` is what nobody watched, in the unit of the quota. `new` are stages that no record has.
    """

    position: Position
    version: int
    period: Period
    unobserved: int
    reached: tuple[Stage, ...]
    new: tuple[Stage, ...]
    current: bool  # now lies in the period

    @property
    def quota(self) -> Quota:
        """Return the entry of the book."""
        return self.position.quota


class QuotaStand(NamedTuple):
    """Where all quotas stood at an instant. Never changed once made.

    `lanes` are those that decide now. `as_of_us`: how far devices had reported by then. `lost` are raises of no quota.
    """

    at_us: int = 0
    as_of_us: int = 0
    version: int = 0
    placed: tuple[PlacedQuota, ...] = ()
    lanes: tuple[LaneStand, ...] = ()
    lost: tuple[Raise, ...] = ()


def stand_of_quotas(session: Session, calendar: Calendar, now_us: int) -> QuotaStand:
    """Return where all quotas of the newest book stand, in its order."""
    stored = newest_quotas(session, calendar.days)
    if not stored.quotas:
        return QuotaStand(now_us, version=stored.version.number)
    use = QuotaUse(session)
    held = use.held()
    valid = [each for each in stored.quotas if each.validity.holds_at(now_us)]
    of_pools, others = _raises(session, now_us)
    raised, lost = spread_raises(valid, others)
    known = _crossings(session)
    placed: dict[str, PlacedQuota] = {}
    lanes = []
    for lane, period, quotas in _lanes(stored, calendar, now_us):
        current = period.start_us <= now_us < period.end_us
        hours = use.hours(Interval(period.start_us, period.end_us)) if lane.period else None
        used = in_lane(lane, hours.used if hours else held.held)
        unobserved = in_lane(lane, hours.unobserved if hours else held.unseen)
        more = {owner: amount for (owner, of), amount in raised.items() if of == lane} if current else {}
        stand = LaneStand(lane, quotas, more, used)
        if current:
            lanes.append(stand)
        for position in stand.positions():
            quota = position.quota
            reached = tuple(position.reached())
            before = known.get((quota.key, period.label), frozenset())
            placed[quota.key] = PlacedQuota(
                position,
                stored.version.number,
                period,
                sum(amount for owner, amount in unobserved.items() if is_part(owner, quota.owner)),
                reached,
                tuple(each for each in reached if stage_key(each) not in before),
                current,
            )
    ordered = [placed[key] for key in dict.fromkeys(each.key for each in stored.quotas) if key in placed]
    return QuotaStand(now_us, held.as_of_us, stored.version.number, tuple(ordered), tuple(lanes), (*of_pools, *lost))


def peaks(session: Session, stand: QuotaStand) -> dict[str, int]:
    """Return by key of the quotas of GPUs the most that was held in an hour of the month, in microseconds x parts."""
    quotas = [each for each in stand.placed if each.quota.lane.of == DEVICES]
    found = {each.quota.key: 0 for each in quotas}
    mine: dict[tuple[str, str], list[str]] = {}
    sums: defaultdict[tuple[str, int], int] = defaultdict(int)
    for period in {Interval(each.period.start_us, each.period.end_us) for each in quotas}:
        for hour_us, (owner, model), part_us in QuotaUse(session).by_hour(period):
            if (owner, model) not in mine:
                mine[owner, model] = [
                    each.quota.key
                    for each in quotas
                    if is_part(owner, each.quota.owner) and each.quota.lane.applies(model)
                ]
            for key in mine[owner, model]:
                sums[key, hour_us] += part_us
    for (key, _), part_us in sums.items():
        found[key] = max(found[key], part_us)
    return found


def in_lane(lane: Lane, amounts: Amounts) -> dict[str, int]:
    """Return by owner what counts in a lane."""
    found: defaultdict[str, int] = defaultdict(int)
    for (owner, model), amount in amounts.items():
        if lane.applies(model):
            found[owner] += amount
    return dict(found)


def _lanes(stored: StoredQuotas, calendar: Calendar, now_us: int) -> list[tuple[Lane, Period, Sequence[Quota]]]:
    """Return each lane with its period and its quotas that hold now, or held at the end of a period that is over."""
    found: dict[Lane, tuple[Period, list[Quota]]] = {}
    for each in stored.quotas:
        period = named_period(each.lane.period or "month", now_us, calendar.days)
        if period.start_us <= now_us and each.validity.holds_at(min(now_us, period.end_us - 1)):
            found.setdefault(each.lane, (period, []))[1].append(each)
    return [(lane, period, quotas) for lane, (period, quotas) in found.items()]


def _raises(session: Session, now_us: int) -> tuple[list[Raise], list[Raise]]:
    """Return the raises of quotas that are in force: those of one pool, which no quota is of, and the others."""
    found: tuple[list[Raise], list[Raise]] = ([], [])
    for each in effects_at(session, now_us):
        if each.kind == "quota":
            hours = each.gpu_hours is not None
            amount = (each.gpu_hours or 0) * US_PER_HOUR * GPU_PARTS if hours else (each.gpus or 0) * GPU_PARTS
            made = Raise(
                f"approval {each.approval_id}", each.owner, GPU_HOURS if hours else DEVICES, each.model, int(amount)
            )
            found[not each.pool].append(made)
    return found


def _crossings(session: Session) -> Mapping[tuple[str, str], frozenset[str]]:
    found: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for row in session.execute("quota_crossings").to_pylist():
        found[row["quota"], row["period"]].add(row["stage"])
    return {key: frozenset(stages) for key, stages in found.items()}
