"""Every form of device id, and every name of a claimed device, leads to the device that it means or to none."""

from __future__ import annotations

import logging

import pytest

from agent.devices.base import BoardReading, InstanceReading
from agent.holders.device_index import DeviceIndex
from agent.holders.kubernetes.assignments import BY_CLAIM, BY_PLUGIN, Assigned, Assignments
from agent.holders.kubernetes.device_ids import DeviceId, devices_named, matches, parse_device_id
from agent.holders.kubernetes.dra import SliceDevice, claimed_devices, parse_slices
from agent.holders.kubernetes.podresources import ClaimedDevice, ContainerDevices, DeviceIds
from gpuledger.model import Device
from tests.agent.nodes import MODEL, node

A = "GPU-8d6a3f0e-1b7a-4c0c-9d42-0f6b1e2c3a4b"
B = "GPU-fd1c9a77-52e5-4a35-8d9e-76b0c3d1e2f4"
MIG1 = "MIG-4e9fed73-e2a4-512f-ad8e-e7bb75aa920e"
MIG2 = "MIG-24c6a0e5-fe28-53ac-9537-c4e23104f30f"


def whole(key: str, index: int, minor: int) -> BoardReading:
    return BoardReading(Device(key=key, kind="gpu", model=MODEL, index=index), minor=minor)


def cut(key: str, index: int, minor: int) -> BoardReading:
    """Return a GPU cut into instance 1 (at slice 4) and instance 2 (at slice 0), the rest left over."""
    instances = [
        InstanceReading(
            Device(key=name, kind="mig", model=MODEL, board=key),
            None,
            (),
            gpu_instance=gi,
            compute_instance=0,
            placement_start=start,
        )
        for name, gi, start in ((MIG1, 1, 4), (MIG2, 2, 0))
    ]
    rest = InstanceReading(Device(key=f"{key}/remainder", kind="remainder", model=MODEL, board=key), None, ())
    return BoardReading(
        Device(key=key, kind="gpu", model=MODEL, index=index), mig=True, minor=minor, instances=(*instances, rest)
    )


INDEX = DeviceIndex(node(whole(A, index=0, minor=3), cut(B, index=1, minor=0)))  # a minor number is not an index


@pytest.mark.parametrize(
    ("text", "says", "devices"),
    [
        (A, DeviceId(A), (A,)),
        (A.lower(), DeviceId(A.lower()), (A,)),
        (f"{A}::0", DeviceId(A, replica="0"), (A,)),
        (f"{A}::17", DeviceId(A, replica="17"), (A,)),
        (MIG1, DeviceId(MIG1), (MIG1,)),
        (f"{MIG1}::3", DeviceId(MIG1, replica="3"), (MIG1,)),
        (f"MIG-{B}/1/0", DeviceId(B, None, 1, 0), (MIG1,)),
        (f"MIG-{B}/2/0::1", DeviceId(B, None, 2, 0, "1"), (MIG2,)),
        (f"MIG-{B}/9/0", DeviceId(B, None, 9, 0), ()),
        (f"MIG-{A}/1/0", DeviceId(A, None, 1, 0), ()),
        ("nvidia3", DeviceId(minor=3), (A,)),
        ("nvidia3/vgpu1", DeviceId(minor=3, replica="1"), (A,)),
        ("nvidia0/gi1", DeviceId(minor=0, gpu_instance=1), (MIG1,)),
        ("nvidia0/gi2/vgpu12", DeviceId(minor=0, gpu_instance=2, replica="12"), (MIG2,)),
        ("nvidia0/gi7", DeviceId(minor=0, gpu_instance=7), ()),
        ("nvidia1", DeviceId(minor=1), ()),  # an index, but no minor number
        (B, DeviceId(B), (MIG1, MIG2)),  # a GPU that has been cut: what can be held of it
        ("GPU-00000000-0000-0000-0000-000000000000", DeviceId("GPU-00000000-0000-0000-0000-000000000000"), ()),
        ("MIG-1c8b-1-0", DeviceId("MIG-1c8b-1-0"), ()),
    ],
)
def test_an_id_leads_to_its_device(text: str, says: DeviceId, devices: tuple[str, ...]) -> None:
    """Each form says what it says, and names what can be held under it on this node."""
    assert parse_device_id(text) == says
    assert devices_named(says, INDEX) == devices


