"""Series: what each group held and cost, step by step, exact and narrow: what forecasts are made from."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from collector.queries.grouping import BY, choice
from collector.queries.timeline import GRAINS, time_steps
from gpuledger.accounting.periods import Period, require_hours


class SeriesRow(msgspec.Struct, frozen=True):
    """One group in the step that begins at `at_us`: microseconds x parts of a GPU, money in whole quanta.

    `part_us` is all time: by a property of devices that of the group's devices; by one of holders, time that nobody
    held is in the group without a name (`key` is empty), beside what was held without one. `cost_quanta` is of held
    time, of which `unpriced_part_us` has no price. `started` counts holders that were not there before; in the first
    step of an answer it counts all.
    """

    at_us: int
    key: str
    part_us: int
    held_part_us: int
    unobserved_part_us: int
    unpriced_part_us: int
    cost_quanta: int
    started: int


class Series(msgspec.Struct, frozen=True):
    """A period in steps, the earliest first, and in the order of their keys."""

    rows: list[SeriesRow]


def series(ledger: Ledger, period: Period, *, by: str = "team", grain: str = "hour") -> Series:
    """Return `period` by group in hours, or in the days of its zone.

    Raises ConfigError on another grain or dimension, or a period off the hour.
    """
    return Series(msgspec.convert(series_table(ledger, period, by=by, grain=grain).to_pylist(), list[SeriesRow]))


def series_table(ledger: Ledger, period: Period, *, by: str = "team", grain: str = "hour") -> pa.Table:
    """Return the same as a table."""
    choice("by", by, BY)
    choice("grain", grain, GRAINS)
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us, "by": by}
    found = ledger.execute("query_series", params, {"timeline_steps": time_steps(ledger, period, grain)})
    return found.rename_columns(list(SeriesRow.__struct_fields__))
