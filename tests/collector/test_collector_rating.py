"""Rating in the ledger: the same charges as the pure reference, whatever arrives in whatever order."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.ledger.store import Ledger
from collector.pricing.imports import import_owners, import_prices
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.pricebook import Priced
from gpuledger.accounting.rating import UsageHour, complete, rate_device_hour
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.clock import VirtualClock
from gpuledger.model import Device, Holder, State, UsageRecord
from tests.collector.batches import EVIDENCE, START_US, batch, frame, records
from tests.collector.fleet import charges, open_ledger, owners, prices, usage_frame

MODEL = "NVIDIA A100-SXM4-40GB"
DEVICES = (
    Device(key="GPU-a", kind="gpu", model=MODEL, pool="train"),
    Device(key="MIG-b", kind="mig", model=MODEL, parts=120, board="GPU-b", mig_profile="1g.5gb"),
    Device(key="GPU-b/remainder", kind="remainder", model=MODEL, parts=720, board="GPU-b"),
    Device(key="GPU-c", kind="gpu", model="Tesla T4"),
)
POOL = Device(key="pool:c1/batch", kind="pool", model="Tesla T4", units=3)
UNSIZED = Device(key="pool:c1/cloud", kind="pool", model="Tesla T4", units=None)
HOLDERS = tuple(Holder(key=f"slurm:{n}.0", kind="slurm_job", slurm_account=f"acct{n % 2}", user=f"u{n}") for n in range(4))
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
    for start, end in zip(bounds, bounds[1:], strict=False):
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
    """Return what jobs held of a pool: several GPUs at a time, overlapping, sometimes more than there are."""
    found: list[UsageRecord] = []
    for holder in HOLDERS:
        hour = draw(st.integers(0, 2)) * HOUR
        start, end = sorted(draw(st.sets(st.integers(0, HOUR), min_size=2, max_size=2)))
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
            st.sampled_from([(State.IDLE, "free"), (State.UNAVAILABLE, "gpu_lost"), (State.UNOBSERVED, "no_data")])
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


def expected(fleet: list[tuple[Device, list[UsageRecord]]], book: Any, known_until_us: int) -> set[tuple[Any, ...]]:
    """Return the charges of a fleet by the pure reference."""
    found: set[tuple[Any, ...]] = set()
    for device, usage in fleet:
        if not usage:
            continue
        from_us = min(r.start_us for r in usage)
        until_us = max(r.end_us for r in usage) if device.kind == "pool" else known_until_us
        by_hour: dict[int, list[UsageHour]] = defaultdict(list)
        for r in usage:
            by_hour[r.start_us // HOUR * HOUR].append(
                UsageHour(r.holder, r.state, r.reason, r.held_us, r.active_us or 0, r.held_us if r.active_us is None else 0)
            )
        for hour_us in range(from_us // HOUR * HOUR, until_us, HOUR):
            elapsed_us = min(until_us, hour_us + HOUR) - max(from_us, hour_us)
            capacity_us = None if device.units is None else elapsed_us * device.units
            rows = complete(by_hour[hour_us], capacity_us=capacity_us, pool=device.kind == "pool")
            asked = Priced(device.model, device.parts, device.mig_profile, device.pool, "c1")
            price = book.price(asked, hour_us)
            for charge in rate_device_hour(rows, price.rate_quanta if price else None):
                found.add((hour_us, device.key, *charge.usage, charge.cost_quanta, charge.active_cost_quanta))
    return found


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets(), rate=st.decimals("0", "99", places=9), data=st.data())
def test_the_statement_gives_the_charges_of_the_reference(
    fleet: list[tuple[Device, list[UsageRecord]]], rate: Decimal, data: st.DataObject
) -> None:
    """For any usage and rates, the charges in the ledger are those of gpuledger.accounting.rating, to the quantum."""
    text = BOOK.format(rate=f"{rate:.9f}", middle=iso(START_US + HOUR))
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        known_until_us = START_US
        ledger_prices = prices(ledger, text)
        for sequence, (device, usage) in enumerate(data.draw(st.permutations([item for item in fleet if item[1]]))):
            assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
            known_until_us = max([known_until_us, *(r.end_us for r in usage)])
            if data.draw(st.booleans()):
                rate_dirty(ledger, hours_per_pass=data.draw(st.integers(1, 4)))
        rate_dirty(ledger)
        rows = charges(ledger)
    found = {
        (r["hour_us"], r["device"], r["holder"], r["state"], r["reason"], r["held_us"], r["active_us"],
         r["active_unknown_us"], r["cost_quanta"], r["active_cost_quanta"])
        for r in rows
    }  # fmt: skip
    assert len(found) == len(rows)
    assert found == expected(fleet, ledger_prices, known_until_us)
