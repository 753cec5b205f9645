"""Holdings: what each holder had of each device and what of it it needed, beside the devices that there are.

What advice on smaller, fewer or cheaper GPUs is made from.
"""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from gpuledger.accounting.periods import Period, require_hours


class Holding(msgspec.Struct, frozen=True):
    """A device that a holder had. Times are microseconds, money whole quanta, `parts` of 840 of a GPU.

    `active_*_ppm` is the part of an hour in which a kernel ran, in its hours with a record: the 95th percentile, and
    the most. `alone`: no other holder shared the device. The hours in which memory and activity were highest are named
    with the offset of the charge of time at work in them, null where there is none. `worked_us` and `cost_quanta` are
    of time at work; the cost is null where a part of it has no price.
    """

    cluster: str
    node: str
    device: str
    model: str
    mig_profile: str
    parts: int
    memory_bytes: int | None
    holder: str
    user_name: str
    workload: str
    team: str
    held_us: int
    active_unknown_us: int
    memory_unknown_us: int
    alone: bool
    memory_max_bytes: int | None
    memory_hour_us: int | None
    memory_offset_us: int | None
    active_p95_ppm: int
    active_max_ppm: int
    active_hour_us: int | None
    active_offset_us: int | None
    worked_us: int
    cost_quanta: int | None


class DeviceKind(msgspec.Struct, frozen=True):
    """A model or MIG profile in a cluster, and what an hour of a device of it cost; None: no price."""

    cluster: str
    model: str
    mig_profile: str
    parts: int
    memory_bytes: int | None
    devices: int
    rate_quanta: int | None


class Holdings(msgspec.Struct, frozen=True):
    """Holders of devices that worked, and the kinds of devices."""

    rows: list[Holding]
    kinds: list[DeviceKind]


def holdings(ledger: Ledger, period: Period) -> Holdings:
    """Return the holdings of a period. Raises ConfigError on a period off the hour."""
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us}
    rows, kinds = (ledger.execute(name, params).to_pylist() for name in ("query_holdings", "query_kinds"))
    return Holdings(msgspec.convert(rows, list[Holding]), msgspec.convert(kinds, list[DeviceKind]))
