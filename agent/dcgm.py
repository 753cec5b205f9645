"""The names that dashboards made for dcgm-exporter read, from our readings: `[exporter] dcgm_names = true`.

Names, types, units and labels are theirs. What differs, because theirs would be added up wrongly:

- What a board has once (power, energy, temperatures, clocks, errors) stands once on a board with MIG, without
  `GPU_I_ID` and without a pod, not once more on each instance.
- On a device that several pods share, memory and utilisation are each pod's own where that is known, and everything
  else stands once without a pod: the device's value is never copied to each of them.
- What cannot be read is absent, where DCGM would write a blank value of 2^63 or so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.dcgm_fields import (
    BOARD_FIELDS,
    DEVICE_FIELDS,
    FAMILIES,
    FB_USED,
    GPU_UTIL,
    MIB,
    PPM_PER_PERCENT,
    XID_COUNT,
    XID_LAST,
)
from agent.devices.base import BoardReading, InstanceReading
from agent.metrics.devices import boards_of
from agent.metrics.family import Family, Filled, Sample
from agent.metrics.labels import labelled, quoted
from agent.observe import Observation
from agent.tallies import XID_WINDOW_US, Xids
from gpuledger.accounting.snapshot import DeviceSnapshot
from gpuledger.model import Device, Holder

Share = tuple[str | None, float]  # a holder, or None for what is nobody's, and its part of a value
_WINDOW: Final = f'window_size_in_ms="{XID_WINDOW_US // 1_000}"'


class DcgmNames:
    """Writes the families; keeps the label blocks of the last page."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._known: dict[tuple[str, str | None], tuple[Device, Holder | None, str, str]] = {}

    def families(
        self, observation: Observation, holders: Mapping[str, Holder], xids: Xids, now_us: int
    ) -> list[Filled]:
        """Return the families of a reading."""
        page = _Page(self._node, observation.reading.driver_version, holders, self._known)
        recent = xids.recent(now_us)
        for reading, snapshots in boards_of(observation):
            page.add_board(reading, snapshots)
            page.add_xids(reading.device, xids.last.get(reading.device.key, ""), recent)
            instances = {instance.device.key: instance for instance in reading.instances}
            for snapshot in snapshots:
                if not reading.fault:
                    page.add_device(reading, instances.get(snapshot.device), snapshot)
        self._known = page.blocks
        return [(family, page.samples[family.name]) for family in FAMILIES]


class _Page:
    """One page in the making."""

    def __init__(
        self,
        node: str,
        driver: str,
        holders: Mapping[str, Holder],
        known: dict[tuple[str, str | None], tuple[Device, Holder | None, str, str]],
    ) -> None:
        self.samples: dict[str, list[Sample]] = {family.name: [] for family in FAMILIES}
        self.blocks: dict[tuple[str, str | None], tuple[Device, Holder | None, str, str]] = {}
        self._node = node
        self._driver = driver
        self._holders = holders
        self._known = known

    def add_board(self, reading: BoardReading, snapshots: tuple[DeviceSnapshot, ...]) -> None:
        """Add what a board has once; without MIG whoever has it for himself stands beside it."""
        holder = None if reading.mig or len(snapshots) != 1 else sole_holder(snapshots[0])
        block = self._block(reading.device, holder, None)
        for family, value_of in BOARD_FIELDS:
            self._add(family, block, value_of(reading))

    def add_xids(self, board: Device, last: str, recent: Mapping[tuple[str, str], int]) -> None:
        """Add the board's last XID and its latest ones."""
        block = self._block(board, None, None)
        self._add(XID_LAST, block, int(last) if last.isdecimal() else None)
        for (key, code), count in recent.items():
            if key == board.key:
                self._add(XID_COUNT, f"{block[:-1]},xid={quoted(code)},{_WINDOW}}}", count)

    def add_device(self, reading: BoardReading, instance: InstanceReading | None, snapshot: DeviceSnapshot) -> None:
        """Add what a board without MIG has, or an instance; not what is left over."""
        device = instance.device if instance else reading.device
        if device.kind == "remainder":
            return
        block = self._block(device, sole_holder(snapshot), instance)
        for family, of_board, of_instance in DEVICE_FIELDS:
            self._add(family, block, of_instance(instance) if instance else of_board(reading))
        used = instance.memory_used_bytes if instance else reading.memory_used_bytes
        self._add_shares(FB_USED, memory_shares(snapshot, used), device, instance)
        if instance is None:
            self._add_shares(GPU_UTIL, utilization_shares(snapshot), device, None)

    def _add(self, family: Family, block: str, value: float | None) -> None:
        if value is not None:
            self.samples[family.name].append((block, value))

    def _add_shares(
        self, family: Family, shares: list[Share], device: Device, instance: InstanceReading | None
    ) -> None:
        """Add each pod's share; those of holders that are no pods, and nobody's, are one."""
        sums: dict[str, float] = {}
        for holder, share in shares:
            block = self._block(device, holder, instance)
            sums[block] = sums.get(block, 0) + share
        self.samples[family.name] += sums.items()

    def _block(self, device: Device, key: str | None, instance: InstanceReading | None) -> str:
        """Return a label block, written once as long as nothing in it changes."""
        holder = self._holders.get(key) if key is not None else None
        known = self.blocks.get((device.key, key)) or self._known.get((device.key, key))
        if known is None or known[0] is not device or known[1] is not holder or known[2] != self._driver:
            known = (device, holder, self._driver, _block(device, holder, self._node, self._driver, instance))
        self.blocks[device.key, key] = known
        return known[3]


