"""The kubelet's PodResources messages (v1): who has which device ids, and which ids there are to give.

Field numbers as in `k8s.io/kubelet/pkg/apis/podresources/v1/api.proto`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.holders.kubernetes.protobuf import fields

SERVICE: Final = "/v1.PodResourcesLister"
LIST: Final = f"{SERVICE}/List"
GET_ALLOCATABLE: Final = f"{SERVICE}/GetAllocatableResources"
NO_ARGUMENTS: Final = b""  # both requests are empty messages


class DeviceIds(NamedTuple):
    """Ids of one resource (`nvidia.com/gpu`), in the words of its device plugin."""

    resource: str
    ids: tuple[str, ...]


class ClaimedDevice(NamedTuple):
    """A device of a resource claim (DRA): what a ResourceSlice calls it."""

    driver: str
    pool: str
    device: str
    share_id: str = ""  # not empty: one share of a device that several claims have
    claim: str = ""  # <namespace>/<name>


class ContainerDevices(NamedTuple):
    """Everything that one container was given. PodResources knows no UID of the pod."""

    namespace: str
    pod: str
    container: str
    devices: tuple[DeviceIds, ...] = ()
    claimed: tuple[ClaimedDevice, ...] = ()


def parse_list(message: bytes | bytearray) -> tuple[ContainerDevices, ...]:
    """Return the containers of a ListPodResourcesResponse that have devices. Raises MalformedMessageError."""
    return tuple(found for field in fields(message) if field.number == 1 for found in _pod(field.bytes()))


def parse_allocatable(message: bytes | bytearray) -> tuple[DeviceIds, ...]:
    """Return the devices of an AllocatableResourcesResponse. Raises MalformedMessageError."""
    return tuple(_device_ids(field.bytes()) for field in fields(message) if field.number == 1)


def _pod(message: memoryview) -> list[ContainerDevices]:
    name, namespace = "", ""
    containers: list[memoryview] = []
    for field in fields(message):
        match field.number:
            case 1:
                name = field.text()
            case 2:
                namespace = field.text()
            case 3:
                containers.append(field.bytes())
    found = [_container(container, namespace, name) for container in containers]
    return [container for container in found if container.devices or container.claimed]


def _container(message: memoryview, namespace: str, pod: str) -> ContainerDevices:
    name = ""
    devices: list[DeviceIds] = []
    claimed: list[ClaimedDevice] = []
    for field in fields(message):
        match field.number:
            case 1:
                name = field.text()
            case 2:
                devices.append(_device_ids(field.bytes()))
            case 5:
                claimed += _claim(field.bytes())
    return ContainerDevices(namespace, pod, name, tuple(devices), tuple(claimed))


def _device_ids(message: memoryview) -> DeviceIds:
    resource = ""
    ids: list[str] = []
    for field in fields(message):
        if field.number == 1:
            resource = field.text()
        elif field.number == 2:
            ids.append(field.text())
    return DeviceIds(resource, tuple(ids))


def _claim(message: memoryview) -> list[ClaimedDevice]:
    name, namespace = "", ""
    resources: list[memoryview] = []
    for field in fields(message):
        match field.number:
            case 2:
                name = field.text()
            case 3:
                namespace = field.text()
            case 4:
                resources.append(field.bytes())
    return [_claimed_device(resource, f"{namespace}/{name}") for resource in resources]


def _claimed_device(message: memoryview, claim: str) -> ClaimedDevice:
    words = {2: "", 3: "", 4: "", 5: ""}
    for field in fields(message):
        if field.number in words:
            words[field.number] = field.text()
    return ClaimedDevice(words[2], words[3], words[4], words[5], claim)
