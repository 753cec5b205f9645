"""Small integer keys for what repeats: devices, holders, evidence, reasons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from gpuledger.model import Confidence, Device, Evidence, Holder, Workload

_V = TypeVar("_V")
_encode = msgspec.json.Encoder(order="deterministic").encode


class Place(NamedTuple):
    """Where a device is: its key is unique within a node, the node within a cluster."""

    cluster: str
    node: str
    device_key: str


class Dimension(Generic[_V]):
    """Values with their ids; new ones are kept aside until they are taken to be stored."""

    def __init__(self, identity: Callable[[_V], Hashable], known: Iterable[tuple[int, _V]] = ()) -> None:
        self._identity = identity
        self._ids = {identity(value): key for key, value in known}
        self._next = max(self._ids.values(), default=0) + 1
        self._fresh: dict[int, _V] = {}

    def id_of(self, value: _V) -> int:
        """Return the id of `value`, a new one where it was never seen."""
        identity = self._identity(value)
        known = self._ids.get(identity)
        if known is not None:
            return known
        key = self._ids[identity] = self._next
        self._fresh[key] = value
        self._next += 1
        return key

    def take_fresh(self) -> dict[int, _V]:
        """Return the values that are new since the last call, by id."""
        fresh, self._fresh = self._fresh, {}
        return fresh


def device_identity(value: tuple[Place, Device]) -> Hashable:
    """Return what makes a device itself.

    One that goes on with another size, model or pool is another one to the ledger: history is never edited.
    """
    place, device = value
    return (place, device.kind, device.model, device.parts, device.units, device.board, device.mig_profile, device.pool)


def holder_identity(value: tuple[str, Holder]) -> Hashable:
    """Return what makes a holder itself: all its attributes, so that they stay as they were at the time."""
    cluster, holder = value
    return hashlib.blake2b(_encode((cluster, holder)), digest_size=16).digest()


def device_row(device_id: int, place: Place, device: Device) -> dict[str, Any]:
    """Return the columns of a device, without its lives."""
    return {
        "device_id": device_id,
        **place._asdict(),
        "kind": device.kind,
        "model": device.model,
        "parts": device.parts,
        "units": device.units,
        "board": device.board,
        "mig_profile": device.mig_profile,
        "memory_bytes": device.memory_bytes,
        "pci_bus_id": device.pci_bus_id,
        "pool": device.pool,
    }


def device_from(row: Mapping[str, Any]) -> tuple[Place, Device]:
    """Return a stored device."""
    names = ("kind", "model", "parts", "units", "board", "mig_profile", "memory_bytes", "pci_bus_id", "pool")
    place = Place(row["cluster"], row["node"], row["device_key"])
    return place, Device(key=place.device_key, node=place.node, **{name: row[name] for name in names})


_HOLDER_FIELDS = tuple(
    name for name in Holder.__struct_fields__ if name not in ("key", "user", "labels", "workload")
)  # columns of the same name


def holder_row(holder_id: int, cluster: str, holder: Holder) -> dict[str, Any]:
    """Return the columns of a holder."""
    workload = holder.workload or Workload("")
    return {
        "holder_id": holder_id,
        "cluster": cluster,
        "holder_key": holder.key,
        "user_name": holder.user,
        "labels": _encode(holder.labels).decode(),
        **{f"workload_{name}": getattr(workload, name) for name in Workload.__struct_fields__},
        **{name: getattr(holder, name) for name in _HOLDER_FIELDS},
    }


def holder_from(row: Mapping[str, Any]) -> tuple[str, Holder]:
    """Return a stored holder."""
    workload = Workload(*(row[f"workload_{name}"] for name in Workload.__struct_fields__))
    return row["cluster"], Holder(
        key=row["holder_key"],
        user=row["user_name"],
        labels=msgspec.json.decode(row["labels"], type=dict[str, str]),
        workload=workload if workload.system else None,
        **{name: row[name] for name in _HOLDER_FIELDS},
    )


def evidence_row(evidence_id: int, evidence: Evidence) -> dict[str, Any]:
    """Return the columns of a piece of evidence."""
    return {
        "evidence_id": evidence_id,
        "holder_method": evidence.holder,
        "activity_method": evidence.activity,
        "energy_method": evidence.energy,
        "split_rule": evidence.split,
        "confidence": int(evidence.confidence),
    }


def evidence_from(row: Mapping[str, Any]) -> Evidence:
    """Return a stored piece of evidence."""
    return Evidence(
        row["holder_method"],
        row["activity_method"],
        row["energy_method"],
        row["split_rule"],
        Confidence(row["confidence"]),
    )
