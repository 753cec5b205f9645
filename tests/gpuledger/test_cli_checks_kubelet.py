"""Doctor on what the kubelet leaves on a node, with real sockets, folders and mounts."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gpuledger.cli.checks.kubelet import check_device_checkpoint, check_folder, check_kubelet, check_pod_resources
from gpuledger.cli.checks.places import Places
from gpuledger.cli.checks.surroundings import Surroundings
from tests.gpuledger.lesser import ROOT, as_nobody, needs_root, open_folder

POD = Surroundings(in_pod=True)
HOST = Surroundings()


@contextmanager
def kubelet_socket(path: Path) -> Iterator[Path]:
    """Listen at `path` as the kubelet would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        yield path


def test_a_socket_that_answers_is_well(tmp_path: Path) -> None:
    """Something listens, and a connection is taken."""
    with kubelet_socket(tmp_path / "kubelet.sock") as path:
        assert check_pod_resources(path, POD).status == "ok"


def test_a_dead_socket_and_a_missing_one_lead_to_the_kubelet(tmp_path: Path) -> None:
    """A file that nobody listens on, or a folder without one: the kubelet is what to look at."""
    with kubelet_socket(tmp_path / "kubelet.sock") as path:
        pass
    for finding in (check_pod_resources(path, POD), check_pod_resources(tmp_path / "none.sock", POD)):
        assert (finding.status, "kubelet" in finding.next_step, finding.lost[:6]) == ("failed", True, "grants")


def test_a_missing_folder_is_a_fault_in_a_pod_only(tmp_path: Path) -> None:
    """A bare machine without a kubelet is no Kubernetes node; in a pod the mount is missing, and it is the folder's."""
    path = tmp_path / "pod-resources" / "kubelet.sock"
    assert check_pod_resources(path, HOST).status == "absent"
    finding = check_pod_resources(path, POD)
    assert finding.status == "failed"
    assert f"mount the folder {path.parent}" in finding.next_step


def test_a_socket_mounted_as_a_file_fails_though_it_answers() -> None:
    """It works until the kubelet restarts, and then never again: found by the mount table of a real bind mount."""
    needs_root()
    program = (
        "from pathlib import Path; import sys; from gpuledger.cli.checks.kubelet import check_pod_resources as check;"
        "from gpuledger.cli.checks.surroundings import read_surroundings;"
        "print(check(Path(sys.argv[1]), read_surroundings({})).found)"
    )
    with open_folder() as folder, kubelet_socket(folder / "kubelet.sock") as path:
        mounted = folder / "mounted.sock"
        mounted.touch()
        script = 'mount --bind "$0" "$1" && exec "$2" -c "$3" "$1"'
        command = ["unshare", "--mount", "sh", "-c", script, str(path), str(mounted), sys.executable, program]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    if "unshare failed" in done.stderr or "mount:" in done.stderr:
        pytest.skip(f"no mount namespaces here: {done.stderr.strip()}")
    assert "mounted as a file" in done.stdout, done.stderr


def test_nobody_may_not_open_the_kubelets_things() -> None:
    """Socket, logs and checkpoint belong to root: each finding says so, and none hides another."""
    needs_root()
    with open_folder() as folder, kubelet_socket(folder / "kubelet.sock") as path:
        path.chmod(0o600)
        logs = folder / "pods"
        logs.mkdir(mode=0o700)
        checkpoint = folder / "kubelet_internal_checkpoint"
        checkpoint.touch(mode=0o600)
        found = [
            as_nobody(f"kubelet.check_pod_resources(Path({str(path)!r}), around)"),
            as_nobody(f"kubelet.check_folder('pod logs', Path({str(logs)!r}), around, 'names')"),
            as_nobody(f"kubelet.check_device_checkpoint(Path({str(checkpoint)!r}), around)"),
        ]
    assert [finding.status for finding in found] == ["failed", "failed", "warning"]
    assert all("as root" in finding.next_step and finding.lost for finding in found)


def test_folders_are_counted_missing_mounts_named(tmp_path: Path) -> None:
    """What is there is counted; what is not is a missing mount in a pod, and nothing elsewhere."""
    assert check_folder("pod logs", tmp_path / "none", HOST, "x").status == "absent"
    assert check_folder("pod logs", tmp_path / "none", POD, "x").status == "warning"
    (tmp_path / "default_web-0_1234").mkdir()
    assert check_folder("pod logs", tmp_path, POD, "x").found == f"1 in {tmp_path}"
    checkpoint = tmp_path / "kubelet_internal_checkpoint"
    assert check_device_checkpoint(checkpoint, HOST).status == "absent"
    assert "mount" in check_device_checkpoint(checkpoint, POD).next_step
    checkpoint.write_text("{}")
    assert check_device_checkpoint(checkpoint, POD).status == "ok"


def test_a_pod_without_any_mount_learns_all_of_them(tmp_path: Path) -> None:
    """Four things of the kubelet, four findings, each with its own path."""
    missing = Places(*(tmp_path / name / name for name in Places._fields))
    found = check_kubelet(missing, POD)
    assert len({finding.next_step for finding in found}) == 4
    assert all("mount" in finding.next_step for finding in found)
