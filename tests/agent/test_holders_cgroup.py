"""A cgroup says whose process it is, on every kind of node that we know of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.holders.cgroup import CgroupIdentity, candidate_paths, parse_identity, parse_path

A = "a1b2c3d4" * 8
B = "0f1e2d3c" * 8
UID = "6f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
UID_ = UID.replace("-", "_")
STATIC = "d2c3b4a5968778695a4b3c2d1e0f0011"
SLUID = "s8FXKTA79XAR00"


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/kubepods/burstable/pod{UID}/{A}", ""),
        (f"/kubepods/pod{UID}/{A}", ""),
        (f"/kubepods/besteffort/pod{UID}/crio-{A}", "cri-o"),
        (f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{A}.scope", "containerd"),
        (f"/kubepods.slice/kubepods-pod{UID_}.slice/crio-{A}.scope/container", "cri-o"),
        (f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/docker-{A}.scope", "docker"),
        (f"/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{A}", "containerd"),
        (f"/../../kubepods-besteffort-pod{UID_}.slice/cri-containerd-{A}.scope", "containerd"),
        (f"/kubepods/burstable/pod{UID}/{A} (deleted)", ""),
    ],
)  # fmt: skip
def test_a_pods_container_is_found_under_every_cgroup_driver(path: str, runtime: str) -> None:
    """Pod UID (with dashes), container and runtime are read from cgroupfs and systemd paths alike."""
    assert parse_path(path) == CgroupIdentity(pod_uid=UID, container_id=A, runtime=runtime)


def test_a_static_pod_has_a_uid_without_dashes() -> None:
    """Pods that the kubelet starts from files are known by 32 hexadecimal digits."""
    assert parse_path(f"/kubepods/burstable/pod{STATIC}/{A}").pod_uid == STATIC


def test_a_node_that_is_a_container_is_not_the_pods_container() -> None:
    """Where a cluster runs inside a container, that container is kept apart from the pod's own."""
    nested = f"/system.slice/docker-{B}.scope/kubelet.slice/kubelet-kubepods-pod{UID_}.slice/cri-containerd-{A}.scope"
    identity = parse_path(nested)
    assert (identity.container_id, identity.outer_container_id, identity.runtime) == (A, B, "containerd")


def test_a_pods_own_cgroup_in_a_node_container_has_no_container() -> None:
    """Processes of the pod's own cgroup (not of a container in it) are not given the node's container."""
    identity = parse_path(f"/docker/{B}/kubepods/burstable/pod{UID}")
    assert (identity.pod_uid, identity.container_id, identity.outer_container_id) == (UID, "", B)


@pytest.mark.parametrize(
    ("path", "runtime"),
    [
        (f"/docker/{A}", ""),
        (f"/system.slice/docker-{A}.scope", "docker"),
        (f"/machine.slice/libpod-{A}.scope/container", "podman"),
        (f"/libpod-payload-{A}", "podman"),
    ],
)
def test_a_container_without_a_pod(path: str, runtime: str) -> None:
    """Containers that nobody orchestrates are known by their id."""
    assert parse_path(path) == CgroupIdentity(container_id=A, runtime=runtime)


@pytest.mark.parametrize("name", [f"crio-conmon-{A}", f"crio-{A}.mount", f"crio-{A[:-4]}"])
def test_what_belongs_to_a_runtime_is_no_container(name: str) -> None:
    """Monitors, mounts and ids that are cut short tell the runtime, and name no container."""
    identity = parse_path(f"/kubepods/pod{UID}/{name}")
    assert (identity.container_id, identity.runtime) == ("", "cri-o")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/slurm/uid_1000/job_4/step_0/task_3", {"slurm_job": "4", "slurm_step": "0", "slurm_task": "3", "slurm_uid": 1000}),
        ("/slurm_node7/uid_0/job_42/step_batch", {"slurm_job": "42", "slurm_step": "batch", "slurm_uid": 0}),
        ("/slurm/uid_20821/job_10", {"slurm_job": "10", "slurm_uid": 20821}),
        ("/system.slice/slurmstepd.scope/job_4/step_0/user/task_0", {"slurm_job": "4", "slurm_step": "0", "slurm_task": "0"}),
        ("/system.slice/node7_slurmstepd.scope/job_4/step_extern/slurm", {"slurm_job": "4", "slurm_step": "extern"}),
        (f"/system.slice/slurmstepd.scope/{SLUID}/step_0/user/task_special", {"slurm_sluid": SLUID, "slurm_step": "0", "slurm_task": "special"}),
    ],
)  # fmt: skip
def test_slurm_jobs_steps_and_tasks(path: str, expected: dict[str, object]) -> None:
    """Job (or its SLUID), step and task are read from the cgroups of Slurm 22 to 26."""
    assert parse_path(path) == CgroupIdentity(**expected)  # type: ignore[arg-type]


