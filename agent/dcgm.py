"""The names that dashboards made for dcgm-exporter read, from our readings: `[exporter] dcgm_names = true`.

Names, types, units and labels are theirs. What differs, because theirs would be added up wrongly:

- What a board has once (power, energy, temperatures, clocks, errors) stands once on a board with MIG, without
  `GPU_I_ID` and without a pod, not once more on each instance.
- On a device that several pods share, memory and utilisation are each pod's own where that is known, and everything
  else stands once without a pod: the device's value is never copied to each of them.
- What cannot be read is absent, where DCGM would write a blank value of 2^63 or so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from agent.devices.base import BoardReading, InstanceReading
from agent.metrics.devices import boards_of
from agent.metrics.family import COUNTER, GAUGE, Family, Filled, Sample
from agent.metrics.labels import labelled, quoted
from agent.observe import Observation
from agent.tallies import XID_WINDOW_US, Xids
from gpuledger.accounting.snapshot import DeviceSnapshot
from gpuledger.model import Device, Holder

LABELS: Final = (
    "gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID", "GPU_CI_ID",
    "Hostname", "DCGM_FI_DRIVER_VERSION", "container", "namespace", "pod", "hpc_job",
)  # fmt: skip
_MIB: Final = 1 << 20
_PPM_PER_PERCENT: Final = 10_000


def _field(name: str, kind: str, text: str, *labels: str, unit: str = "", additive: bool = False) -> Family:
    return Family(name, kind, text, (*LABELS, *labels), unit, additive or kind == COUNTER)


class BoardField(NamedTuple):
    """What a board has once."""

    family: Family
    of: Callable[[BoardReading], float | None]


class DeviceField(NamedTuple):
    """What a device has as a whole, whoever shares it: a board without MIG (`of_board`), or a MIG instance."""

    family: Family
    of_board: Callable[[BoardReading], float | None]
    of_instance: Callable[[InstanceReading], float | None]


BOARD_FIELDS: Final = (
    BoardField(
        _field("DCGM_FI_DEV_GPU_TEMP", GAUGE, "Temperature of the GPU (C).", unit="C"),
        lambda reading: reading.temperature_c,
    ),
    BoardField(
        _field("DCGM_FI_DEV_POWER_USAGE", GAUGE, "Power draw of the board (W).", unit="W", additive=True),
        lambda reading: None if reading.power_mw is None else reading.power_mw / 1_000,
    ),
    BoardField(
        _field("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", COUNTER, "Energy of the board (mJ).", unit="mJ"),
        lambda reading: reading.energy_mj,
    ),
)
DEVICE_FIELDS: Final[tuple[DeviceField, ...]] = ()
FB_USED: Final = _field("DCGM_FI_DEV_FB_USED", GAUGE, "Device memory in use (MiB).", unit="MiB", additive=True)
GPU_UTIL: Final = _field("DCGM_FI_DEV_GPU_UTIL", GAUGE, "Time that a kernel ran; not with MIG (%).", unit="%")
XID_LAST: Final = _field("DCGM_FI_DEV_XID_ERRORS", GAUGE, "Code of the last XID, once there was one.")
XID_COUNT: Final = _field(
    "DCGM_EXP_XID_ERRORS_COUNT", GAUGE, "XIDs in the window that ends now.", "xid", "window_size_in_ms"
)
FAMILIES: Final = (
    *(field.family for field in BOARD_FIELDS),
    *(field.family for field in DEVICE_FIELDS),
    FB_USED,
    GPU_UTIL,
    XID_LAST,
    XID_COUNT,
)
Share = tuple[str | None, float]  # a holder, or None for what is nobody's, and its part of a value


class DcgmNames:
    """Writes the families; keeps the label blocks of the last page."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._blocks: dict[tuple[str, str | None], tuple[Device, Holder | None, str, str]] = {}
        self._earlier = self._blocks

    def families(
        self, observation: Observation, holders: Mapping[str, Holder], xids: Xids, now_us: int
    ) -> list[Filled]:
        """Return the families of a reading."""
        self._earlier, self._blocks = self._blocks, {}
        driver = observation.reading.driver_version
        samples: dict[str, list[Sample]] = {family.name: [] for family in FAMILIES}
        recent = xids.recent(now_us)
        for reading, snapshots in boards_of(observation):
            board = reading.device
            board_holder = sole_holder(snapshots[0]) if len(snapshots) == 1 and not reading.mig else None
            pairs = self._pairs(board, board_holder, holders, driver)
            for field in BOARD_FIELDS:
                _add(samples[field.family.name], pairs, field.of(reading))
            last = xids.last.get(board.key, "")
            _add(samples[XID_LAST.name], pairs, int(last) if last.isdecimal() else None)
            for (key, code), count in recent.items():
                if key == board.key:
                    window = f'xid={quoted(code)},window_size_in_ms="{XID_WINDOW_US // 1_000}"'
                    _add(samples[XID_COUNT.name], f"{pairs},{window}", count)
            instances = {instance.device.key: instance for instance in reading.instances}
            for snapshot in snapshots:
                instance = instances.get(snapshot.device)
                device = instance.device if instance else board
                if reading.fault or device.kind == "remainder":
                    continue
                whole = self._pairs(device, sole_holder(snapshot), holders, driver, instance)
                for one in DEVICE_FIELDS:
                    value = one.of_instance(instance) if instance else one.of_board(reading)
                    _add(samples[one.family.name], whole, value)
                used = instance.memory_used_bytes if instance else reading.memory_used_bytes
                shared = {FB_USED: memory_shares(snapshot, used)}
                if instance is None:
                    shared[GPU_UTIL] = utilization_shares(snapshot)
                for family, shares in shared.items():
                    for holder, share in shares:
                        _add(samples[family.name], self._pairs(device, holder, holders, driver, instance), share)
        return [(family, samples[family.name]) for family in FAMILIES]

    def _pairs(
        self,
        device: Device,
        key: str | None,
        holders: Mapping[str, Holder],
        driver: str,
        instance: InstanceReading | None = None,
    ) -> str:
        """Return the pairs of a label block, written once as long as nothing in them changes."""
        holder = holders.get(key) if key is not None else None
        known = self._blocks.get((device.key, key)) or self._earlier.get((device.key, key))
        if known is None or known[0] is not device or known[1] is not holder or known[2] != driver:
            known = (device, holder, driver, _pairs(device, holder, self._node, driver, instance))
        self._blocks[device.key, key] = known
        return known[3]


def sole_holder(snapshot: DeviceSnapshot) -> str | None:
    """Return who has a device for itself."""
    return snapshot.occupants[0].holder if len(snapshot.occupants) == 1 else None


def memory_shares(snapshot: DeviceSnapshot, used_bytes: int | None) -> list[Share]:
    """Return the memory in use in MiB: of each holder where all of a shared device's are known, the rest nobody's."""
    if used_bytes is None:
        return []
    used = used_bytes // _MIB
    shares = [
        (occupant.holder, occupant.memory_bytes // _MIB)
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
        return [(found.holder, by_holder.get(found.holder, 0) / _PPM_PER_PERCENT) for found in snapshot.occupants]
    if snapshot.activity_ppm is None:
        return []
    return [(sole_holder(snapshot), snapshot.activity_ppm / _PPM_PER_PERCENT)]


def _pairs(device: Device, holder: Holder | None, node: str, driver: str, instance: InstanceReading | None) -> str:
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
    return labelled(values, values.values())


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
