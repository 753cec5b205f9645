"""Doctor on the rest of a node: cgroups, the kernel's log, Slurm's holders, the spool, the node's name."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from gpuledger.cli.checks.containers import check_containers
from gpuledger.cli.checks.delivery import check_token
from gpuledger.cli.checks.install import check_node_name
from gpuledger.cli.checks.kernel import check_cgroups, check_kernel_log
from gpuledger.cli.checks.slurm import check_holders, check_slurm
from gpuledger.cli.checks.spool import check_spool
from gpuledger.cli.checks.surroundings import Mount, Surroundings
from tests.gpuledger.lesser import as_bare_root, as_nobody, needs_root, open_folder

HOST, POD = Surroundings(), Surroundings(in_pod=True)


def test_a_containers_own_cgroup_is_told_from_the_hosts(tmp_path: Path) -> None:
    """Every cgroup but the machine's root has `cgroup.events`: a tree with it at its top is the container's."""
    assert check_cgroups(tmp_path, POD).status == "warning"
    (tmp_path / "cgroup.controllers").touch()
    assert check_cgroups(tmp_path, POD).found == f"version 2 at {tmp_path}"
    (tmp_path / "cgroup.events").touch()
    finding = check_cgroups(tmp_path, POD)
    assert (finding.status, "mount the host's /sys/fs/cgroup" in finding.next_step) == ("warning", True)


def test_version_1_of_cgroups_is_known(tmp_path: Path) -> None:
    """A folder for each controller, at the same place."""
    (tmp_path / "memory").mkdir()
    assert check_cgroups(tmp_path, HOST).found == f"version 1 at {tmp_path}"


def test_the_kernel_log_and_what_closes_it(tmp_path: Path) -> None:
    """A log that opens is well; one that does not names the missing capability, in the words of where we run."""
    log = tmp_path / "kmsg"
    assert check_kernel_log(log, POD).status == "absent"
    log.write_text("6,1,1,-;NVRM: Xid (PCI:0000:01:00): 79\n")
    assert check_kernel_log(log, HOST).status == "ok"
    with open_folder() as folder:
        closed = folder / "kmsg"
        closed.touch(mode=0o000)
        check = f"kernel.check_kernel_log(Path({str(closed)!r}), around)"
        assert "CAP_SYSLOG" in as_nobody(check).next_step
        assert "add SYSLOG" in as_nobody(check, in_pod=True).next_step


def test_device_rules_are_named_where_capabilities_do_not_help() -> None:
    """A socket cannot be opened, whatever one may do: with SYSLOG in hand that one is not asked for again."""
    needs_root()
    with open_folder() as folder:
        closed = folder / "kmsg"
        closed.touch(mode=0o000)
        found = as_bare_root(f"kernel.check_kernel_log(Path({str(closed)!r}), around)", keep="+syslog")
    assert (found.status, "SYSLOG" in found.next_step) == ("warning", False)


def test_slurm_is_found_on_the_path(tmp_path: Path) -> None:
    """Its command tells a Slurm node, where the folder of our prolog is missed; elsewhere nobody misses it."""
    assert [each.status for each in check_slurm(str(tmp_path), tmp_path / "none")] == ["absent", "absent"]
    (tmp_path / "scontrol").write_text("#!/bin/sh\n")
    (tmp_path / "scontrol").chmod(0o755)
    command, holders = check_slurm(str(tmp_path), tmp_path / "none")
    assert (command.status, holders.status) == ("ok", "warning")
    assert "deploy/slurm" in holders.next_step


def test_holders_must_be_readable_and_writable() -> None:
    """The agent reads the notes of jobs and deletes those of ended ones: a folder that it cannot write fails."""
    needs_root()
    with open_folder() as folder:
        (folder / "12.job").touch()
        (folder / "11.17.ended").touch()
        assert check_holders(folder, slurm_here=True).found == f"1 running jobs in {folder}"
        folder.chmod(0o755)
        unwritable = as_nobody(f"slurm.check_holders(Path({str(folder)!r}), slurm_here=True)")
        folder.chmod(0o700)
        unreadable = as_nobody(f"slurm.check_holders(Path({str(folder)!r}), slurm_here=True)")
    assert (unwritable.status, "no read-only mount" in unwritable.next_step) == ("failed", True)
    assert (unreadable.status, "as root" in unreadable.next_step) == ("failed", True)


def test_container_programs_are_asked_where_they_are(tmp_path: Path) -> None:
    """A folder that lists and a socket that answers are well, a pod does not look, and a machine need not have any."""
    places = {"docker": tmp_path / "docker.sock", "containerd": tmp_path / "task"}
    assert check_containers(places, HOST).status == "absent"
    assert check_containers(places, POD).status == "absent"
    (tmp_path / "task").mkdir()
    assert check_containers(places, HOST).found == "containerd can be asked"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(places["docker"]))
        server.listen()
        assert check_containers(places, HOST).found == "docker, containerd can be asked"
    dead = check_containers(places, HOST)
    assert (dead.status, "docker.sock: Connection refused" in dead.found) == ("warning", True)


def test_a_closed_container_socket_is_named() -> None:
    """Whoever may not ask docker is told which socket it is, and what stays without a name."""
    needs_root()
    with open_folder() as folder, socket.socket(socket.AF_UNIX) as server:
        path = folder / "docker.sock"
        server.bind(str(path))
        server.listen()
        path.chmod(0o600)
        found = as_nobody(f"containers.check_containers({{'docker': Path({str(path)!r})}}, around)")
    assert (found.status, "Permission denied" in found.found, "ids" in found.lost) == ("warning", True, True)


def test_the_spool_folder_need_not_exist_yet(tmp_path: Path) -> None:
    """The disk that it will be on is what is measured."""
    assert check_spool(tmp_path / "a" / "b", HOST).found.endswith(f"free in {tmp_path}")


def test_a_spool_that_cannot_be_written_or_dies_with_the_pod_fails(tmp_path: Path) -> None:
    """Nobody may not write root's folder; in a pod a folder of the container's own layer is lost at each restart."""
    with open_folder() as folder:
        if os.geteuid() == 0:
            assert as_nobody(f"spool.check_spool(Path({str(folder)!r}), around)").status == "failed"
    layered = Surroundings(in_pod=True, mounts=(Mount("/", "overlay", ("rw",)),))
    finding = check_spool(tmp_path, layered)
    assert (finding.status, "hostPath" in finding.next_step) == ("failed", True)
    mounted = layered._replace(mounts=(*layered.mounts, Mount(str(tmp_path), "ext4", ("rw",))))
    assert "GiB free" in check_spool(tmp_path, mounted).found


def test_a_pods_own_name_is_no_name_for_a_node() -> None:
    """Without a name from the settings the host's serves, but a pod's host name changes with the pod."""
    assert check_node_name("", "gpu-7", in_pod=False).found == "gpu-7"
    assert check_node_name("gpu-7", "agent-x1", in_pod=True).status == "ok"
    finding = check_node_name("", "agent-x1", in_pod=True)
    assert (finding.status, "spec.nodeName" in finding.next_step) == ("failed", True)


def test_a_token_is_read_and_never_shown(tmp_path: Path) -> None:
    """Missing, empty and good files, and none asked for."""
    token = tmp_path / "token"
    assert check_token(None).status == "absent"
    assert check_token(token).status == "failed"
    token.write_text("\n")
    assert check_token(token).status == "failed"
    token.write_text("s3cret")
    assert "s3cret" not in str(check_token(token))
