"""What owners use, as quotas count it: GPU-hours of a period by the charges, and GPUs held now by the newest records.

Owners are paths (organisation/department/team; an empty one: held by nobody that an owner rule names).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from collector.ledger.database import Session
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE

FRESH_US: Final = 15 * US_PER_MINUTE  # how old the newest record of a device may be to say what is held now
REACH_US: Final = US_PER_HOUR  # how long it is said of a device that is not seen any more who held it last

Amounts = dict[tuple[str, str], int]  # by owner and model


class HoursUsed(NamedTuple):
    """GPU-hours of a period, in microseconds x parts; what nobody watched is in `used` as far as it was held."""

    used: Amounts
    unobserved: Amounts


class Held(NamedTuple):
    """Parts of a GPU that are held at `as_of_us`, the end of what was reported; 0: nothing was reported yet.

    `unseen` are those of devices that were held when they were last heard of, and have not been heard of since.
    """

    as_of_us: int
    held: Amounts
    unseen: Amounts


class QuotaUse:
    """Answers from one snapshot; what several quotas have in common is read once."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._hours: dict[Interval, HoursUsed] = {}

    def hours(self, period: Interval) -> HoursUsed:
        """Return what was used of a period so far."""
        if period not in self._hours:
            used: Amounts = {}
            unobserved: Amounts = {}
            for row in self._rows("quota_used", period):
                used[_key(row)] = int(row["part_us"])
                unobserved[_key(row)] = int(row["unobserved_part_us"])
            self._hours[period] = HoursUsed(used, unobserved)
        return self._hours[period]

    def by_hour(self, period: Interval) -> Iterator[tuple[int, tuple[str, str], int]]:
        """Yield what was held in each hour, by owner and model, in microseconds x parts, in the order of hours."""
        for row in self._rows("quota_hours", period):
            yield row["hour_us"], _key(row), int(row["part_us"])

    def held(self) -> Held:
        """Return what is held now."""
        as_of_us = max((row["until_us"] for row in self._session.execute("select_reach").to_pylist()), default=0)
        bounds = {"since_us": as_of_us - REACH_US, "fresh_us": as_of_us - FRESH_US}
        found: dict[bool, defaultdict[tuple[str, str], int]] = {True: defaultdict(int), False: defaultdict(int)}
        shared: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        for row in self._session.execute("quota_held", bounds).to_pylist():
            if row["device_id"] < 0:
                found[row["seen"]][_key(row)] += row["part_count"]
            else:
                shared[row["device_id"]].append(row)
        for rows in shared.values():
            for row, parts in zip(rows, _shares(rows), strict=True):
                found[row["seen"]][_key(row)] += parts
        return Held(as_of_us, dict(found[True]), dict(found[False]))

    def _rows(self, statement: str, period: Interval) -> list[dict[str, Any]]:
        bounds = {"from_us": period.start_us, "to_us": period.end_us}
        rows: list[dict[str, Any]] = self._session.execute(statement, bounds).to_pylist()
        return rows


def _shares(rows: list[dict[str, Any]]) -> list[int]:
    """Return the parts of one device that each row is, summing to those that are held of it (largest remainder).

    A pool has jobs that began at different times: of those each has its own.
    """
    parts, lengths = rows[0]["parts"], {row["length_us"] for row in rows}
    if len(lengths) > 1:
        return [parts * row["held_us"] // row["length_us"] for row in rows]
    held = [row["held_us"] for row in rows]
    return split_exactly(parts * sum(held) // lengths.pop(), held)


def _key(row: dict[str, Any]) -> tuple[str, str]:
    return "/".join(filter(None, (row["organisation"], row["department"], row["team"]))), row["model"]
