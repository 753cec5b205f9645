"""Rating: one device's hour of usage in, charges out, so that they sum exactly to what the hour cost.

Where prices turn within the hour, each segment between two turns is rated as an hour is; and where its holders have
different prices, so is the time at each price.

This is the reference. The collector applies the same rules in SQL, and a test holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from gpuledger.accounting.money import cost_quanta, split_cost
from gpuledger.model import State

# By which rules charges follow from usage, prices and owners. A change after which the same inputs make other charges
# raises the number, so that a bill says which rules make it again.
METHOD: Final = "held-time/1"
NO_DATA: Final = "no_data"
FREE: Final = "free"


class UsageHour(NamedTuple):
    """Time of one device within one hour that one holder (or none) spent in one state for one reason."""

    holder: str | None
    state: State
    reason: str
    held_us: int
    active_us: int = 0  # of what is known
    active_unknown_us: int = 0  # held time for which activity is not known


class Charge(NamedTuple):
    """A priced row. Both costs are None where no price applies; `active_cost_quanta` also where activity is unknown."""

    usage: UsageHour
    cost_quanta: int | None
    active_cost_quanta: int | None


class Total(NamedTuple):
    """Charges of a period, added up; time without a price stands apart."""

    cost_quanta: int
    held_us: int
    unpriced_us: int


def complete(rows: Iterable[UsageHour], *, capacity_us: int | None, pool: bool = False) -> list[UsageHour]:
    """Return the rows and one for the capacity that they leave: `unobserved/no_data`, in a pool `idle/free`.

    `capacity_us` is how much of the hour the device existed, times its units; None where that is unknown. Rows that
    hold more than the capacity are left as they are: it is for reconciliation to report them.
    """
    merged = _merged(rows)
    if capacity_us is None:
        return merged
    rest_us = capacity_us - sum(row.held_us for row in merged)
    if rest_us <= 0:
        return merged
    rest = (
        UsageHour(None, State.IDLE, FREE, rest_us)
        if pool
        else UsageHour(None, State.UNOBSERVED, NO_DATA, rest_us, 0, rest_us)
    )
    return _merged([*merged, rest])


def rate_device_hour(rows: Iterable[UsageHour], rate_quanta: int | None) -> list[Charge]:
    """Return the charges of one device's hour at an hourly rate; None: no price applies, so nothing has a cost.

    The cost of all held time is rounded once (half to even) and split over the rows by largest remainder, ties going
    by holder, state and reason. What a row cost while active is rounded by itself.
    """
    merged = _merged(rows)
    if rate_quanta is None or not merged:
        return [Charge(row, None, None) for row in merged]
    weights = [row.held_us for row in merged]
    shares = split_cost(cost_quanta(rate_quanta, sum(weights)), weights)
    return [
        Charge(row, share, cost_quanta(rate_quanta, row.active_us) if _activity_known(row) else None)
        for row, share in zip(merged, shares, strict=True)
    ]


def total(charges: Iterable[Charge]) -> Total:
    """Add charges up."""
    cost, held_us, unpriced_us = 0, 0, 0
    for charge in charges:
        held_us += charge.usage.held_us
        if charge.cost_quanta is None:
            unpriced_us += charge.usage.held_us
        else:
            cost += charge.cost_quanta
    return Total(cost, held_us, unpriced_us)


def _activity_known(row: UsageHour) -> bool:
    return row.active_unknown_us == 0 or row.active_us > 0


def _merged(rows: Iterable[UsageHour]) -> list[UsageHour]:
    """Add rows of the same holder, state and reason, in the order that decides ties."""
    sums: dict[tuple[str | None, State, str], list[int]] = {}
    for row in rows:
        row_sum = sums.setdefault((row.holder, row.state, row.reason), [0, 0, 0])
        for i, value in enumerate((row.held_us, row.active_us, row.active_unknown_us)):
            row_sum[i] += value
    ordered = sorted(sums, key=lambda key: (key[0] is not None, key[0] or "", key[1], key[2]))
    return [UsageHour(*key, *sums[key]) for key in ordered]
