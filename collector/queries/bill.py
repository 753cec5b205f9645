"""The lines of bills, as exports take them: exact integers, and the names of all that stands behind each.

A bill may have millions of lines, so it is asked for in parts, and goes from the database into an Arrow stream whole.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.errors import ConfigError

KINDS: Final = ("charge", "correction")
MAX_LINES: Final = 1_000_000


class BillLine(msgspec.Struct, frozen=True):
    """One charge or correction. Money is whole quanta (1e-9 of the currency's unit), time microseconds.

    Corrections name the period that they are billed in and the one that they correct; their activity and energy are not
    kept. `offset_us` is how far into its hour the segment of a line begins: more than 0 only where a price turned. A
    device that changed (its size, its pool) has another `device_id` under the same key. `rate_quanta` and
    `cost_quanta` of a charge are None where no price applies.
    """

    period_id: int | None
    corrects: str | None
    hour_us: int
    offset_us: int
    device_id: int
    cluster: str
    node: str
    device: str
    device_kind: str
    model: str
    mig_profile: str
    parts: int
    pool: str
    holder_id: int | None
    holder: str | None
    holder_kind: str | None
    namespace: str | None
    pod: str | None
    container: str | None
    slurm_job: str | None
    slurm_account: str | None
    user_name: str | None
    labels: str | None
    workload_system: str | None
    workload_scope: str | None
    workload_id: str | None
    workload_name: str | None
    state: int
    reason: str
    organisation: str
    department: str
    team: str
    project: str
    held_us: int
    active_us: int | None
    active_unknown_us: int | None
    energy_mj: int | None
    energy_unknown_us: int | None
    carbon_g_per_kwh: Decimal | None  # of the hour, else the constant of the price entry
    price_version: int | None
    price_entry: int | None
    owner_version: int | None
    rate_quanta: int | None
    cost_quanta: int | None
    active_cost_quanta: int | None
    list_rate_quanta: int | None  # before the discount of the price entry


class Bill(msgspec.Struct, frozen=True):
    """Lines of bills in the order of their hours."""

    rows: list[BillLine]


def bill(ledger: Ledger, period: Period, *, kind: str = "charge") -> Bill:
    """Return the charges of the hours of `period`, or the corrections that the closed periods inside it bill.

    Raises ConfigError on a period off the hour, and on one with more than a million lines.
    """
    return Bill(msgspec.convert(bill_table(ledger, period, kind=kind).to_pylist(), list[BillLine]))


def bill_table(ledger: Ledger, period: Period, *, kind: str = "charge", limit: int = MAX_LINES) -> pa.Table:
    """Return the same as a table; raises ConfigError too where it has more than `limit` lines."""
    require_hours(period)
    params = {"from_us": period.start_us, "to_us": period.end_us, "kind": kind, "max_rows": limit + 1}
    found = ledger.execute("query_bill", params)
    if found.num_rows > limit:
        raise ConfigError(f"{period.label} has more than {limit:,} lines", hint="ask for fewer hours at a time")
    return found
