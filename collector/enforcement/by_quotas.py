"""What quotas say of work that is to start: where they stood, with what was allowed since on top, as a ruling. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from collector.enforcement.figures import Limits, Promised
from collector.enforcement.gate import ALLOWED, Result, Ruling, payer_of, strictest
from collector.governance.quota_positions import QuotaStand
from gpuledger.accounting.budgets import BLOCK
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.quotas import DEVICES, LaneStand, counted, percent, stage_key

RULE: Final = "quota"
FACT: Final = "quota_percent"


def quota_limits(stand: QuotaStand) -> Limits:
    """Return the limits by which quotas stood: before the first look there are none."""

    def limits(owner: Owner | None, model: str, parts: int, _at_us: int, promised: Promised) -> Ruling:
        payer = payer_of(owner)
        asked = parts - (promised.get((owner, model), 0) if owner else 0)
        return strictest([_ruling(lane, payer, asked) for lane in _lanes(stand, model, promised)])

    return limits


def quota_percents(stand: QuotaStand, owner: Owner | None, model: str, promised: Promised) -> dict[str, Decimal]:
    """Return how full the fullest quota is that work of an owner counts in, as a fact; nothing where there is none."""
    payer = payer_of(owner)
    found = [
        position.percent_millis()
        for lane in _lanes(stand, model, promised)
        if (mine := lane.owner_of(payer)) is not None
        for position in lane.above(mine)
    ]
    known = [each for each in found if each is not None]
    return {FACT: percent(max(known))} if known else {}


def _lanes(stand: QuotaStand, model: str, promised: Promised) -> list[LaneStand]:
    """Return what counts GPUs of a model, with those that were allowed and are in no usage yet."""
    return [_with_promises(lane, promised) for lane in stand.lanes if lane.lane.applies(model)]


def _with_promises(lane: LaneStand, promised: Promised) -> LaneStand:
    if lane.lane.of != DEVICES:  # how long they will be held nobody knows
        return lane
    more: dict[str, int] = {}
    counts = {model: lane.lane.applies(model) for model in {model for _, model in promised}}
    for (owner, model), parts in promised.items():
        if counts[model]:
            payer = payer_of(owner)
            more[payer] = more.get(payer, 0) + parts
    return lane.with_more(more)


def _ruling(lane: LaneStand, payer: str, asked: int) -> Ruling:
    mine = lane.owner_of(payer)
    if mine is None or asked <= 0:
        return ALLOWED
    found = [
        Ruling(
            Result.REFUSE if stage.action == BLOCK else Result.HOLD,
            RULE,
            (f"{position.in_words()}: {stage_key(stage)}",),
        )
        for position in lane.above(mine)
        for stage in position.stopped_by(asked)
    ]
    room = lane.room(mine)
    if (asked if lane.lane.of == DEVICES else 1) > room:
        found.append(Ruling(Result.HOLD, RULE, (_no_room(lane, mine, room),)))
    return strictest(found)


def _no_room(lane: LaneStand, owner: str, room: int) -> str:
    """Return which quota has no room, and how much more there would be."""
    above = lane.above(owner)
    full = next((each for each in above if each.used >= each.whole), above[0])
    if lane.lane.of != DEVICES:
        return f"{full.in_words()}, and none are left to borrow"
    left = f"{counted(lane.lane, room)} more fit" if room else "no more fit"
    return f"{full.in_words()}, {left}"