@pytest.mark.parametrize(
    "text", ["", "GPU-", "0", "nvidia", "nvidia0/", "nvidia0/gi", "nvidia00000", f"{A}::", f"{A}::0::1", f" {A}", "mlx5_0", "nvidia-1", f"MIG-{A}/1", "GPU-../../x"]
)  # fmt: skip
def test_other_ids_say_nothing(text: str) -> None:
    """What has none of the forms is not stretched into one."""
    assert parse_device_id(text) is None


def test_resource_names_are_patterns() -> None:
    """The usual four take whole, shared, sliced and shared slices, and no other vendor's or kind."""
    usual = Assignments()._resources
    names = ["nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-1g.10gb", "nvidia.com/mig-1g.10gb.me.shared"]
    assert all(matches(name, usual) for name in names)
    assert not any(matches(name, usual) for name in ["amd.com/gpu", "nvidia.com/gpumem", "nvidia.com/GPU", "cpu"])
    assert matches("example.com/a100", ("example.com/*",))


@pytest.mark.parametrize(
    ("name", "described", "devices"),
    [
        ("gpu-3", None, (A,)),
        ("gpu-3", SliceDevice("gpu", A), (A,)),
        ("gpu-7", SliceDevice("gpu", A), (A,)),  # the slice knows better than the name
        ("gpu-1", None, ()),
        ("gpu-0", SliceDevice("gpu", B), (MIG1, MIG2)),
        ("gpu-0-mig-1g10gb-19-4", None, (MIG1,)),
        ("gpu-0-mig-1g-10gb-me-20-0", None, (MIG2,)),
        ("gpu-0-mig-1g10gb-19-4", SliceDevice("mig", "", B, "1g.10gb"), (MIG1,)),
        ("gpu-9-mig-1g10gb-19-4", SliceDevice("mig", "", B, "1g.10gb"), (MIG1,)),
        ("gpu-9-mig-1g10gb-19-4", SliceDevice("mig", MIG2), (MIG2,)),
        ("gpu-0-mig-1g10gb-19-2", None, ()),
        ("gpu-3-mig-1g10gb-19-0", None, ()),
        ("gpu-5", SliceDevice("gpu", "GPU-gone"), ()),
        ("gpu-vfio-0", SliceDevice("vfio"), ()),
        ("", None, ()),
    ],
)
def test_a_claimed_device_is_found(name: str, described: SliceDevice | None, devices: tuple[str, ...]) -> None:
    """By the UUID in its slice; without one by parent and placement, or by minor number, never by index."""
    assert claimed_devices(name, described, INDEX) == devices


SLICES = b"""{"kind": "ResourceSliceList", "items": [
 {"metadata": {"name": "old"}, "spec": {"driver": "gpu.nvidia.com", "nodeName": "n", "pool": {"name": "n", "generation": 1},
  "devices": [{"name": "gpu-9", "attributes": {"uuid": {"string": "GPU-old"}}}]}},
 {"spec": {"driver": "gpu.nvidia.com", "nodeName": "n", "pool": {"name": "n", "generation": 2, "resourceSliceCount": 2},
  "devices": [{"name": "gpu-0", "attributes": {"type": {"string": "gpu"}, "uuid": {"string": "GPU-0"}, "minor": {"int": 0},
    "driverVersion": {"version": "580.1.0"}, "resource.kubernetes.io/pcieRoot": {"string": "pci0000:00"}}, "capacity": {"memory": {"value": "80Gi"}}}]}},
 {"spec": {"driver": "gpu.nvidia.com", "pool": {"name": "n", "generation": 2},
  "devices": [{"name": "gpu-1-mig-1g10gb-19-0", "basic": {"attributes": {"gpu.nvidia.com/type": {"string": "mig"}, "parentUUID": {"string": "GPU-1"}, "profile": {"string": "1g.10gb"}}}}]}},
 {"spec": {"driver": "other.example.com", "pool": {"name": "n"}, "devices": [{"name": "x"}]}},
 {"spec": {"driver": "gpu.nvidia.com", "pool": {"name": "empty"}}}
]}"""


