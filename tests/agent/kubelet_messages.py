"""The kubelet's PodResources messages, encoded by Google's protobuf: what our own reader is compared with."""

from __future__ import annotations

from typing import Any

import pytest

descriptor_pb2 = pytest.importorskip("google.protobuf.descriptor_pb2", reason="pip install protobuf")
from google.protobuf import descriptor_pool, message_factory  # noqa: E402

_STRING, _MESSAGE, _INT64, _UINT64 = 9, 11, 3, 4
_FIELDS: dict[str, list[tuple[int, str, int | str, bool]]] = {  # number, name, type, repeated
    "ListPodResourcesResponse": [(1, "pod_resources", "PodResources", True)],
    "AllocatableResourcesResponse": [
        (1, "devices", "ContainerDevices", True),
        (2, "cpu_ids", _INT64, True),
        (3, "memory", "ContainerMemory", True),
    ],
    "PodResources": [
        (1, "name", _STRING, False),
        (2, "namespace", _STRING, False),
        (3, "containers", "ContainerResources", True),
        (4, "cpu_ids", _INT64, True),
        (5, "memory", "ContainerMemory", True),
    ],
    "ContainerResources": [
        (1, "name", _STRING, False),
        (2, "devices", "ContainerDevices", True),
        (3, "cpu_ids", _INT64, True),
        (4, "memory", "ContainerMemory", True),
        (5, "dynamic_resources", "DynamicResource", True),
    ],
    "ContainerDevices": [
        (1, "resource_name", _STRING, False),
        (2, "device_ids", _STRING, True),
        (3, "topology", "TopologyInfo", False),
    ],
    "ContainerMemory": [(1, "memory_type", _STRING, False), (2, "size", _UINT64, False)],
    "TopologyInfo": [(1, "nodes", "NUMANode", True)],
    "NUMANode": [(1, "ID", _INT64, False)],
    "DynamicResource": [
        (2, "claim_name", _STRING, False),
        (3, "claim_namespace", _STRING, False),
        (4, "claim_resources", "ClaimResource", True),
    ],
    "ClaimResource": [
        (1, "cdi_devices", "CDIDevice", True),
        (2, "driver_name", _STRING, False),
        (3, "pool_name", _STRING, False),
        (4, "device_name", _STRING, False),
        (5, "share_id", _STRING, False),
    ],
    "CDIDevice": [(1, "name", _STRING, False)],
}


def _messages() -> dict[str, Any]:
    file = descriptor_pb2.FileDescriptorProto(name="podresources.proto", package="v1", syntax="proto3")
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for number, name, kind, repeated in fields:
            field = described.field.add(name=name, number=number, label=3 if repeated else 1)
            field.type = kind if isinstance(kind, int) else _MESSAGE
            if isinstance(kind, str):
                field.type_name = f".v1.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"v1.{name}")) for name in _FIELDS}


MESSAGES = _messages()


def plugged(resource: str, *ids: str) -> Any:
    """Return a ContainerDevices, with a topology as real kubelets send it."""
    found = MESSAGES["ContainerDevices"](resource_name=resource, device_ids=ids)
    found.topology.nodes.add(ID=0)
    return found


def claimed(device: str, *, claim: str = "claim", share_id: str = "", driver: str = "gpu.nvidia.com") -> Any:
    """Return a DynamicResource with one device of pool `node-a`."""
    found = MESSAGES["DynamicResource"](claim_name=claim, claim_namespace="ns")
    resource = found.claim_resources.add(driver_name=driver, pool_name="node-a", device_name=device, share_id=share_id)
    resource.cdi_devices.add(name=f"k8s.gpu.nvidia.com/claim={claim}-{device}")
    return found


def pod(name: str, namespace: str = "ns", /, **containers: list[Any]) -> Any:
    """Return a PodResources; each container has the devices and claims in its list (`_` in names stands for `-`)."""
    found = MESSAGES["PodResources"](name=name, namespace=namespace, cpu_ids=[0, 1])
    for container, has in containers.items():
        added = found.containers.add(name=container.replace("_", "-"), cpu_ids=[2, 3])
        added.memory.add(memory_type="memory", size=2**33)
        for one in has:
            part = added.devices if one.DESCRIPTOR.name == "ContainerDevices" else added.dynamic_resources
            part.append(one)
    return found


def listing(*pods: Any) -> bytes:
    """Return an encoded ListPodResourcesResponse."""
    return MESSAGES["ListPodResourcesResponse"](pod_resources=pods).SerializeToString()


def allocatable(*devices: Any) -> bytes:
    """Return an encoded AllocatableResourcesResponse."""
    found = MESSAGES["AllocatableResourcesResponse"](devices=devices, cpu_ids=range(64))
    found.memory.add(memory_type="hugepages-2Mi", size=0)
    return found.SerializeToString()
