"""Batches for tests: a node whose devices are held whole, minute by minute, with figures that a reader can add up."""

from __future__ import annotations

from collections.abc import Sequence

from gpuledger import wire
from gpuledger.accounting.intervals import cut
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import Confidence, Device, Event, Evidence, Holder, State, UsageRecord

START_US = 1_780_000_000_000_000 // US_PER_HOUR * US_PER_HOUR
EVIDENCE = Evidence("process_cgroup", "device_utilization", "counter", "whole", Confidence.MEASURED)


def device(number: int, **changes: object) -> Device:
    """Return a whole GPU."""
    fields = {
        "key": f"GPU-{number:04d}",
        "kind": "gpu",
        "model": "NVIDIA H100 80GB HBM3",
        "memory_bytes": 85_899_345_920,
    }
    return Device(**{**fields, **changes})  # type: ignore[arg-type]


def holder(number: int, **changes: object) -> Holder:
    """Return a pod's container."""
    fields = {
        "key": f"pod:uid-{number}/c",
        "kind": "pod",
        "namespace": f"team-{number % 3}",
        "labels": {"app": "train"},
    }
    return Holder(**{**fields, **changes})  # type: ignore[arg-type]


def records(
    key: str, from_us: int, until_us: int, who: str | None = None, *, step_us: int = US_PER_MINUTE, **changes: object
) -> list[UsageRecord]:
    """Return one record a minute (or another step) of one device."""
    state = State.ACTIVE if who else State.IDLE
    found = []
    for span in cut(from_us, until_us, step_us):
        fields: dict[str, object] = {
            "device": key, "holder": who, "start_us": span.start_us, "end_us": span.end_us, "state": state,
            "reason": "" if who else "free", "held_us": span.length_us, "active_us": span.length_us // 3 if who else 0,
            "energy_mj": span.length_us // 7_000, "memory_mean_bytes": 1_000_003, "memory_max_bytes": 2_000_000,
            "evidence": EVIDENCE,
        }  # fmt: skip
        found.append(UsageRecord(**{**fields, **changes}))  # type: ignore[arg-type]
    return found


def batch(
    sequence: int,
    usage: Sequence[UsageRecord],
    *,
    agent: str = "node-a",
    boot: str = "boot-1",
    cluster: str = "c1",
    devices: Sequence[Device] = (),
    holders: Sequence[Holder] = (),
    events: Sequence[Event] = (),
    **changes: object,
) -> wire.Batch:
    """Return the batch of `usage`; devices and holders default to those that it names."""
    devices = devices or [device(int(key[4:])) for key in sorted({r.device for r in usage})]
    named = sorted({r.holder for r in usage if r.holder})
    holders = holders or [holder(int(key[8:-2])) for key in named]
    columns, evidence, reasons = wire.pack_usage(usage, devices, holders)
    energy: dict[str, int] = {}
    for r in usage:
        energy[r.device] = energy.get(r.device, 0) + (r.energy_mj or 0)
    until_us = max((r.end_us for r in usage), default=START_US)
    fields: dict[str, object] = {
        "agent": agent, "boot": boot, "sequence": sequence, "cluster": cluster, "node": agent,
        "from_us": min((r.start_us for r in usage), default=START_US), "until_us": until_us, "sealed_at_us": until_us,
        "software": "gpuledger test", "devices": tuple(devices), "holders": tuple(holders), "evidence": evidence,
        "reasons": reasons, "usage": columns, "events": tuple(events),
        "energy": tuple(wire.BoardEnergy(key, total, "e1", 0, total) for key, total in sorted(energy.items())),
    }  # fmt: skip
    return wire.Batch(**{**fields, **changes})  # type: ignore[arg-type]


def frame(sequence: int, usage: Sequence[UsageRecord], **options: object) -> bytes:
    """Return the frame of such a batch."""
    return wire.encode(batch(sequence, usage, **options), level=1)  # type: ignore[arg-type]


def minutes(sequence: int, *, gpus: int = 2, length: int = 5, agent: str = "node-a", **options: object) -> bytes:
    """Return the frame of the `sequence`-th stretch of `length` minutes of a node: GPU 0 is held, the rest are free."""
    start_us = START_US + sequence * length * US_PER_MINUTE
    usage = [
        record
        for number in range(gpus)
        for record in records(
            f"GPU-{number:04d}", start_us, start_us + length * US_PER_MINUTE, None if number else "pod:uid-1/c"
        )
    ]
    return frame(sequence, usage, agent=agent, **options)