def sole_holder(snapshot: DeviceSnapshot) -> str | None:
    """Return who has a device for itself."""
    return snapshot.occupants[0].holder if len(snapshot.occupants) == 1 else None


def memory_shares(snapshot: DeviceSnapshot, used_bytes: int | None) -> list[Share]:
    """Return the memory in use in MiB: of each holder where all of a shared device's are known, the rest nobody's."""
    if used_bytes is None:
        return []
    used = used_bytes // MIB
    shares = [
        (occupant.holder, occupant.memory_bytes // MIB)
        for occupant in snapshot.occupants
        if occupant.memory_bytes is not None
    ]
    rest = used - sum(share for _, share in shares)
    if len(snapshot.occupants) < 2 or len(shares) < len(snapshot.occupants) or rest < 0:
        return [(sole_holder(snapshot), used)]
    return [*shares, (None, rest)]


def utilization_shares(snapshot: DeviceSnapshot) -> list[Share]:
    """Return the utilisation in percent: of each holder where a shared device's is known by holder."""
    by_holder = snapshot.holder_activity_ppm
    if by_holder is not None and len(snapshot.occupants) > 1:
        return [(found.holder, by_holder.get(found.holder, 0) / PPM_PER_PERCENT) for found in snapshot.occupants]
    if snapshot.activity_ppm is None:
        return []
    return [(sole_holder(snapshot), snapshot.activity_ppm / PPM_PER_PERCENT)]


def _block(device: Device, holder: Holder | None, node: str, driver: str, instance: InstanceReading | None) -> str:
    index = "" if device.index is None else str(device.index)
    values = {
        "gpu": index,
        "UUID": device.board or device.key,
        "pci_bus_id": device.pci_bus_id,
        "device": f"nvidia{index}",
        "modelName": device.model,
    }
    if instance is not None:
        values |= _instance_labels(instance)
    values |= {
        "Hostname": node,
        "DCGM_FI_DRIVER_VERSION": driver,
        "container": holder.container if holder else "",
        "namespace": holder.namespace if holder else "",
        "pod": holder.pod if holder else "",
    }
    if holder is not None and holder.slurm_job:
        values["hpc_job"] = holder.slurm_job
    return f"{{{labelled(values, values.values())}}}"


def _instance_labels(instance: InstanceReading) -> dict[str, str]:
    """Return what tells a MIG instance from its neighbours: compute instances of one GPU instance need one more."""
    device, number = instance.device, instance.gpu_instance
    labels = {"GPU_I_PROFILE": device.mig_profile, "GPU_I_ID": device.key if number is None else str(number)}
    if number is not None and "c." in device.mig_profile:
        labels["GPU_CI_ID"] = str(instance.compute_instance)
    return labels


def _add(samples: list[Sample], pairs: str, value: float | None) -> None:
    if value is not None:
        samples.append((f"{{{pairs}}}", value))
