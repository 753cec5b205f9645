"""When a scheduler's jobs held which devices, and when those were watched: what its own accounting is held against."""

from __future__ import annotations

from typing import Final

import msgspec
import pyarrow as pa

from collector.ledger.store import Ledger
from gpuledger.accounting.periods import Period, require_hours

ASPECTS: Final = {"held": "query_job_holds", "watched": "query_watched"}


class JobTimeRow(msgspec.Struct, frozen=True):
    """A stretch `[start_us, end_us)` of a device without a gap: held by a job, with its share, or watched at all."""

    cluster: str
    node: str
    device: str
    start_us: int
    end_us: int
    job: str = ""
    array_name: str = ""  # 123_4, of a task of an array
    slurm_account: str = ""
    pool: bool = False
    held_us: int = 0


class JobTime(msgspec.Struct, frozen=True):
    """Stretches by job and device."""

    rows: list[JobTimeRow]


def job_time(ledger: Ledger, period: Period, *, aspect: str = "held") -> JobTime:
    """Return when jobs held devices in `period`, or when those devices were watched."""
    return JobTime(msgspec.convert(job_time_table(ledger, period, aspect=aspect).to_pylist(), list[JobTimeRow]))


def job_time_table(ledger: Ledger, period: Period, *, aspect: str = "held") -> pa.Table:
    """Return the same as a table. Raises ConfigError on a period off the hour: records lie across its ends."""
    require_hours(period)
    return ledger.execute(ASPECTS[aspect], {"from_us": period.start_us, "to_us": period.end_us})
