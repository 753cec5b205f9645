"""Memory: the most that holders had in use on each device and day, by group: what drift of memory is found in."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from collector.queries.grouping import BY, choice
from gpuledger.accounting.periods import Period, require_hours


class MemoryRow(msgspec.Struct, frozen=True):
    """The most memory in use on a device by a group on a day (UTC), by samples; `key` is empty where it has no name."""

    day_us: int
    device: str
    key: str
    memory_max_bytes: int


class Memory(msgspec.Struct, frozen=True):
    """Days of devices; those whose memory nobody read are not there."""

    rows: list[MemoryRow]


def memory(ledger: Ledger, period: Period, *, by: str = "team") -> Memory:
    """Return the memory of a period by group, one of BY; a workload is all of its runs.

    Raises ConfigError on another group, and on a period off the hour.
    """
    return Memory(msgspec.convert(memory_table(ledger, period, by=by).to_pylist(), list[MemoryRow]))


def memory_table(ledger: Ledger, period: Period, *, by: str = "team") -> pa.Table:
    """Return the same as a table."""
    choice("by", by, BY)
    require_hours(period)
    found = ledger.execute("query_memory", {"from_us": period.start_us, "to_us": period.end_us, "by": by})
    return found.rename_columns(list(MemoryRow.__struct_fields__))
