"""Devices of resource claims (DRA): their names, and what the ResourceSlices of this node say of them. Pure.

The driver names a device by minor numbers, not by NVML's order, and a MIG instance that it makes on demand has no UUID
in its slice: parent and placement tell which one it is.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgspec

from agent.holders.device_index import DeviceIndex
from agent.holders.kubernetes import defaults

_GPU: Final = re.compile(r"gpu-(?P<minor>\d{1,4})")
_MIG: Final = re.compile(r"gpu-(?P<minor>\d{1,4})-mig-.+-(?P<profile_id>\d{1,4})-(?P<start>\d{1,4})")


class SliceDevice(NamedTuple):
    """What a ResourceSlice says of a device; empty where it does not say."""

    kind: str = ""  # gpu, mig, vfio
    uuid: str = ""
    parent_uuid: str = ""
    profile: str = ""


DeviceName = tuple[str, str, str]  # driver, pool, device


class _Value(msgspec.Struct, frozen=True):
    string: str | None = None


class _Basic(msgspec.Struct, frozen=True):
    attributes: dict[str, _Value] | None = None


class _Device(msgspec.Struct, frozen=True):
    name: str = ""
    attributes: dict[str, _Value] | None = None
    basic: _Basic | None = None  # up to v1beta1


class _Pool(msgspec.Struct, frozen=True):
    name: str = ""
    generation: int = 0


class _Spec(msgspec.Struct, frozen=True):
    driver: str = ""
    pool: _Pool = _Pool()
    devices: list[_Device] | None = None


class _Slice(msgspec.Struct, frozen=True):
    spec: _Spec = _Spec()


class _SliceList(msgspec.Struct, frozen=True):
    items: list[_Slice] = []


_DECODER: Final[msgspec.json.Decoder[Any]] = msgspec.json.Decoder(_SliceList)


def parse_slices(body: bytes, drivers: tuple[str, ...] = defaults.DRIVERS) -> dict[DeviceName, SliceDevice]:
    """Return the devices of a list of ResourceSlices, of the newest generation of each pool.

    Raises msgspec.DecodeError where it is none.
    """
    specs = [one.spec for one in _DECODER.decode(body).items if one.spec.driver in drivers]
    newest: dict[tuple[str, str], int] = {}
    for spec in specs:
        pool = (spec.driver, spec.pool.name)
        newest[pool] = max(newest.get(pool, 0), spec.pool.generation)
    return {
        (spec.driver, spec.pool.name, device.name): _described(device)
        for spec in specs
        if spec.pool.generation == newest[spec.driver, spec.pool.name]
        for device in spec.devices or ()
    }


def _described(device: _Device) -> SliceDevice:
    attributes = device.attributes or (device.basic.attributes if device.basic else None) or {}
    said = {name.rpartition("/")[2]: value.string or "" for name, value in attributes.items()}
    return SliceDevice(said.get("type", ""), said.get("uuid", ""), said.get("parentUUID", ""), said.get("profile", ""))


def claimed_devices(name: str, described: SliceDevice | None, index: DeviceIndex) -> tuple[str, ...]:
    """Return the keys of what can be held of a claimed device; empty where this node has no such device (any more)."""
    if described is not None and described.uuid:
        found = index.by_uuid(described.uuid)
        return () if found is None else (index.devices_of(found) or (found,))
    if mig := _MIG.fullmatch(name):
        parent = index.by_uuid(described.parent_uuid) if described and described.parent_uuid else None
        board = parent or index.by_minor(int(mig["minor"]))
        instance = index.placed_at(board, int(mig["start"])) if board else None
        return () if instance is None else (instance,)
    if gpu := _GPU.fullmatch(name):
        board = index.by_minor(int(gpu["minor"]))
        return () if board is None else index.devices_of(board)
    return ()
