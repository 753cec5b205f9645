"""Usage of many batches gathered into one Arrow table: packed integers go from the wire into its buffers untouched."""

from __future__ import annotations

import struct
from array import array
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from collector.ledger.stages import STAGES
from gpuledger.wire import NULLABLE_COLUMNS, Columns

_AS_THEY_ARE: Final = ("start_us", "end_us", "state", "held_us")
_BY_DICTIONARY: Final = ("device", "holder", "reason", "evidence")


class IncomingUsage:
    """Gathers batches; dictionary columns become ledger ids in one look-up for all of them."""

    def __init__(self) -> None:
        self.rows = 0
        self._buffers: dict[str, list[array[int] | bytes]] = {
            name: [] for name in (*_AS_THEY_ARE, *_BY_DICTIONARY, *NULLABLE_COLUMNS, "batch_id")
        }
        self._masks: dict[str, list[bytes]] = {name: [] for name in NULLABLE_COLUMNS}
        self._shifts: dict[str, list[bytes]] = {name: [] for name in _BY_DICTIONARY}
        self._ids: dict[str, list[int | None]] = {name: [] for name in _BY_DICTIONARY}

    def add(self, batch_id: int, columns: Columns, ids: dict[str, list[int]]) -> None:
        """Add a batch; `ids` gives the ledger id of each entry of the batch's dictionaries."""
        rows = len(columns.required["held_us"])
        self.rows += rows
        for name in _AS_THEY_ARE:
            self._buffers[name].append(columns.required[name])
        for name in _BY_DICTIONARY:
            self._buffers[name].append(columns.required[name])
            self._shifts[name].append(_repeat(len(self._ids[name]) + 1, rows))
            self._ids[name].append(None)  # where the wire's null (-1) points once shifted
            self._ids[name].extend(ids[name])
        for name, (values, missing) in columns.nullable.items():
            self._buffers[name].append(values)
            self._masks[name].append(missing or bytes(rows))
        self._buffers["batch_id"].append(_repeat(batch_id, rows))

    def table(self) -> pa.Table:
        """Return the stage `incoming_usage`."""
        columns = {name: self._values(name) for name in (*_AS_THEY_ARE, "batch_id")}
        columns |= {f"{name}_id": self._looked_up(name) for name in _BY_DICTIONARY}
        columns |= {name: self._values(name, _validity(self._masks[name])) for name in NULLABLE_COLUMNS}
        schema = STAGES["incoming_usage"]
        return pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)

    def _values(self, name: str, validity: pa.Buffer | None = None) -> pa.Array:
        return _int64(b"".join(self._buffers[name]), self.rows, validity)

    def _looked_up(self, name: str) -> pa.Array:
        shifted = pc.add(self._values(name), _int64(b"".join(self._shifts[name]), self.rows))
        return pa.array(self._ids[name], type=pa.int64()).take(shifted)


def _int64(data: bytes, rows: int, validity: pa.Buffer | None = None) -> pa.Array:
    return pa.Array.from_buffers(pa.int64(), rows, [validity, pa.py_buffer(data)])


def _validity(masks: list[bytes]) -> pa.Buffer | None:
    missing = b"".join(masks)
    if 1 not in missing:
        return None
    flags = pa.Array.from_buffers(pa.uint8(), len(missing), [None, pa.py_buffer(missing)])
    return pc.equal(flags, 0).buffers()[1]


def _repeat(value: int, rows: int) -> bytes:
    return struct.pack("=q", value) * rows
