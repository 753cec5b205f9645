"""Held idle on a real serving fleet: what the meter, the ledger and the analytics make of it is the trace's own share.

The trace has each container's GPU activity and memory for a day, a reading every 57 seconds; each becomes what an agent
would have seen at that instant. A reading describes the time since the one before, as a driver's does. Time of readings that are missing,
or whose activity is, is unknown there and here: it is neither idle nor active.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from analytics.utilisation import utilisation
from analytics.waste import waste
from collector.ledger.store import Ledger
from collector.queries.bill import bill_table
from collector.rating import rate_dirty
from gpuledger.accounting.meter import Meter
from gpuledger.accounting.periods import Period
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant, Snapshot
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR, US_PER_SECOND
from gpuledger.clock import VirtualClock
from gpuledger.model import Device, Holder, State, UsageRecord
from tests.collector.fleet import prices, usage_frame

ROOT = Path(__file__).parents[2]
DATA = (
    Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data") / "gpu_util_alibaba_genai_v2026"
)
STEP_US = 57 * US_PER_SECOND
PPM_PER_PERCENT = 10_000


@pytest.fixture(scope="module")
def readings() -> pl.DataFrame:
    """Return the trace's readings, in order of container and time; in CI their absence is a failure."""
    path = DATA / "pod_gpu_minutes.parquet"
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    return pl.read_parquet(path).sort("container", "ts")


def metered(container: str, rows: pl.DataFrame) -> list[UsageRecord]:
    """Return the usage of one container's GPU, as the agent's meter tells it; it was there one step before its reading."""
    device, holder = f"GPU-{container[:8]}", f"container:{container[:8]}"
    meter = Meter(max_gap_us=STEP_US)
    first_us = rows["ts"][0] * US_PER_SECOND - STEP_US
    readings = [
        (first_us, None, 0),
        *((ts * US_PER_SECOND, busy, memory) for ts, busy, memory in rows.iter_rows()),
    ]
    usage: list[UsageRecord] = []
    for at_us, busy, memory in readings:
        seen = DeviceSnapshot(
            device,
            occupants=(Occupant(holder, memory_bytes=int(memory), method="container"),),
            activity_ppm=None if busy is None else max(int(busy > 0), round(busy * PPM_PER_PERCENT)),
        )
        usage += meter.observe(Snapshot(at_us, (BoardSnapshot(device, (seen,)),))).records
    return usage + meter.flush().records


@pytest.fixture(scope="module")
def lines(readings: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Iterator[pl.DataFrame]:
    """Give the bill lines of a ledger to which each container's GPU was reported."""
    start_us, end_us = readings["ts"].min(), readings["ts"].max()
    assert isinstance(start_us, int)
    assert isinstance(end_us, int)
    period = Period(start_us // 3600 * US_PER_HOUR - US_PER_HOUR, (end_us // 3600 + 1) * US_PER_HOUR, "trace")
    with Ledger.open(tmp_path_factory.mktemp("ledger"), clock=VirtualClock(period.end_us)) as ledger:
        for number, ((container,), rows) in enumerate(readings.group_by("container", maintain_order=True)):
            usage = metered(str(container), rows.select("ts", "gpu_duty_cycle_pct", "gpu_mem_used_bytes"))
            device = Device(usage[0].device, "gpu", "NVIDIA A10")
            holder = Holder(str(usage[0].holder), "container", container=str(container)[:8], namespace="genai")
            [taken] = ledger.ingest([usage_frame(0, usage, [device], [holder], agent=f"node-{number:02d}")])
            assert taken.taken
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "1"\n', period.end_us)
        rate_dirty(ledger)
        yield pl.DataFrame(bill_table(ledger, period))


@pytest.fixture(scope="module")
def steps(readings: pl.DataFrame) -> pl.DataFrame:
    """Return the readings that describe one step: not those after a gap, whose time an agent would call unobserved."""
    after_gap = (pl.col("ts").diff().over("container") * US_PER_SECOND > STEP_US).fill_null(value=False)
    return readings.filter(~after_gap)


def test_held_idle_is_the_traces_own_zero_activity(
    readings: pl.DataFrame, steps: pl.DataFrame, lines: pl.DataFrame
) -> None:
    """To the microsecond, the steps that the trace reads as zero are held idle, and the rest of the known ones are not.

    The share differs from that of all its readings only by the seven that follow a gap: by less than 0.01 %.
    """
    busy = pl.col("gpu_duty_cycle_pct")
    zero, known = (steps.filter(busy == 0).height, steps.filter(busy.is_not_null()).height)
    [fleet] = utilisation(lines, by="namespace").filter(kind="owner").rows(named=True)
    assert fleet["held_idle_part_us"] == zero * STEP_US * GPU_PARTS
    assert fleet["watched_part_us"] == known * STEP_US * GPU_PARTS
    ours = fleet["held_idle_part_us"] / fleet["watched_part_us"]
    theirs = readings.filter(busy == 0).height / readings.filter(busy.is_not_null()).height
    print(f"held idle {ours:.4%}, the trace's own zero activity {theirs:.4%}")  # noqa: T201 - read beside the result
    assert len(readings) - len(steps) == 7
    assert abs(ours - theirs) < 1e-4
    assert 0.6 < ours < 0.7


def test_all_of_it_is_waste_with_its_owner(steps: pl.DataFrame, lines: pl.DataFrame) -> None:
    """The waste report has each container's idle time, whole; time of which nobody knows whether it worked is not in it."""
    zero = steps.filter(pl.col("gpu_duty_cycle_pct") == 0).group_by("container").len()
    expected = {name[:8]: count * STEP_US * GPU_PARTS for name, count in zero.iter_rows()}
    found = waste(lines).group_by("workload").agg(pl.col("part_us").sum())
    assert {name: int(part_us) for name, part_us in found.iter_rows()} == expected
    unknown = steps["gpu_duty_cycle_pct"].null_count()
    assert lines.filter(state=int(State.HELD_UNOBSERVED))["held_us"].sum() == unknown * STEP_US > 0
