"""The clock and temperature of boards while they worked: what a failing card shows, and its work does not."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from gpuledger.accounting.periods import Period, require_hours


class ConditionRow(msgspec.Struct, frozen=True):
    """An hour of a board: sums over the readings while it worked, and how many there were (0: nobody read it)."""

    hour_us: int
    device: str
    sm_clock_readings: int
    sm_clock_mhz: int
    temperature_readings: int
    temperature_c: int


class Conditions(msgspec.Struct, frozen=True):
    """Hours of boards; those of which nothing was read are not there."""

    rows: list[ConditionRow]


def conditions(ledger: Ledger, period: Period) -> Conditions:
    """Return the conditions of a period, in order of time. Raises ConfigError off the hour."""
    return Conditions(msgspec.convert(conditions_table(ledger, period).to_pylist(), list[ConditionRow]))


def conditions_table(ledger: Ledger, period: Period) -> pa.Table:
    """Return the same as a table."""
    require_hours(period)
    return ledger.execute("query_conditions", {"from_us": period.start_us, "to_us": period.end_us})