def test_slices_tell_of_devices_in_every_version() -> None:
    """Attributes stand on the device (v1) or under `basic` (v1beta1), with or without a domain; old generations are void."""
    assert parse_slices(SLICES) == {
        ("gpu.nvidia.com", "n", "gpu-0"): SliceDevice("gpu", "GPU-0"),
        ("gpu.nvidia.com", "n", "gpu-1-mig-1g10gb-19-0"): SliceDevice("mig", "", "GPU-1", "1g.10gb"),
    }
    assert parse_slices(b"{}") == {}


def container(*devices: tuple[str, ...], claims: tuple[ClaimedDevice, ...] = ()) -> ContainerDevices:
    return ContainerDevices("ns", "p", "c", tuple(DeviceIds(name, ids) for name, *ids in devices), claims)  # type: ignore[arg-type]


def test_replicas_of_a_device_add_up() -> None:
    """Several entries of one resource, several ids of one device: each id is one replica."""
    has = container(
        ("nvidia.com/gpu.shared", f"{A}::0", f"{A}::3"),
        ("nvidia.com/gpu.shared", f"{A}::5"),
        ("nvidia.com/mig-1g.10gb", MIG1),
        ("nvidia.com/mig-1g.10gb", MIG2),
    )
    assert Assignments().of_container(has, INDEX) == [
        Assigned(A, 3, BY_PLUGIN),
        Assigned(MIG1, 1, BY_PLUGIN),
        Assigned(MIG2, 1, BY_PLUGIN),
    ]


def test_claims_count_by_share_and_a_device_counts_once_for_both_ways() -> None:
    """Shares of a claimed device add up; what a device plugin names too is not counted again; other drivers are theirs."""
    claims = (
        ClaimedDevice("gpu.nvidia.com", "n", "gpu-3", "share-1"),
        ClaimedDevice("gpu.nvidia.com", "n", "gpu-3", "share-2"),
        ClaimedDevice("nic.example.com", "n", "gpu-0"),
    )
    assignments = Assignments()
    assert assignments.of_container(container(claims=claims), INDEX) == [Assigned(A, 2, BY_CLAIM)]
    both = container(("nvidia.com/gpu", A), claims=claims)
    assert assignments.of_container(both, INDEX) == [Assigned(A, 1, BY_PLUGIN)]
    assert not any(assignments.unresolved.values())


def test_what_there_is_to_give_is_known_with_its_replicas() -> None:
    """Distinct replicas are counted where a device is shared out; devices that a claim's driver offers are its to give."""
    allocatable = [
        DeviceIds("nvidia.com/gpu.shared", tuple(f"{A}::{n}" for n in range(4))),
        DeviceIds("nvidia.com/gpu.shared", (f"{A}::0",)),
        DeviceIds("nvidia.com/mig-1g.10gb", (MIG1,)),
        DeviceIds("hugepages-2Mi", ()),
    ]
    claimable = {
        ("gpu.nvidia.com", "n", "gpu-0-mig-1g10gb-19-0"): SliceDevice("mig", "", B),
        ("x", "n", "gpu-3"): SliceDevice(),
    }
    offered = Assignments().offered(allocatable, claimable, INDEX)
    assert offered.devices == {A, MIG1, MIG2}
    assert offered.replicas == {A: 4}


def test_what_is_left_out_is_counted_and_said_once(caplog: pytest.LogCaptureFixture) -> None:
    """A resource that no pattern takes, an unknown form and a device that is not here: each once in the log."""
    has = container(
        ("example.com/a100", A),
        ("example.com/nic", "mlx5_0"),
        ("nvidia.com/gpu", "what-is-this", "GPU-11111111-0000-0000-0000-000000000000"),
        claims=(ClaimedDevice("gpu.nvidia.com", "n", "gpu-77"),),
    )
    assignments = Assignments()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert assignments.of_container(has, INDEX) == []
    assert assignments.unresolved == {"resource_not_matched": 3, "form_not_known": 3, "no_such_device": 6}
    assert len(caplog.records) == 4
    assert "example.com/a100" in caplog.text
    assert "mlx5_0" not in caplog.text
    assert Assignments(("example.com/*",)).of_container(has, INDEX) == [Assigned(A, 1, BY_PLUGIN)]
