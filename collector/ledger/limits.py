"""How large a number may be that the ledger takes: far beyond any real one, and far from where sums overflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gpuledger import wire
from gpuledger.errors import WireError

MAX_SIZE: Final = 2**31 - 1  # parts and units
MAX_INSTANT_US: Final = 2**62
MAX_COUNTER: Final = 2**62
MAX_BYTES: Final = 2**53
MAX_HELD_US: Final = 2**50  # in one row: 300,000 GPUs for an hour
MAX_ENERGY_MJ: Final = 2**43  # in one row: two megawatts for an hour

_COLUMNS: Final = {
    "active_us": MAX_HELD_US,
    "energy_mj": MAX_ENERGY_MJ,
    "memory_mean_bytes": MAX_BYTES,
    "memory_max_bytes": MAX_BYTES,
}


def check_sizes(batch: wire.Batch, columns: wire.Columns) -> None:
    """Raise WireError (`malformed`) where a number of `batch` is beyond what the ledger takes."""
    if columns.required["held_us"] and max(columns.required["held_us"]) > MAX_HELD_US:
        raise _too_large("held_us", max(columns.required["held_us"]), MAX_HELD_US)
    for name, (values, _) in columns.nullable.items():
        if values and max(values) > _COLUMNS[name]:
            raise _too_large(name, max(values), _COLUMNS[name])
    for name, value, limit in _numbers(batch):
        if value is not None and not 0 <= value <= limit:
            raise _too_large(name, value, limit)


def _numbers(batch: wire.Batch) -> Iterator[tuple[str, int | None, int]]:
    yield "sequence", batch.sequence, MAX_COUNTER
    yield "from_us", batch.from_us, MAX_INSTANT_US
    yield "sealed_at_us", batch.sealed_at_us, MAX_INSTANT_US
    for device in batch.devices:
        yield "parts", device.parts, MAX_SIZE
        yield "units", device.units, MAX_SIZE
        yield "memory_bytes", device.memory_bytes, MAX_BYTES
    for holder in batch.holders:
        yield "uid", holder.uid, MAX_COUNTER
    for entry in batch.energy:
        yield "energy_mj", entry.energy_mj, MAX_COUNTER
        yield "first_mj", entry.first_mj, MAX_COUNTER
        yield "last_mj", entry.last_mj, MAX_COUNTER
    for event in batch.events:
        yield "at_us", event.at_us, MAX_INSTANT_US


def _too_large(name: str, value: int, limit: int) -> WireError:
    return WireError("malformed", f"{name} is {value}, not within 0 and {limit}", hint="this is a fault of the agent")
