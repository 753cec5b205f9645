"""Device ids as Kubernetes device plugins write them, and which device of the node each one is.

| id | is |
|---|---|
| `GPU-<uuid>`, `MIG-<uuid>` | a whole GPU, a MIG instance |
| `GPU-<uuid>::N`, `MIG-<uuid>::N` | replica N of it (time-slicing or MPS: the id does not tell which) |
| `MIG-GPU-<uuid>/<gi>/<ci>` | a MIG instance, as drivers before R470 named it |
| `nvidia0`, `nvidia0/gi1` | the GPU behind /dev/nvidia0, GPU instance 1 of it (GKE) |
| `nvidia0/vgpu2`, `nvidia0/gi1/vgpu2` | a share of it (GKE) |
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from agent.holders.device_index import DeviceIndex

_UUID: Final = r"[0-9a-z-]{1,64}"
_BY_UUID: Final = re.compile(rf"(?P<uuid>(?:GPU|MIG)-{_UUID})(?:::(?P<replica>\w+))?", re.IGNORECASE)
_LEGACY_MIG: Final = re.compile(
    rf"MIG-(?P<uuid>GPU-{_UUID})/(?P<gi>\d{{1,4}})/(?P<ci>\d{{1,4}})(?:::(?P<replica>\w+))?", re.IGNORECASE
)
_GKE: Final = re.compile(r"nvidia(?P<minor>\d{1,4})(?:/gi(?P<gi>\d{1,4}))?(?:/vgpu(?P<replica>\d{1,9}))?")


class DeviceId(NamedTuple):
    """What an id says: a UUID or a minor number, perhaps an instance of it, perhaps a replica of that."""

    uuid: str = ""
    minor: int | None = None
    gpu_instance: int | None = None
    compute_instance: int | None = None
    replica: str = ""  # empty: the whole device


def parse_device_id(text: str) -> DeviceId | None:
    """Return what `text` says, or None where it is the id of no NVIDIA GPU that we know the form of."""
    if found := _BY_UUID.fullmatch(text):
        return DeviceId(uuid=found["uuid"], replica=found["replica"] or "")
    if found := _LEGACY_MIG.fullmatch(text):
        return DeviceId(found["uuid"], None, int(found["gi"]), int(found["ci"]), found["replica"] or "")
    if found := _GKE.fullmatch(text):
        instance = None if found["gi"] is None else int(found["gi"])
        return DeviceId("", int(found["minor"]), instance, None, found["replica"] or "")
    return None


def devices_named(device_id: DeviceId, index: DeviceIndex) -> tuple[str, ...]:
    """Return the keys of what can be held under that id: more than one where it names a GPU that is cut into instances.

    Empty where this node has no such device.
    """
    found = index.by_uuid(device_id.uuid) if device_id.minor is None else index.by_minor(device_id.minor)
    if found is None:
        return ()
    if device_id.gpu_instance is not None:
        instance = index.instance(found, device_id.gpu_instance, device_id.compute_instance or 0)
        return () if instance is None else (instance,)
    return index.devices_of(found) or (found,)


def matches(resource: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether a resource's name is one of the patterns (`nvidia.com/mig-*`)."""
    return any(fnmatchcase(resource, pattern) for pattern in patterns)
