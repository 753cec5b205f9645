"""Pod names come from the kubelet's log directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.holders.pods import InMemoryPods, PodLogDirectories, PodName, parse_directories
from gpuledger.errors import HolderError

UID = "6f3c1c5e-9a4b-4c8d-8f21-0123456789ab"


def add_pod(root: Path, directory: str, *containers: str) -> None:
    for container in containers or ("main",):
        (root / directory / container).mkdir(parents=True)
    os.utime(root, ns=(0, 0))  # long ago, so that the listing may be kept


def test_a_pod_is_named_by_its_directory(tmp_path: Path) -> None:
    """Namespace, pod and its only container are in the names of the directories."""
    add_pod(tmp_path, f"team-a_trainer-0.sub_{UID}", "main")
    (tmp_path / f"team-a_trainer-0.sub_{UID}" / "a-file").touch()
    found = PodLogDirectories(tmp_path).find(UID)
    assert found == PodName("team-a", "trainer-0.sub", ("main",))
    assert found.only_container == "main"


def test_two_containers_are_ambiguous(tmp_path: Path) -> None:
    """Where a pod has had two containers, neither is named: a guess would be wrong half of the time."""
    add_pod(tmp_path, f"ns_pod_{UID}", "main", "sidecar")
    found = PodLogDirectories(tmp_path).find(UID)
    assert found is not None
    assert found.only_container == ""


def test_pods_that_come_later_are_found(tmp_path: Path) -> None:
    """The listing is read again when the folder has changed."""
    pods = PodLogDirectories(tmp_path)
    assert pods.find(UID) is None
    add_pod(tmp_path, f"ns_pod_{UID}")
    os.utime(tmp_path, ns=(1, 1))
    assert pods.find(UID) == PodName("ns", "pod", ("main",))


def test_a_folder_that_did_not_change_is_not_listed_again(tmp_path: Path) -> None:
    """With hundreds of pods on a node, listing at each look-up would be waste."""
    add_pod(tmp_path, "ns_other_1")
    pods = PodLogDirectories(tmp_path)
    assert pods.find(UID) is None
    (tmp_path / f"ns_pod_{UID}").mkdir()
    os.utime(tmp_path, ns=(0, 0))
    assert pods.find(UID) is None


def test_a_folder_that_changed_just_now_is_not_trusted_yet(tmp_path: Path) -> None:
    """Two changes within one timestamp look like one: a fresh listing is not kept."""
    (tmp_path / "ns_other_1").mkdir()
    pods = PodLogDirectories(tmp_path)
    assert pods.find(UID) is None
    changed = tmp_path.stat().st_mtime_ns
    (tmp_path / f"ns_pod_{UID}").mkdir()
    os.utime(tmp_path, ns=(changed, changed))
    assert pods.find(UID) is not None


def test_no_folder_means_no_pods(tmp_path: Path) -> None:
    """A node without Kubernetes has no such folder, which is no error."""
    assert PodLogDirectories(tmp_path / "none").find(UID) is None


def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    """A missing mount or right is said, with what to do."""
    (tmp_path / "pods").touch()
    with pytest.raises(HolderError, match="cannot be read"):
        PodLogDirectories(tmp_path / "pods").find(UID)


def test_other_names_in_the_folder_are_left_alone() -> None:
    """Only names of three parts are pods."""
    assert parse_directories(["lost+found", "a_b", "ns_pod_uid", "a_b_c_d"]) == {"uid": "ns_pod_uid"}


def test_given_names_answer_like_the_real_ones() -> None:
    """The in-memory source keeps the same promises."""
    name = PodName("ns", "pod")
    assert InMemoryPods({UID: name}).find(UID) == name
    assert InMemoryPods({}).find(UID) is None
