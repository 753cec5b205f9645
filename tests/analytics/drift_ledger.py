"""A ledger of five weeks of eight GPUs that train one workload, and of two that a notebook holds; on request one fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from collector.rating import rate_dirty
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.model import State, UsageRecord
from gpuledger.wire import BoardCondition
from tests.collector.batches import EVIDENCE, device, holder
from tests.collector.fleet import Ledger, owners, prices, usage_frame

MONDAY_US = 1_767_571_200_000_000  # 2026-01-05
DAYS = 35
CURRENT_DAY = 28
FAILING = "GPU-0003"
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n'
OWNERS = '[[owner]]\nteam = "vision"\nmatch.namespace = "train"\n[[owner]]\nteam = "lab"\nmatch.namespace = "lab"\n'


def fill(
    folder: Path,
    *,
    failing: bool = False,
    lab_from: int = 0,
    unobserved: range = range(0),
    memory_times: int = 1,
    slow: frozenset[str] | None = None,
) -> Path:
    """Write the ledger. `failing`: a GPU draws a seventh less power in the last week. `lab_from`: when the lab comes.

    `slow` are GPUs whose clock is a tenth lower in the last week; None: the agents tell no clocks and temperatures.
    On the days of `unobserved` nobody saw the notebook's GPUs. In the last week `memory_times` as much memory is in use.
    """
    rng = np.random.default_rng(3)
    devices = [device(number) for number in range(10)]
    with Ledger.open(folder, clock=VirtualClock(MONDAY_US + DAYS * US_PER_DAY)) as ledger:
        for day in range(DAYS):
            usage: list[UsageRecord] = []
            holders = [holder(1, namespace="train", pod=f"train-{day}"), holder(2, namespace="lab", pod=f"lab-{day}")]
            holders = [
                type(each)(key=f"pod:{each.pod}/c", kind="pod", namespace=each.namespace, pod=each.pod, container="c")
                for each in holders
            ]
            train, lab = (each.key for each in holders)
            busy = 0.85 + 0.03 * rng.standard_normal()
            for number in range(10):
                if number >= 8 and day in unobserved:
                    continue
                who = train if number < 8 else lab if day >= lab_from else None
                work = busy + 0.01 * rng.standard_normal() if number < 8 else 0.2 + 0.05 * rng.random()
                power_w = 90 + 560 * work + 2 * rng.standard_normal()
                if failing and devices[number].key == FAILING and day >= CURRENT_DAY:
                    power_w *= 6 / 7
                gib = (memory_times if day >= CURRENT_DAY else 1) * (10 + rng.random())
                usage += _day(devices[number].key, MONDAY_US + day * US_PER_DAY, who, work, power_w, int(gib * 2**30))
            conditions = [] if slow is None else _conditions(rng, day, slow)
            assert ledger.ingest([usage_frame(day, usage, devices, holders, conditions=tuple(conditions))])[0].taken
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        rate_dirty(ledger)
    return folder


def _conditions(rng: np.random.Generator, day: int, slow: frozenset[str]) -> list[BoardCondition]:
    """Return the hours in which the training's GPUs worked: sixty readings of about 1,900 MHz and 65 degrees each."""
    found = []
    for key in (f"GPU-{number:04d}" for number in range(8)):
        clock_mhz = int((1_900 + 8 * rng.standard_normal()) * (0.9 if key in slow and day >= CURRENT_DAY else 1.0))
        celsius = int(60 * (65 + rng.standard_normal()))
        hours = (MONDAY_US + day * US_PER_DAY + hour * US_PER_HOUR for hour in range(22))
        found += [BoardCondition(key, hour_us, 60, 60 * clock_mhz, 60, celsius) for hour_us in hours]
    return found


def _day(key: str, start_us: int, who: str | None, work: float, power_w: float, memory: int) -> list[UsageRecord]:
    """Return a record an hour: held from midnight to ten at night, free after that."""
    found = []
    for hour in range(24):
        held = who if hour < 22 else None
        start = start_us + hour * US_PER_HOUR
        fields = {
            "device": key, "holder": held, "start_us": start, "end_us": start + US_PER_HOUR, "held_us": US_PER_HOUR,
            "state": State.ACTIVE if held else State.IDLE, "reason": "" if held else "free",
            "active_us": int(US_PER_HOUR * work) if held else 0, "energy_mj": int((power_w if held else 70) * 3_600_000),
            "memory_mean_bytes": memory // 2, "memory_max_bytes": memory, "evidence": EVIDENCE,
        }  # fmt: skip
        found.append(UsageRecord(**fields))  # type: ignore[arg-type]
    return found
