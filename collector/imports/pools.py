"""Pools as the ledger knows them: one pool stays what it is, and holds no more than its capacity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from collector.imports.jobs import JobRecord, PoolFacts, pool_device
from collector.ledger.stages import staged
from collector.ledger.store import Ledger
from gpuledger.accounting.intervals import Interval, cut
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConservationError, ImportFileError
from gpuledger.model import Device


class PoolKey(NamedTuple):
    """A pool is known by its cluster and its key."""

    cluster: str
    device_key: str


Pools = dict[PoolKey, Device]


def find_pools(ledger: Ledger, records: Iterable[JobRecord], facts: PoolFacts) -> Pools:
    """Return the pools of `records`, those that the ledger has as they stand there.

    Raises ImportFileError where a pool is in the ledger with another capacity or model.
    """
    wanted: Pools = {}
    for record in records:
        device = pool_device(record, facts)
        wanted.setdefault(PoolKey(record.cluster, device.key), device)
    known = {PoolKey(row["cluster"], row["device_key"]): row for row in _rows(ledger, "import_pools", wanted)}
    for key, row in known.items():
        device = wanted[key]
        adopted = msgspec.structs.replace(device, units=device.units or row["units"])
        names = [
            name for name in ("model", "units", "parts", "mig_profile", "pool") if getattr(adopted, name) != row[name]
        ]
        if names:
            name = names[0]
            raise ImportFileError(
                f"{key.device_key} is in the ledger with {name} {row[name]!r},"
                f" and this import gives it {getattr(device, name)!r}",
                hint="import every log of a pool with the same [capacity] and [models]",
            )
        wanted[key] = adopted
    return wanted


def check_capacity(
    ledger: Ledger,
    pools: Mapping[PoolKey, Device],
    booked: Iterable[tuple[JobRecord, Iterable[Interval]]],
    facts: PoolFacts,
) -> None:
    """Raise ConservationError where jobs would hold more of a pool in some hour than its capacity."""
    limited = {key: device.units for key, device in pools.items() if device.units is not None}
    added: Counter[tuple[PoolKey, int]] = Counter()
    for record, intervals in booked if limited else ():
        key = PoolKey(record.cluster, pool_device(record, facts).key)
        if key not in limited:
            continue
        for interval in intervals:
            for start_us, end_us in cut(*interval, US_PER_HOUR):
                added[key, start_us // US_PER_HOUR * US_PER_HOUR] += (end_us - start_us) * record.gpus
    if not added:
        return
    hours = [hour_us for _, hour_us in added]
    span = {"first_hour_us": min(hours), "last_hour_us": max(hours)}
    for row in _rows(ledger, "import_pool_hours", limited, span):
        at = PoolKey(row["cluster"], row["device_key"]), row["hour_us"]
        if at in added:
            added[at] += row["held_us"]
    (key, hour_us), held_us = max(added.items(), key=lambda item: item[1] / limited[item[0][0]])
    if held_us > limited[key] * US_PER_HOUR:
        needed = -(-held_us // US_PER_HOUR)
        raise ConservationError(
            f"jobs hold {needed} GPUs of {key.device_key} in the hour from {iso(hour_us)};"
            f" its capacity is {limited[key]}",
            hint=f"set its [capacity] to {needed} or more, or leave it out where it is not known",
        )


def _rows(
    ledger: Ledger, name: str, keys: Iterable[PoolKey], params: dict[str, int] | None = None
) -> list[dict[str, Any]]:
    wanted = staged("wanted_pools", [key._asdict() for key in keys])
    rows: list[dict[str, Any]] = ledger.execute(name, params, {"wanted_pools": wanted}).to_pylist()
    return rows
