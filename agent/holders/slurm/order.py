"""Slurm's numbers of GPUs into devices: which GPU index 2 is, and into how many shards it is cut. Pure.

The index is Slurm's own: neither the minor number in `/dev/nvidia<minor>` nor NVML's index. Without AutoDetect it
counts the files of gres.conf, ordered by the types in slurm.conf's `Gres=` first, then by the lines of gres.conf. With
AutoDetect=nvml it counts GPUs and MIG instances in NVML's order, which is that of the PCI bus; with AutoDetect=nvidia
it counts device files. (Seen with `slurmd -G` of 22.05; src/plugins/gres/gpu/gres_gpu.c.)
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from agent.devices.base import NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.slurm.conf import GresConf, GresRecord, NodeGres

_NVIDIA: Final = re.compile(r"nvidia(\d{1,4})", re.ASCII)
_CAP: Final = re.compile(r"nvidia-cap(\d{1,6})", re.ASCII)
_MIG_MINOR: Final = re.compile(r"gpu(\d+)/gi(\d+)/(?:ci(\d+)/)?access\s+(\d+)", re.ASCII)

MigMinors = Mapping[int, tuple[int, int, int]]  # minor of nvidia-cap -> GPU minor, GPU instance, compute instance


class Slot(NamedTuple):
    """One GPU or MIG instance as Slurm's configuration describes it."""

    type: str = ""
    files: tuple[str, ...] = ()
    uuid: str = ""


class GpuOrder(NamedTuple):
    """The devices at Slurm's indices, None where one is not here; `problem` says why there is no order."""

    devices: tuple[str | None, ...] = ()
    shards: Mapping[str, int] = {}  # of devices that are cut into any
    problem: str = ""

    def device(self, number: str, index: DeviceIndex) -> str | None:
        """Return the device that `SLURM_JOB_GPUS` means by one of its entries: an index, or since 25.11 a UUID."""
        if not number.isdigit():
            return index.by_uuid(number)
        return self.devices[int(number)] if int(number) < len(self.devices) else None

    @property
    def managed(self) -> frozenset[str]:
        """Return the devices that are Slurm's to give."""
        return frozenset(device for device in self.devices if device is not None)


NO_ORDER: Final = GpuOrder()


def parse_mig_minors(text: str) -> dict[int, tuple[int, int, int]]:
    """Return the MIG instances in `/proc/driver/nvidia-caps/mig-minors`; a GPU instance has compute instance 0."""
    found: dict[int, tuple[int, int, int]] = {}
    for gpu, gpu_instance, compute_instance, minor in _MIG_MINOR.findall(text):
        found[int(minor)] = (int(gpu), int(gpu_instance), int(compute_instance or 0))
    return found


def given_order(given: Sequence[str], index: DeviceIndex) -> GpuOrder:
    """Return the order that settings state: UUIDs or device files."""
    return GpuOrder(tuple(_device_of(Slot(files=(name,), uuid=name), index, {}) for name in given))


def decide_order(
    conf: GresConf, node: Sequence[NodeGres] | None, reading: NodeReading, index: DeviceIndex, minors: MigMinors
) -> GpuOrder:
    """Return the order that Slurm's configuration means on this node. `node` is None where slurm.conf was not found."""
    given = None if node is None else [gres for gres in node if gres.name == "gpu" and gres.number]
    if given == []:
        return GpuOrder(problem="slurm.conf gives this node no GPUs")
    records = conf.named("gpu")
    if conf.detect in ("nvml", "nvidia"):
        slots, devices = _detected(conf.detect, records, reading, index)
        wanted = len(devices) if given is None else sum(gres.number for gres in given)
        if wanted < len(devices):
            return GpuOrder(problem=f"Slurm gives {wanted} of {len(devices)} detected GPUs, and it is not known which")
    elif any(record.files or record.uuid for record in records):
        types = {record.type for record in records}
        if given is None and len(types) > 1:
            return GpuOrder(problem="gres.conf has several types of GPU, whose order is in slurm.conf")
        slots = _configured(records, given)
        devices = tuple(_device_of(slot, index, minors) for slot in slots)
    else:
        return GpuOrder(problem="gres.conf names no device files of GPUs")
    return GpuOrder(devices, _shards(conf, node, slots, devices))


def _configured(records: Iterable[GresRecord], given: Sequence[NodeGres] | None) -> tuple[Slot, ...]:
    """Return the slots of gres.conf in the order of slurm.conf's types; what slurm.conf does not count is left out."""
    slots = [slot for record in records for slot in _slots(record)]
    if given is None:
        return tuple(slots)
    ordered: list[Slot] = []
    for gres in given:
        fitting = [slot for slot in slots if not gres.type or slot.type in ("", gres.type)][: gres.number]
        ordered += fitting
        slots = [slot for slot in slots if slot not in fitting]
    return tuple(ordered)


def _slots(record: GresRecord) -> list[Slot]:
    if record.is_one_device or not record.files:
        return [Slot(record.type, record.files, record.uuid)]
    return [Slot(record.type, (file,), record.uuid) for file in record.files]


def _detected(
    detect: str, records: Iterable[GresRecord], reading: NodeReading, index: DeviceIndex
) -> tuple[tuple[Slot, ...], tuple[str | None, ...]]:
    """Return what AutoDetect finds, in its order; lines with files leave out what they do not name."""
    named = {minor for record in records for file in record.files if (minor := _minor(file)) is not None}
    boards = [board for board in reading.boards if not named or board.minor in named]
    last = len(boards)
    if detect == "nvml":
        boards.sort(key=lambda board: last if board.device.index is None else board.device.index)
    else:
        boards.sort(key=lambda board: last if board.minor is None else board.minor)
    found = [
        (Slot(files=(f"/dev/nvidia{board.minor}",), uuid=device), device)
        for board in boards
        for device in index.devices_of(board.device.key)
    ]
    return tuple(slot for slot, _ in found), tuple(device for _, device in found)


def _device_of(slot: Slot, index: DeviceIndex, minors: MigMinors) -> str | None:
    if slot.uuid and (device := index.by_uuid(slot.uuid)) is not None:
        return device
    for file in slot.files:
        cap = _CAP.search(file)
        place = minors.get(int(cap[1])) if cap else None
        if place is not None:
            board = index.by_minor(place[0])
            instance = index.instance(board, place[1], place[2]) if board else None
            if instance is not None:
                return instance
    minor = next((found for file in slot.files if (found := _minor(file)) is not None), None)
    return None if minor is None or any(_CAP.search(file) for file in slot.files) else index.by_minor(minor)


def _minor(file: str) -> int | None:
    found = _NVIDIA.fullmatch(file.rpartition("/")[2])
    return int(found[1]) if found else None


def _shards(
    conf: GresConf, node: Sequence[NodeGres] | None, slots: Sequence[Slot], devices: Sequence[str | None]
) -> dict[str, int]:
    """Return the shards of each device: as its file's line says, else the node's count spread as Slurm does."""
    counts = [0] * len(slots)
    records = conf.named("shard")
    with_files = [record for record in records if record.files]
    if with_files:
        for record in with_files:
            for at, slot in enumerate(slots):
                if set(slot.files) & set(record.files):
                    counts[at] = (record.number or len(record.files)) // len(record.files)
    else:
        given = sum(gres.number for gres in node or () if gres.name == "shard")
        left = next((record.number for record in records if record.number is not None), given)
        for at in range(len(slots)):
            counts[at] = left // (len(slots) - at)
            left -= counts[at]
    return {device: count for device, count in zip(devices, counts, strict=True) if device is not None and count}
