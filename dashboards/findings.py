"""The page's sentences: each title states what the figures below it show. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.overview import OWNER, idle_frame, state_hours, sum_money, total_cost, unwatched_hours
from dashboards import wording

Document = Mapping[str, Any]


class Waste(NamedTuple):
    """What was paid for and not used."""

    held_idle: Decimal
    idle_capacity: Decimal

    @property
    def total(self) -> Decimal:
        """Return both together."""
        return self.held_idle + self.idle_capacity


def finding(frame: pl.DataFrame, currency: str, spoken: str) -> str:
    """Return the headline: who spent most of what; hours where nothing has a price."""
    total = total_cost(frame)
    owners = frame.filter(pl.col("kind") == OWNER)
    hours = float(frame["gpu_hours"].sum())
    if not total:
        held = float(owners["gpu_hours"].sum())
        return f"{wording.hours(held)} of {wording.hours(hours)} GPU-hours were held {spoken}; none has a price yet"
    amount = wording.money_short(total, currency)
    if owners.is_empty() or not owners["cost"][0]:
        return f"{amount} {spoken}, and no team to bill it to"
    top = owners.row(0, named=True)
    return f"{wording.title(top['key'])} spent {wording.share(top['cost'], total)} of {amount} {spoken}"


def lead(frame: pl.DataFrame, waste: Waste, currency: str) -> str:
    """Return the sentence below the headline: what was paid for and not used."""
    total = total_cost(frame)
    if not total:
        return "Import a price book to see what these hours cost."
    if not waste.total:
        return _no_waste(frame)
    return (
        f"{wording.money_short(waste.total, currency)} ({wording.share(waste.total, total)}) went to GPUs that did no "
        f"work: {wording.money_short(waste.held_idle, currency)} was held and idle, "
        f"{wording.money_short(waste.idle_capacity, currency)} was capacity that nobody held."
    )


def _no_waste(frame: pl.DataFrame) -> str:
    """Return why nothing is counted as waste: it has no price, nobody looked, or there was none."""
    capacity = frame.filter(pl.col("kind") == "idle")
    idle_hours = float(frame["held_idle_gpu_hours"].sum()) + float(capacity["gpu_hours"].sum())
    if idle_hours:
        return f"{wording.hours(idle_hours)} GPU-hours went to GPUs that did no work, and have no price."
    unwatched = unwatched_hours(frame)
    if unwatched:
        return (
            f"Nothing was seen to stand idle; whether {wording.hours(unwatched)} GPU-hours did work was not observed."
        )
    return "All that was paid for was used."


def bars_finding(frame: pl.DataFrame, currency: str) -> str:
    """Return the title of the cost chart: how much has an owner."""
    total, owned = total_cost(frame), total_cost(frame.filter(pl.col("kind") == OWNER))
    if not total:
        return "Nothing has a price yet"
    count = frame.filter(pl.col("kind") == OWNER).height
    teams = "1 team accounts" if count == 1 else f"{count:,} teams account"
    return f"{teams} for {wording.money_short(owned, currency)}, {wording.share(owned, total)} of the cost"


def idle_finding(idle: Document, currency: str) -> str:
    """Return the title of the held-idle list: what all of it cost."""
    found = idle_frame(idle)
    cost, hours = sum_money(found["cost"]), float(found["gpu_hours"].sum())
    if not cost and hours:
        return f"{wording.hours(hours)} GPU-hours were held and did nothing, and have no price"
    if not cost:
        return "Nothing was seen to be held without working"
    return f"{wording.money_short(cost, currency)} went to GPUs that were held and did nothing"


def states_finding(document: Document) -> str:
    """Return the title of the time chart: how much of the time GPUs worked, and the largest rest."""
    hours = state_hours(document)
    whole = sum(hours.values())
    if not whole:
        return "No GPU time in this period"
    worked = wording.share(hours.get("active", 0.0), whole)
    rest = {state: value for state, value in hours.items() if state != "active" and value}
    if not rest:
        return "GPUs were at work all the time"
    largest = max(rest, key=lambda state: rest[state])
    words = _STATE_PHRASES.get(largest, wording.state(largest).lower())
    return f"GPUs were at work {worked} of the time; {wording.share(rest[largest], whole)} they {words}"


_STATE_PHRASES: Final = {
    "idle": "stood idle",
    "held_idle": "were held and idle",
    "held_unobserved": "were held, unobserved",
    "ungranted": "were used without a grant",
    "unavailable": "were out of service",
    "unobserved": "were not observed",
}


def costs_finding(costs: pl.DataFrame, frame: pl.DataFrame, currency: str, step: str) -> str:
    """Return the title of the cost-over-time chart: the range of what teams cost, over whole steps only."""
    owners = frame.filter(pl.col("kind") == OWNER)["key"].to_list()
    per_step = (
        costs.group_by("at").agg(pl.col("cost").filter(pl.col("key").is_in(owners)).sum()).sort("at").drop_nulls()
    )
    whole = per_step[:-1] if per_step.height > 3 else per_step  # the last step is still filling up
    amounts = whole["cost"].to_list()
    if not amounts or not max(amounts):
        return "Cost over time"
    low, high = min(amounts), max(amounts)
    at = whole["at"][amounts.index(high)]
    when = f"{at:%H:%M} on {at.day} {at:%b}" if step == "hour" else f"{at.day} {at:%b}"
    if high == low:
        return f"Teams cost {wording.money_short(high, currency)} every {step}"
    return f"Teams cost {_range(low, high, currency)} {'an' if step == 'hour' else 'a'} {step}, most on {when}"


def _range(low: Decimal, high: Decimal, currency: str) -> str:
    return f"{wording.money_short(low, currency)} to {wording.money_short(high, currency)}"
