"""Doctor on processes: whether it sees the host's, and whether it may read what they say of themselves."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuledger.cli.checks.processes import check_environments, check_host_processes
from gpuledger.cli.checks.surroundings import Mount, Surroundings, parse_capabilities, parse_mounts, read_surroundings
from tests.gpuledger.lesser import NOBODY, as_bare_root, as_nobody, needs_root, require_setpriv

BOTH = frozenset({"SYS_PTRACE", "DAC_READ_SEARCH"})
ENVIRONMENTS = 'processes.check_environments(Path("/proc"), around)'


@pytest.fixture
def foreign() -> Iterator[int]:
    """Yield the pid of a process of another user."""
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat"]
    require_setpriv()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        process.stdin.flush()
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def fake_proc(folder: Path, init: str, namespace: str, *, own: str = "77") -> Path:
    """Make a /proc whose first process is `init`, looked at from the pid namespace of that number."""
    (folder / "1").mkdir()
    (folder / "1" / "comm").write_text(f"{init}\n")
    (folder / "1" / "cgroup").write_text("0::/\n")
    if own != "1":
        (folder / own).mkdir()
    (folder / "self").symlink_to(own)
    (folder / own / "ns").mkdir()
    (folder / own / "ns" / "pid").symlink_to(f"pid:[{namespace}]")
    return folder


def test_the_hosts_own_namespace_is_told_by_its_number(tmp_path: Path) -> None:
    """The kernel's first pid namespace has one number on every machine: seen from it, all is well."""
    finding = check_host_processes(fake_proc(tmp_path, "systemd", "4026531836"), Surroundings())
    assert (finding.status, finding.found) == ("ok", "2 visible, process 1 is systemd")


@pytest.mark.parametrize(
    ("init", "own", "status"), [("python3", "1", "failed"), ("pause", "77", "warning"), ("gpuledger", "77", "failed")]
)
def test_a_namespace_of_its_own_is_explained(tmp_path: Path, init: str, own: str, status: str) -> None:
    """A pod that sees only itself lacks hostPID; one that shares a namespace with others may be in a nested node."""
    finding = check_host_processes(fake_proc(tmp_path, init, "4026532201", own=own), Surroundings())
    assert finding.status == status
    assert "hostPID: true" in finding.next_step
    assert "unattributed" in finding.lost


def test_hidden_processes_are_told_from_missing_ones(tmp_path: Path) -> None:
    """Where /proc is mounted with hidepid the mount option is named, else the pid namespace."""
    hiding = Surroundings(mounts=(Mount(str(tmp_path), "proc", ("rw", "hidepid=invisible")),))
    assert "hidepid" in check_host_processes(tmp_path, hiding).next_step
    finding = check_host_processes(tmp_path, Surroundings())
    assert (finding.status, "hostPID" in finding.next_step) == ("failed", True)


def test_root_reads_the_environment_of_another_user(foreign: int) -> None:
    """A real process of another user, read by a process that may do everything."""
    assert foreign
    finding = check_environments(Path("/proc"), read_surroundings())
    assert (finding.status, "other users can be read" in finding.found) == ("ok", True)


def test_nobody_is_told_what_is_missing() -> None:
    """Without rights the environment of root's processes is closed; both capabilities are named, and what is lost."""
    finding = as_nobody(ENVIRONMENTS)
    assert finding.status == "failed"
    assert "Permission denied" in finding.found
    assert "CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH" in finding.next_step
    assert "Slurm accounts" in finding.lost


@pytest.mark.parametrize(
    ("keep", "missing"),
    [("", "SYS_PTRACE, DAC_READ_SEARCH"), ("+dac_read_search", "SYS_PTRACE"), ("+sys_ptrace", "DAC_READ_SEARCH")],
)
def test_a_containers_root_is_told_which_capability_it_lacks(foreign: int, keep: str, missing: str) -> None:
    """User 0 with `drop: [ALL]` reads no foreign environment; the finding names exactly what must be added."""
    assert foreign
    finding = as_bare_root(ENVIRONMENTS, keep=keep)
    assert finding.status == "failed"
    assert f"add {missing} to the container's capabilities" in finding.next_step


def test_the_two_capabilities_of_the_daemon_set_are_enough(foreign: int) -> None:
    """What deploy/kustomize gives the agent opens the environment of another user's process."""
    assert foreign
    assert as_bare_root(ENVIRONMENTS, keep="+dac_read_search,+sys_ptrace").status == "ok"


def test_a_refusal_in_spite_of_capabilities_points_to_security_modules(tmp_path: Path) -> None:
    """With both capabilities it is AppArmor or SELinux that says no, and another capability would not help."""
    needs_root()
    process = tmp_path / "9"
    process.mkdir()
    (process / "cmdline").write_text("train")
    (process / "environ").mkdir()  # opening it fails, whoever asks
    os.chown(process, NOBODY, NOBODY)
    finding = check_environments(tmp_path, Surroundings(capabilities=BOTH))
    assert (finding.status, "AppArmor" in finding.next_step) == ("failed", True)


def test_without_another_users_process_the_capabilities_speak(tmp_path: Path) -> None:
    """On an idle node nothing can be tried: then what this process may do is the answer."""
    assert check_environments(tmp_path, Surroundings(capabilities=BOTH)).status == "ok"
    finding = check_environments(tmp_path, Surroundings(in_pod=True))
    assert (finding.status, "SYS_PTRACE and DAC_READ_SEARCH" in finding.found) == ("failed", True)


def test_capabilities_and_mounts_are_read_as_the_kernel_writes_them() -> None:
    """The mask of CapEff bit by bit; a mount point with a blank in it; the longest mount point holds a path."""
    assert parse_capabilities("CapPrm:\tffffffffff\nCapEff:\t0000000000080004\n") == BOTH
    assert parse_capabilities("Name:\tx\n") == frozenset()
    lines = [
        "22 1 0:21 / / rw,relatime - overlay overlay rw",
        "23 22 8:1 /a /var/lib/my\\040spool rw,relatime shared:1 - ext4 /dev/vda rw",
        "not a mount",
    ]
    around = Surroundings(mounts=tuple(parse_mounts(lines)))
    found = around.mount_of(Path("/var/lib/my spool/spool"))
    assert found is not None
    assert (found.kind, around.is_mount_point(Path("/var/lib/my spool"))) == ("ext4", True)
    proc = read_surroundings({}).mount_of(Path("/proc/1"))
    assert proc is not None
    assert proc.kind == "proc"
