"""What the kernel tells beside processes: the tree of cgroups, and its log, where the driver writes XIDs."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.surroundings import Surroundings

_CGROUPS_LOST: Final = "which pods and jobs still live, where the API server and Slurm do not tell"
_LOG_LOST: Final = "a second source of XIDs; the driver's own events remain"


def check_cgroups(root: Path, around: Surroundings) -> Finding:
    """Return whether the host's tree of cgroups is seen: a container has one of its own at the same place."""
    mount = f"mount the host's /sys/fs/cgroup read-only at {root}"
    version = _version(root)
    if not version:
        step = mount if around.in_pod else "mount the cgroup filesystem: systemd does, at boot"
        return Finding("cgroups", "warning", f"no cgroups at {root}", step, _CGROUPS_LOST)
    if version == 2 and (root / "cgroup.events").exists():  # the root of the machine has no such file
        return Finding("cgroups", "warning", f"{root} shows this container's own cgroup", mount, _CGROUPS_LOST)
    return Finding("cgroups", "ok", f"version {version} at {root}")


def _version(root: Path) -> int:
    if (root / "cgroup.controllers").exists():
        return 2
    return 1 if (root / "memory").is_dir() or (root / "devices").is_dir() else 0


def check_kernel_log(path: Path | None, around: Surroundings) -> Finding:
    """Return whether the kernel's log can be read; None where the settings say not to."""
    name = "kernel log"
    if path is None:
        return Finding(
            name, "absent", "not read: [health] kernel_log is empty", "fine, unless you want a second source"
        )
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.read(descriptor, 8_192)
        finally:
            os.close(descriptor)
    except BlockingIOError:
        return Finding(name, "ok", f"{path} can be read, and is empty")
    except BrokenPipeError:  # the kernel's word for records that were overwritten while we read
        return Finding(name, "ok", f"{path} can be read")
    except FileNotFoundError:
        step = "the component kernel-log mounts it; see its notes" if around.in_pod else "fine, where there is none"
        return Finding(name, "absent", f"{path} is not here", step, _LOG_LOST)
    except OSError as error:
        return Finding(name, "warning", f"{path}: {error.strerror}", _log_step(error, around), _LOG_LOST)
    return Finding(name, "ok", f"{path} can be read")


def _log_step(error: OSError, around: Surroundings) -> str:
    if around.missing("SYSLOG"):
        return "add SYSLOG to the container's capabilities" if around.in_pod else "run as root with CAP_SYSLOG"
    if error.errno == errno.EPERM:
        return "a container's device rules keep it closed, which no mount opens: allow the device c 1:11 in the runtime"
    return "let the agent's user read it"