def test_slurm_inside_a_pod_keeps_both() -> None:
    """Where slurmd runs in a pod, the job is found inside it."""
    identity = parse_path(f"/kubepods/pod{UID}/{A}/system.slice/slurmstepd.scope/job_9/step_0")
    assert (identity.pod_uid, identity.container_id, identity.slurm_job) == (UID, A, "9")


def test_a_login_session_names_its_user() -> None:
    """A process in a user's session is that user's, and no tenant's."""
    identity = parse_path("/user.slice/user-1042.slice/session-7.scope")
    assert identity == CgroupIdentity(session_uid=1042)
    assert not identity.names_tenant


@pytest.mark.parametrize("text", ["", "/", "0::/\n", "nonsense", "12:cpu\n", "0::/init.scope\n"])
def test_nothing_to_tell_is_an_empty_identity(text: str) -> None:
    """The root cgroup, services of the host and text that is none of it name nobody."""
    assert parse_identity(text) == CgroupIdentity()


def test_the_unified_hierarchy_speaks_before_the_controllers() -> None:
    """On a hybrid node the v2 path decides where it names a tenant."""
    text = f"12:memory:/docker/{B}\n1:name=systemd:/docker/{B}\n0::/kubepods/pod{UID}/{A}\n"
    assert parse_identity(text).pod_uid == UID


def test_a_hierarchy_that_names_nobody_does_not_hide_one_that_does() -> None:
    """Slurm may put its jobs into the freezer hierarchy only: the service's own v2 path must not hide them."""
    text = "6:freezer:/slurm_n1/uid_0/job_4/step_0\n4:memory:/system.slice/slurmd.service\n0::/system.slice/slurmd.service\n"
    assert parse_identity(text).slurm_job == "4"


def test_a_session_is_kept_where_no_hierarchy_names_a_tenant() -> None:
    """The user's session counts when nothing stronger is there, whichever line has it."""
    assert parse_identity("0::/\n1:name=systemd:/user.slice/user-7.slice/session-1.scope\n").session_uid == 7


def test_v1_controllers_are_asked_in_a_fixed_order() -> None:
    """The order of lines in the file does not matter, and controllers that share a mount count one by one."""
    text = "9:cpu,cpuacct:/b\n3:pids:/c\n8:memory:/a\n1:name=systemd:/z\n0::/\n"
    assert list(candidate_paths(text)) == ["/a", "/b", "/c", "/b", "/z"]


@given(st.text(max_size=200))
def test_no_text_is_an_error(text: str) -> None:
    """Whatever a cgroup file holds, parsing ends with an identity."""
    assert isinstance(parse_identity(text), CgroupIdentity)


def test_a_user_session_cannot_pass_for_a_job_step() -> None:
    """Below its own session a user names the groups; one named like a step of Slurm's is still the user's."""
    session = "0::/user.slice/user-1000.slice/user@1000.service"
    for imitation in ("slurmstepd.scope/job_42/step_0/user/task_0", "slurm/uid_7/job_42/step_0"):
        identity = parse_identity(f"{session}/{imitation}\n")
        assert (identity.slurm_job, identity.slurm_uid, identity.session_uid) == ("", None, 1000)
        assert not identity.names_tenant


def test_a_user_session_cannot_pass_for_a_pod() -> None:
    """What a user runs in a group of that name is on the user's account, not on the pod's."""
    pod = f"kubepods.slice/kubepods-pod{'0' * 8}_0000_0000_0000_{'0' * 12}.slice"
    identity = parse_identity(f"0::/user.slice/user-1000.slice/user@1000.service/{pod}/job\n")
    assert (identity.pod_uid, identity.session_uid, identity.names_tenant) == ("", 1000, False)


def test_a_number_that_is_no_uid_is_none() -> None:
    """A group's name may hold any digits; a uid has 32 bits, and more would fit into no batch."""
    identity = parse_identity("0::/slurm/uid_99999999999999999999/job_1\n")
    assert (identity.slurm_job, identity.slurm_uid) == ("1", None)
    assert parse_identity("0::/slurm/uid_4294967295/job_1\n").slurm_uid == 4294967295
