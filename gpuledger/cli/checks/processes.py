"""Processes: whether the host's are seen, and whether what they say of themselves may be read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.surroundings import Surroundings

_HOST_NAMESPACE: Final = "pid:[4026531836]"  # the kernel gives its first pid namespace this number, always
_OURS: Final = frozenset({"gpuledger", "python", "python3"})
_NAMES_LOST: Final = "the driver's pids are the host's: every process on a GPU stays unattributed"
_CLAIMS_LOST: Final = "Slurm accounts, MLOps runs and the teams and workloads that processes name"


def check_host_processes(proc: Path, around: Surroundings) -> Finding:
    """Return whether the processes of the host are seen: without them holders have no names."""
    try:
        init = (proc / "1" / "comm").read_text().strip()
        (proc / "1" / "cgroup").read_text()
    except OSError as error:
        return _unseen(proc, error, around)
    if _in_other_namespace(proc):
        found = f"process 1 is {init}: this is a pid namespace of its own"
        step = "in a pod set hostPID: true; with docker or podman --pid=host"
        if init in _OURS or (proc / "self").resolve().name == "1":
            return Finding("processes", "failed", found, step, _NAMES_LOST)
        return Finding("processes", "warning", found, f"{step}; fine where the driver runs inside it too", _NAMES_LOST)
    count = sum(entry.name.isdigit() for entry in proc.iterdir())
    return Finding("processes", "ok", f"{count:,} visible, process 1 is {init}")


def _unseen(proc: Path, error: OSError, around: Surroundings) -> Finding:
    mount = around.mount_of(proc)
    hidden = mount and any(option.startswith("hidepid=") and option != "hidepid=0" for option in mount.options)
    step = (
        f"{proc} is mounted with hidepid: run as root with CAP_SYS_PTRACE, or add the agent to its gid= group"
        if hidden
        else "run as root; in a pod set hostPID: true"
    )
    return Finding("processes", "failed", f"{error.filename}: {error.strerror}", step, _NAMES_LOST)


def _in_other_namespace(proc: Path) -> bool:
    try:
        return str((proc / "self" / "ns" / "pid").readlink()) != _HOST_NAMESPACE
    except OSError:
        return (proc / "self").resolve().name == "1"


def check_environments(proc: Path, around: Surroundings) -> Finding:
    """Return whether the environment of other users' processes can be read; of it only allow-listed names are kept."""
    missing = around.missing("SYS_PTRACE", "DAC_READ_SEARCH")
    tried: int | None = None
    for path, owner in _foreign(proc, around.uid):
        try:
            with path.open("rb", buffering=0) as block:
                block.read(1)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended
        except OSError as error:
            return Finding(
                "environments", "failed", f"{path}: {error.strerror}", _environment_step(missing, around), _CLAIMS_LOST
            )
        tried = owner
        break
    if tried is not None:
        return Finding("environments", "ok", f"those of other users can be read (tried one of user {tried})")
    if missing:
        found = f"no other user's process runs to try; without {' and '.join(missing)}"
        return Finding("environments", "failed", found, _environment_step(missing, around), _CLAIMS_LOST)
    return Finding("environments", "ok", "SYS_PTRACE and DAC_READ_SEARCH are here; no other user's process to try")


def _environment_step(missing: tuple[str, ...], around: Surroundings) -> str:
    if not missing:
        return "a security module forbids it: in a pod set AppArmor to unconfined (component slurm); see the audit log"
    if around.in_pod:
        return f"add {', '.join(missing)} to the container's capabilities, and run it as user 0"
    return f"run as root, with {', '.join(f'CAP_{name}' for name in missing)} (deploy/systemd)"


def _foreign(proc: Path, uid: int) -> Iterator[tuple[Path, int]]:
    """Yield the environment and the owner of each process of another user; the kernel's own threads have none."""
    try:
        entries = [entry for entry in proc.iterdir() if entry.name.isdigit()]
    except OSError:
        return
    for entry in entries:
        try:
            owner = entry.stat().st_uid
            if owner != uid and (entry / "cmdline").read_bytes():
                yield entry / "environ", owner
        except OSError:  # it ended, or hides: another one will do
            continue
