"""Fleets at random: devices and pools with three hours of records, cut anywhere, shared and with gaps."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.model import Device, Holder, State, UsageRecord
from tests.collector.batches import EVIDENCE, START_US

MODEL = "NVIDIA A100-SXM4-40GB"
DEVICES = (
    Device(key="GPU-a", kind="gpu", model=MODEL, pool="train"),
    Device(key="MIG-b", kind="mig", model=MODEL, parts=120, board="GPU-b", mig_profile="1g.5gb"),
    Device(key="GPU-b/remainder", kind="remainder", model=MODEL, parts=720, board="GPU-b"),
    Device(key="GPU-c", kind="gpu", model="Tesla T4"),
)
POOL = Device(key="pool:c1/batch", kind="pool", model="Tesla T4", units=3)
UNSIZED = Device(key="pool:c1/cloud", kind="pool", model="Tesla T4", units=None)
HOLDERS = tuple(
    Holder(key=f"slurm:{n}.0", kind="slurm_job", slurm_account=f"acct{n % 2}", user=f"u{n}") for n in range(4)
)
BOOK = """
currency = "EUR"
[[price]]
model = "NVIDIA A100*"
rate = "{rate}"
to = {middle}
[[price]]
model = "NVIDIA A100*"
rate = "2.71"
from = {middle}
[[price]]
model = "NVIDIA A100*"
mig_profile = "1g.5gb"
rate = "0.4"
from = {middle}
"""
HOUR = US_PER_HOUR


@st.composite
def intervals(draw: st.DrawFn, device: Device) -> list[UsageRecord]:
    """Return records of one device over three hours, cut anywhere, with gaps, shared by up to three holders."""
    inner = draw(st.sets(st.integers(1, 3 * HOUR - 1), max_size=6))
    bounds = sorted({0, 3 * HOUR, *inner, HOUR, 2 * HOUR})
    found: list[UsageRecord] = []
    for start, end in itertools.pairwise(bounds):
        if draw(st.integers(0, 4)) == 0:
            continue  # a gap
        count = draw(st.integers(0, 3))
        who: list[str | None] = [h.key for h in draw(st.permutations(HOLDERS))[:count]] or [None]
        weights = draw(st.lists(st.integers(0, 5), min_size=len(who), max_size=len(who)))
        for key, held_us in zip(who, split_exactly(end - start, weights), strict=True):
            found.append(draw(record(device, key, START_US + start, START_US + end, held_us)))
    return found


@st.composite
def jobs(draw: st.DrawFn, device: Device) -> list[UsageRecord]:
    """Return what jobs held of a pool: several GPUs at a time, overlapping, sometimes more than there are.

    No two have the same interval: one that alone holds more than there is would be refused as a batch.
    """
    found: list[UsageRecord] = []
    taken: set[tuple[int, int]] = set()
    for holder in HOLDERS:
        hour = draw(st.integers(0, 2)) * HOUR
        start, end = sorted(draw(st.sets(st.integers(0, HOUR), min_size=2, max_size=2)))
        if (hour + start, hour + end) in taken:
            continue
        taken.add((hour + start, hour + end))
        gpus = draw(st.integers(1, 2))
        held_us = gpus * (end - start)
        found.append(
            UsageRecord(
                device.key, holder.key, START_US + hour + start, START_US + hour + end, State.HELD_UNOBSERVED, "",
                held_us, None, None, None, None, EVIDENCE,
            )
        )  # fmt: skip
    return found


@st.composite
def record(draw: st.DrawFn, device: Device, who: str | None, start_us: int, end_us: int, held_us: int) -> UsageRecord:
    """Return one share of an interval in a state that fits."""
    if who is None:
        state, reason = draw(
            st.sampled_from(
                [
                    (State.IDLE, "free"),
                    (State.IDLE, "stranded"),
                    (State.UNAVAILABLE, "gpu_lost"),
                    (State.UNOBSERVED, "no_data"),
                ]
            )
        )
        active_us = None if state is State.UNOBSERVED else 0
    else:
        state, reason = draw(
            st.sampled_from([(State.ACTIVE, ""), (State.HELD_IDLE, "memory_held"), (State.HELD_UNOBSERVED, "")])
        )
        active_us = {State.ACTIVE: draw(st.integers(0, held_us)), State.HELD_IDLE: 0}.get(state)
    energy_mj = draw(st.none() | st.integers(0, 10_000))
    return UsageRecord(
        device.key, who, start_us, end_us, state, reason, held_us, active_us, energy_mj, None, None, EVIDENCE
    )


@st.composite
def fleets(draw: st.DrawFn) -> list[tuple[Device, list[UsageRecord]]]:
    """Return a few devices with their records."""
    whole = draw(st.lists(st.sampled_from(DEVICES), min_size=1, max_size=3, unique=True))
    found = [(device, draw(intervals(device))) for device in whole]
    return found + [(device, draw(jobs(device))) for device in (POOL, UNSIZED) if draw(st.booleans())]
