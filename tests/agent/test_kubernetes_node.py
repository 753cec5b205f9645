"""What a node itself shows of its pods: cgroups, log links and the kubelet's checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from agent.holders.container_logs import ContainerLogLinks, parse_links
from agent.holders.kubernetes.checkpoint import CheckpointEntry, KubeletCheckpoint, parse_checkpoint
from agent.holders.kubernetes.pod_cgroups import PodCgroups
from agent.holders.pods import InMemoryPods, PodLogDirectories, PodName
from gpuledger.errors import HolderError

UIDS = [f"{n}f3c1c5e-9a4b-4c8d-8f21-0123456789ab" for n in range(3)]
STATIC = "0123456789abcdef" * 2
CID = "a1b2c3d4" * 8

_LAYOUTS = {
    "v2 systemd": ["kubepods.slice/kubepods-pod{0}.slice", "kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{1}.slice", "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{2}.slice"],
    "v2 cgroupfs": ["kubepods/pod{0}", "kubepods/burstable/pod{1}", "kubepods/besteffort/pod{2}"],
    "v1 cgroupfs": [h + p for h in ("memory/", "pids/") for p in ("kubepods/pod{0}", "kubepods/burstable/pod{1}", "kubepods/besteffort/pod{2}")],
    "v1 systemd": ["cpu,cpuacct/kubepods.slice/kubepods-pod{0}.slice", "cpu,cpuacct/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{1}.slice", "cpu,cpuacct/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{2}.slice"],
    "node in a container": ["kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{0}.slice", "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{1}.slice", "kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod{2}.slice"],
}  # fmt: skip


@pytest.mark.parametrize("layout", _LAYOUTS)
def test_pods_with_a_cgroup_are_found(tmp_path: Path, layout: str) -> None:
    """Either cgroup version, either driver, every class of service, nodes in containers too."""
    written = [uid.replace("-", "_") if "systemd" in layout or "container" in layout else uid for uid in UIDS]
    for path in _LAYOUTS[layout]:
        (tmp_path / path.format(*written) / f"cri-containerd-{CID}.scope").mkdir(parents=True)
    (tmp_path / "system.slice" / "containerd.service").mkdir(parents=True)
    (tmp_path / "cgroup.procs").touch()
    assert PodCgroups(tmp_path).living() == set(UIDS)


def test_a_static_pods_cgroup_has_no_dashes(tmp_path: Path) -> None:
    """Its UID is a hash of its file: it is found as it is written."""
    (tmp_path / "kubepods/burstable" / f"pod{STATIC}").mkdir(parents=True)
    assert PodCgroups(tmp_path).living() == {STATIC}


def test_a_mount_without_pods_tells_nothing(tmp_path: Path) -> None:
    """No pod in sight means not known, not that every pod has ended: what is seen may be another part of the tree."""
    (tmp_path / "user.slice").mkdir()
    assert PodCgroups(tmp_path).living() is None
    assert PodCgroups(tmp_path / "none").living() is None
    (tmp_path / "kubepods.slice").mkdir()
    assert PodCgroups(tmp_path).living() is None


def test_a_users_cgroups_are_no_pods(tmp_path: Path) -> None:
    """A user may name folders in the own session as a pod's: they prove no life."""
    for forged in (f"user.slice/user-1000.slice/kubepods/pod{UIDS[0]}", f"user-1000.slice/kubepods/pod{UIDS[1]}"):
        (tmp_path / forged).mkdir(parents=True)
    assert PodCgroups(tmp_path).living() is None


def test_container_links_name_containers(tmp_path: Path) -> None:
    """A link's name holds pod, namespace, container and id; the listing follows the folder."""
    links = ContainerLogLinks(tmp_path)
    assert links.name_of(CID) == ""
    (tmp_path / f"web-0_team-a_my-server-{CID}.log").symlink_to("/nowhere/0.log")
    assert links.name_of(CID) == "my-server"
    assert ContainerLogLinks(tmp_path / "none").name_of(CID) == ""
    (tmp_path / "file").touch()
    with pytest.raises(HolderError, match="cannot be read"):
        ContainerLogLinks(tmp_path / "file").name_of(CID)


def test_other_files_beside_the_links_are_left_alone() -> None:
    """Only what has the whole form is a link."""
    names = ["README", f"p_ns_{CID}.log", f"p_ns_c-{CID[:-1]}.log", f"p_ns_c-{CID}.log.gz", f"p_ns_x_c-{CID}.log"]
    assert parse_links(names) == {}


