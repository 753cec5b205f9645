"""From jobs and their GPUs to grants: whole devices, shards and MPS percentages in one unit for each device. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from agent.holders.device_index import DeviceIndex
from agent.holders.grants import Grant
from agent.holders.slurm.facts import JobFacts, holder_of
from agent.holders.slurm.order import GpuOrder
from gpuledger.accounting.split import split_exactly
from gpuledger.model import Confidence

MPS_WHOLE: Final = 100  # percent of a GPU


class Claim(NamedTuple):
    """`part` of `whole` equal parts of a device, held by a job."""

    device: str
    facts: JobFacts
    part: int
    whole: int
    method: str
    since_us: int | None = None
    until_us: int | None = None
    confidence: Confidence = Confidence.MEASURED


class Claims(NamedTuple):
    """The claims of one job; `problem` is a word for what is not known of them, empty where all is."""

    claims: tuple[Claim, ...] = ()
    problem: str = ""
    detail: str = ""


def devices_of(facts: JobFacts, order: GpuOrder, index: DeviceIndex) -> tuple[tuple[str, ...], str]:
    """Return the devices that a job was given, and what could not be told.

    Slurm's own UUIDs are taken first, where there are as many as indices: they need no order.
    """
    if facts.visible and (not facts.gpus or len(facts.visible) == len(facts.gpus)):
        by_uuid = [index.by_uuid(uuid) for uuid in facts.visible]
        if None not in by_uuid:
            return tuple(device for device in by_uuid if device is not None), ""
    found = [order.device(number, index) for number in facts.gpus]
    unknown = [number for number, device in zip(facts.gpus, found, strict=True) if device is None]
    problem = f"GPU {', '.join(unknown)} of job {facts.job} is no device that is known here" if unknown else ""
    return tuple(device for device in found if device is not None), problem


def claims_of(facts: JobFacts, order: GpuOrder, index: DeviceIndex, base: Claim) -> Claims:
    """Return what a job claims of its devices; `base` carries the method and the instants.

    Slurm's prolog does not say how many shards a job has, only its processes and the controller do: until one of them
    is heard, a job on GPUs that are cut into shards has the least that it can have, one of each.
    """
    devices, problem = devices_of(facts, order, index)
    kind = "slurm_gpu_unknown" if problem else ""
    if facts.mps_percent is not None and not 1 <= facts.mps_percent <= MPS_WHOLE:
        kind, problem = "slurm_share_unknown", f"job {facts.job} has {facts.mps_percent} % of a GPU, says Slurm"
        parts = [(1, MPS_WHOLE)] * len(devices)
    elif facts.mps_percent is not None:
        parts = [(facts.mps_percent, MPS_WHOLE)] * len(devices)
    elif facts.shards is not None and all(device in order.shards for device in devices):
        parts = _shard_parts(facts.shards, [order.shards[device] for device in devices])
    elif facts.shards is not None:
        kind, problem = (
            "slurm_share_unknown",
            f"job {facts.job} has shards of GPUs that Slurm's configuration does not cut",
        )
        parts = [(1, 1)] * len(devices)
    elif facts.gpus_on_node is None and any(device in order.shards for device in devices):
        kind, problem = "slurm_share_unknown", f"nothing says how many shards job {facts.job} has"
        parts = [(1, order.shards.get(device, 1)) for device in devices]
    else:
        parts = [(1, 1)] * len(devices)
    claims = tuple(
        base._replace(device=device, facts=facts, part=part, whole=whole)
        for device, (part, whole) in zip(devices, parts, strict=True)
        if part
    )
    return Claims(claims, kind, problem)


def grants_of(claims: Iterable[Claim]) -> tuple[tuple[Grant, ...], dict[str, int]]:
    """Return grants, and into how many replicas each device is shared out where that is more than one."""
    claims = list(claims)
    replicas: dict[str, int] = {}
    for claim in claims:
        replicas[claim.device] = math.lcm(replicas.get(claim.device, 1), claim.whole)
    grants = tuple(
        Grant(
            claim.device,
            holder_of(claim.facts),
            claim.method,
            claim.part * replicas[claim.device] // claim.whole,
            claim.since_us,
            claim.until_us,
            claim.confidence,
        )
        for claim in claims
    )
    return grants, {device: count for device, count in replicas.items() if count > 1}


def _shard_parts(shards: int, wholes: list[int]) -> list[tuple[int, int]]:
    """Return the shards on each device: Slurm says their sum; on several devices each has its share by size."""
    if not wholes:
        return []
    return list(zip(split_exactly(min(shards, sum(wholes)), wholes), wholes, strict=True))
