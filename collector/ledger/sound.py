"""A large batch checked a column at a time: "sound", or nothing said.

What is called sound here passes `wire.check_usage`; the rest is checked by that, row by row, for its error.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from collector.ledger.limits import LIMITS
from gpuledger import wire
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.model import State

Spans = dict[int, list[Interval]]  # the time that rows cover, merged, by the device's index in the batch

FEW_ROWS: Final = 256  # below, the row-by-row check costs less than a call into Arrow
_SPAN: Final = ["device", "start_us", "end_us"]


def sound_spans(batch: wire.Batch, columns: wire.Columns) -> Spans | None:
    """Return the time that the batch covers where its rows are plainly in order; None where that is not so."""
    if batch.rows < FEW_ROWS or any(device.kind == "pool" for device in batch.devices):
        return None
    names = [*wire.REQUIRED_COLUMNS, *wire.NULLABLE_COLUMNS]
    values = {**columns.required, **{name: column for name, (column, _) in columns.nullable.items()}}
    table = pa.table({name: _arrow(values[name]) for name in names})
    if not all(_within(table[name], low, high) for name, low, high in _ranges(batch)) or not _rows_sound(table):
        return None
    if not _energy_sound(batch, table):
        return None
    grouped = table.group_by(_SPAN, use_threads=False).aggregate([("held_us", "sum"), ("active_us", "sum")])
    return _spans(grouped.sort_by([("device", "ascending"), ("start_us", "ascending")]))


def covered_spans(columns: wire.Columns) -> Spans:
    """Return the time that rows cover, merged, by the device's index: row by row, in any order, overlapping or not."""
    required = columns.required
    found: Spans = {}
    for index, start_us, end_us in sorted(set(zip(*(required[name] for name in _SPAN), strict=True))):
        spans = found.setdefault(index, [])
        if spans and start_us <= spans[-1].end_us:
            spans[-1] = Interval(spans[-1].start_us, max(end_us, spans[-1].end_us))
        else:
            spans.append(Interval(start_us, end_us))
    return found


def _ranges(batch: wire.Batch) -> Iterator[tuple[str, int, int]]:
    """Yield what each column stays within; sums of so many rows of so small numbers cannot overflow."""
    yield "device", 0, len(batch.devices) - 1
    yield "holder", wire.NO_HOLDER, len(batch.holders) - 1
    yield "reason", 0, len(batch.reasons) - 1
    yield "evidence", 0, len(batch.evidence) - 1
    yield "state", min(State), max(State)
    yield "start_us", batch.from_us, batch.until_us
    yield "end_us", batch.from_us, batch.until_us
    yield "held_us", 0, US_PER_HOUR
    yield "active_us", 0, US_PER_HOUR
    for name in ("energy_mj", "memory_mean_bytes", "memory_max_bytes"):
        yield name, 0, LIMITS[name]


def _within(column: pa.ChunkedArray, low: int, high: int) -> bool:
    found = pc.min_max(column)
    return bool(low <= found["min"].as_py() and found["max"].as_py() <= high)


def _rows_sound(table: pa.Table) -> bool:
    start_us, end_us = table["start_us"], table["end_us"]
    last_hour = pc.divide(pc.subtract(end_us, 1), US_PER_HOUR)
    return _all(pc.greater(end_us, start_us)) and _all(pc.equal(last_hour, pc.divide(start_us, US_PER_HOUR)))


def _energy_sound(batch: wire.Batch, table: pa.Table) -> bool:
    sums: dict[str, int] = {}
    for row in table.group_by("device", use_threads=False).aggregate([("energy_mj", "sum")]).to_pylist():
        device = batch.devices[row["device"]]
        board = device.board or device.key
        sums[board] = sums.get(board, 0) + row["energy_mj_sum"]
    stated = {entry.board: entry.energy_mj for entry in batch.energy}
    if len(stated) != len(batch.energy):
        return False
    return all(sums.get(board, 0) == stated.get(board, 0) for board in sums.keys() | stated.keys())


def _spans(intervals: pa.Table) -> Spans | None:
    """Return the spans of sorted intervals with their sums; None where shares do not sum or intervals overlap."""
    device, start_us, end_us = (intervals[name].combine_chunks() for name in _SPAN)
    length_us = pc.subtract(end_us, start_us)
    if not _all(pc.equal(intervals["held_us_sum"], length_us)):
        return None
    if not _all(pc.less_equal(intervals["active_us_sum"], length_us)):
        return None
    changes = pc.not_equal(device[1:], device[:-1])
    if not _all(pc.or_(changes, pc.greater_equal(start_us[1:], end_us[:-1]))):
        return None
    ends = pc.indices_nonzero(pc.or_(changes, pc.not_equal(start_us[1:], end_us[:-1]))).to_pylist()
    found: Spans = {}
    for first, last in zip([0, *(i + 1 for i in ends)], [*ends, len(device) - 1], strict=True):
        found.setdefault(device[first].as_py(), []).append(Interval(start_us[first].as_py(), end_us[last].as_py()))
    return found


def _arrow(values: array[int]) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(values)])


def _all(flags: pa.ChunkedArray | pa.Array) -> bool:
    return bool(pc.all(flags, min_count=0).as_py())