def test_a_pods_container_is_named_by_link_or_where_there_is_one_only(tmp_path: Path) -> None:
    """A link decides; without one a pod's only container is it; of two none is guessed."""
    for directory in (f"ns_one_{UIDS[0]}/main", f"ns_two_{UIDS[1]}/main", f"ns_two_{UIDS[1]}/sidecar"):
        (tmp_path / "pods" / directory).mkdir(parents=True)
    (tmp_path / "containers").mkdir()
    (tmp_path / "containers" / f"two_ns_sidecar-{CID}.log").touch()
    pods = PodLogDirectories(tmp_path / "pods", tmp_path / "containers")
    other = "f" * 64
    assert pods.container_name(UIDS[1], CID) == "sidecar"
    assert pods.container_name(UIDS[1], other) == ""
    assert pods.container_name(UIDS[0], other) == "main"
    assert pods.container_name(UIDS[2], other) == ""
    given = {UIDS[0]: PodName("ns", "one", ("main",)), UIDS[1]: PodName("ns", "two", ("main", "sidecar"))}
    twin = InMemoryPods(given, {CID: "sidecar"})
    asked = [(UIDS[1], CID), (UIDS[1], other), (UIDS[0], other), (UIDS[2], other)]
    assert [twin.container_name(*one) for one in asked] == ["sidecar", "", "main", ""]


def test_pods_of_one_name_come_newest_first(tmp_path: Path) -> None:
    """A pod that was made again under its name has several log directories; the twin answers alike."""
    for age, uid in enumerate(UIDS):
        (tmp_path / f"ns_web-0_{uid}").mkdir()
        os.utime(tmp_path / f"ns_web-0_{uid}", (1_000 - age, 1_000 - age))
    (tmp_path / "ns_web-01_x").mkdir()
    assert PodLogDirectories(tmp_path).uids("ns", "web-0") == tuple(UIDS)
    assert PodLogDirectories(tmp_path).uids("ns", "none") == ()
    assert PodLogDirectories(tmp_path / "none").uids("ns", "web-0") == ()
    twin = InMemoryPods({uid: PodName("ns", "web-0") for uid in reversed(UIDS)})
    assert twin.uids("ns", "web-0") == tuple(UIDS)
    (tmp_path / "file").touch()
    with pytest.raises(HolderError):
        PodLogDirectories(tmp_path / "file").uids("ns", "web-0")


def checkpoint(*entries: tuple[str, str, list[str]]) -> bytes:
    return json.dumps(
        {
            "Data": {
                "PodDeviceEntries": [
                    {"PodUID": uid, "ContainerName": name, "ResourceName": "nvidia.com/gpu", "DeviceIDs": {"-1": ids[:1], "1": ids[1:]}, "AllocResp": "CgA="}
                    for uid, name, ids in entries
                ],
                "RegisteredDevices": {"nvidia.com/gpu": ["GPU-1", "GPU-2"]},
            },
            "Checksum": 1657923014,
        }
    ).encode()  # fmt: skip


def test_the_checkpoint_tells_who_has_which_ids(tmp_path: Path) -> None:
    """By container, resource and any of the ids, over all NUMA nodes; it is read again when the kubelet has written it."""
    path = tmp_path / "kubelet_internal_checkpoint"
    found = KubeletCheckpoint(path)
    assert found.uids_of("main", "nvidia.com/gpu", frozenset({"GPU-2"})) == ()
    assert found.problem == ""
    path.write_bytes(checkpoint(("uid-1", "main", ["GPU-1", "GPU-2"]), ("uid-2", "main", ["GPU-3"])))
    assert found.uids_of("main", "nvidia.com/gpu", frozenset({"GPU-2"})) == ("uid-1",)
    assert found.uids_of("other", "nvidia.com/gpu", frozenset({"GPU-2"})) == ()
    newer = tmp_path / "newer"
    newer.write_bytes(checkpoint(("uid-3", "main", ["GPU-2"])))
    newer.rename(path)
    assert found.uids_of("main", "nvidia.com/gpu", frozenset({"GPU-2"})) == ("uid-3",)


def test_older_and_empty_checkpoints_are_read() -> None:
    """Up to 1.19 the ids stood in one list; a node without devices has null."""
    older = (
        b'{"Data":{"PodDeviceEntries":[{"PodUID":"u","ContainerName":"c","ResourceName":"r","DeviceIDs":["GPU-1"]}]}}'
    )
    assert parse_checkpoint(older) == (CheckpointEntry("u", "c", "r", frozenset({"GPU-1"})),)
    assert parse_checkpoint(b'{"Data":{"PodDeviceEntries":null,"RegisteredDevices":{}},"Checksum":0}') == ()


@pytest.mark.parametrize("text", [b"", b"[]", b'{"Data": 7}', b"\xff\xff"])
def test_a_checkpoint_that_is_none_is_a_problem_and_no_failure(tmp_path: Path, text: bytes) -> None:
    """It is a fallback: what is wrong with it is kept for people, and the answer is that nothing is known."""
    path = tmp_path / "kubelet_internal_checkpoint"
    path.write_bytes(text)
    found = KubeletCheckpoint(path)
    assert found.uids_of("c", "r", frozenset({"GPU-1"})) == ()
    assert str(path) in found.problem
