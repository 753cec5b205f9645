"""Cost of metering one device-snapshot, against an empty loop that only builds the same usage records."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator

from gpuledger.accounting.meter import Meter
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant, Snapshot
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import Evidence, State, UsageRecord

BOARDS = 40
MINUTES = 500
START_US = 1_780_000_000_000_000 // US_PER_HOUR * US_PER_HOUR
_EVIDENCE = Evidence("process_cgroup", "device_utilization", "counter", "whole")


def fleet(minutes: int) -> list[Snapshot]:
    """Return a fleet of whole GPUs at each minute: three in four held by one holder that works most of the time."""
    return [Snapshot(START_US + at * US_PER_MINUTE, tuple(_boards(at))) for at in range(minutes + 1)]


def _boards(at: int) -> Iterator[BoardSnapshot]:
    for index in range(BOARDS):
        key = f"GPU-{index:08d}"
        held = (at // 60 + index) % 4
        busy = held and (at + index) % 10 < 7
        occupants = (Occupant(f"slurm:{at // 60}.{index}", 1, 40 << 30, None, "process_cgroup"),) if held else ()
        device = DeviceSnapshot(key, occupants=occupants, activity_ppm=870_000 if busy else 0)
        yield BoardSnapshot(key, (device,), "boot", at * 18_000_000 + index, None, 70_000)


def meter(snapshots: list[Snapshot]) -> int:
    """Meter all snapshots; return how many records came out."""
    metered = Meter(5 * US_PER_MINUTE)
    return sum(len(metered.observe(snapshot).records) for snapshot in snapshots)


def build(snapshots: list[Snapshot]) -> int:
    """Build one record a device-snapshot and nothing else: the baseline."""
    built = 0
    for snapshot in snapshots:
        at_us = snapshot.at_us
        built += len(
            [
                UsageRecord(
                    board.board,
                    "slurm:1.0",
                    at_us,
                    at_us + US_PER_MINUTE,
                    State.ACTIVE,
                    "",
                    US_PER_MINUTE,
                    870_000,
                    18_000_000,
                    40 << 30,
                    40 << 30,
                    _EVIDENCE,
                )
                for board in snapshot.boards
            ]
        )
    return built


def run() -> dict[str, float]:
    """Return microseconds per device-snapshot of meter and baseline (best of five, interleaved), and their ratio."""
    snapshots = fleet(MINUTES)
    device_snapshots = BOARDS * MINUTES
    meter_us, build_us = float("inf"), float("inf")
    for _ in range(5):
        build_us = min(build_us, _elapsed_us(build, snapshots[1:]) / device_snapshots)
        meter_us = min(meter_us, _elapsed_us(meter, snapshots) / device_snapshots)
    return {
        "device_snapshots": device_snapshots,
        "meter_us_per_device_snapshot": round(meter_us, 3),
        "baseline_us_per_device_snapshot": round(build_us, 3),
        "ratio": round(meter_us / build_us, 2),
        "history_40_gpus_30_days_s": round(meter_us * 40 * 30 * 1440 / 1e6, 1),
    }


def _elapsed_us(work: Callable[[list[Snapshot]], int], snapshots: list[Snapshot]) -> float:
    gc.collect()
    began = time.perf_counter()
    rows = work(snapshots)
    elapsed_us = (time.perf_counter() - began) * 1e6
    if rows < BOARDS * MINUTES:
        raise SystemExit(f"only {rows} records came out")
    return elapsed_us


if __name__ == "__main__":
    for name, value in run().items():
        print(f"{name:36} {value}")
