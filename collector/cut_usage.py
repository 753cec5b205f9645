"""Usage of hours that are cut: of the records as reported, each segment has exactly its part.

Hours that are not cut, nearly all, are rated from the hourly roll-up and never come here.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

import pyarrow as pa

from collector.ledger.database import Session
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.turns import Use, cut_at, cut_uses
from gpuledger.accounting.units import US_PER_HOUR

PIECE_SCHEMA: Final = pa.schema([
    *((name, pa.int64()) for name in ("hour_us", "offset_us", "device_id", "holder_id")),
    ("state", pa.uint8()),
    *((name, pa.int64()) for name in ("reason_id", "held_us", "active_us", "active_unknown_us", "energy_mj")),
    ("energy_unknown_us", pa.int64()),
])  # fmt: skip
_interval = itemgetter("device_id", "start_us", "end_us")


def usage_of_segments(session: Session, segments: pa.Table, bounds: dict[str, int]) -> pa.Table:
    """Return what was held in each segment of the device-hours in `segments`; `bounds` are the hours of the pass."""
    if not segments.num_rows:
        return PIECE_SCHEMA.empty_table()
    staged = {"rate_segments": segments}
    inside = session.execute("rate_inside", bounds, staged).cast(PIECE_SCHEMA)
    straddling = session.execute("rate_straddling", bounds, staged).to_pylist()
    turns: dict[tuple[int, int], list[int]] = {}
    for device_id, hour_us, start_us in zip(
        *(segments[name].to_pylist() for name in ("device_id", "hour_us", "start_us")), strict=True
    ):
        turns.setdefault((device_id, hour_us), []).append(start_us)
    rows = [
        row
        for _, rows_of_one in itertools.groupby(straddling, key=_interval)
        for row in _pieces(list(rows_of_one), turns)
    ]
    return pa.concat_tables([inside, pa.Table.from_pylist(rows, schema=PIECE_SCHEMA)])


def _pieces(rows: Sequence[dict[str, Any]], turns: dict[tuple[int, int], list[int]]) -> Iterator[dict[str, Any]]:
    """Cut the records of one interval of one device, which lies in one hour."""
    device_id, start_us, end_us = _interval(rows[0])
    hour_us = start_us // US_PER_HOUR * US_PER_HOUR
    starts = turns[device_id, hour_us]
    pieces = cut_at(Interval(start_us, end_us), starts)
    uses = [Use(row["held_us"], row["active_us"], row["energy_mj"]) for row in rows]
    for piece, parts in zip(pieces, cut_uses(uses, pieces), strict=True):
        segment_us = max(at for at in starts if at <= piece.start_us)
        for row, (held_us, active_us, energy_mj) in zip(rows, parts, strict=True):
            yield {
                "hour_us": hour_us,
                "offset_us": segment_us - hour_us,
                **{name: row[name] for name in ("device_id", "holder_id", "state", "reason_id")},
                "held_us": held_us,
                "active_us": active_us or 0,
                "active_unknown_us": held_us if active_us is None else 0,
                "energy_mj": energy_mj or 0,
                "energy_unknown_us": held_us if energy_mj is None else 0,
            }
