"""The NVIDIA driver: whether it answers, whether it may be opened, which version of it, and what MIG keeps back."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.driver_probe import DriverAnswer, ask_driver
from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.places import Places
from gpuledger.cli.checks.surroundings import Surroundings
from gpuledger.cli.extras import install_command, missing_modules

_MINOR: Final = re.compile(r"DeviceFileMinor:\s*(\d+)")
_RUNTIME: Final = (
    'set runtimeClassName: nvidia and NVIDIA_VISIBLE_DEVICES=all (deploy/kustomize, "Driver" in README.md)'
)
_NO_GPUS: Final = "all time of this node's GPUs stays unobserved"


def count_gpus() -> int:
    """Return how many GPUs NVML finds on this machine; 0 where there is no driver."""
    return len(ask_driver().boards)


def check_driver(library: Path | None, places: Places, around: Surroundings) -> list[Finding]:
    """Return what the driver library, and the files through which it reaches the driver, allow."""
    if missing_modules("agent"):
        return [Finding("driver", "absent", "the agent extra is not installed", install_command("agent"))]
    answer = ask_driver(library)
    return [
        driver_finding(answer, library, places, around),
        check_permission(places.driver_device, around),
        check_versions(answer, places.driver_module),
        check_mig_monitoring(answer, places, around),
    ]


def driver_finding(answer: DriverAnswer, library: Path | None, places: Places, around: Surroundings) -> Finding:
    """Return whether NVML answers, and for how many GPUs."""
    by = f" through {library}" if library else ""
    if answer.error and library is None and not places.driver_device.exists():
        if around.in_pod:
            return Finding("driver", "failed", "no NVIDIA driver in this container", _RUNTIME, _NO_GPUS)
        return Finding("driver", "absent", "no NVIDIA driver on this machine", "fine, unless it has GPUs")
    if answer.error:
        return Finding("driver", "failed", answer.error, answer.hint, _NO_GPUS)
    if answer.faulty:
        found = f"cannot be read: {', '.join(answer.faulty)}"
        return Finding("driver", "failed", found, "nvidia-smi -q, then the kernel log", "their time is unavailable")
    return Finding("driver", "ok", f"version {answer.version}, {len(answer.boards)} GPUs{by}")


def check_permission(device: Path, around: Surroundings) -> Finding:
    """Return whether the driver's device file can be opened: file modes and a container's device rules both count."""
    if not device.exists():
        return Finding("driver permission", "absent", f"{device} is not here", "fine, unless this machine has GPUs")
    try:
        os.close(os.open(device, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        step = "run the agent as root, or let its user read and write /dev/nvidia*"
        if error.errno == errno.EPERM:
            step = f"a container's device rules keep it closed, which no mount opens: {_RUNTIME}"
        elif error.errno in {errno.ENODEV, errno.ENXIO, errno.EIO}:
            step = "load the driver (modprobe nvidia), then read the kernel log"
        elif around.in_pod:
            step = "run the container as user 0"
        return Finding("driver permission", "failed", f"{device}: {error.strerror}", step, _NO_GPUS)
    return Finding("driver permission", "ok", f"{device} can be opened")


def check_versions(answer: DriverAnswer, module: Path) -> Finding:
    """Return whether the library and the kernel's module are of one version."""
    try:
        loaded = module.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return Finding("driver version", "absent", "no NVIDIA kernel module is loaded", "fine, unless it has GPUs")
    if answer.error:
        return Finding("driver version", "warning", f"the kernel module is {loaded}, the library says nothing", _SAME)
    if answer.version != loaded:
        found = f"the kernel module is {loaded}, the library {answer.version}"
        return Finding("driver version", "failed", found, _SAME, "calls fail with error 18 until both are the same")
    return Finding("driver version", "ok", f"library and kernel module are {loaded}")


_SAME: Final = "after an upgrade restart the agent, or reboot the node; nvml.library must be of the module's version"


def check_mig_monitoring(answer: DriverAnswer, places: Places, around: Surroundings) -> Finding:
    """Return whether the driver may tell of all MIG instances: it asks for a capability of its own."""
    if not answer.mig:
        return Finding("MIG monitoring", "absent", "no GPU here is in MIG mode", "nothing to do")
    step = (
        "add the component mig-monitoring (SYS_ADMIN and NVIDIA_MIG_MONITOR_DEVICES=all)"
        if around.in_pod
        else "run the agent as root with CAP_SYS_ADMIN"
    )
    lost = "processes and XIDs of MIG instances that the driver tells only through the whole GPU"
    if around.missing("SYS_ADMIN"):
        return Finding("MIG monitoring", "warning", "without the capability SYS_ADMIN", step, lost)
    closed = _closed_capability(places)
    if closed:
        return Finding("MIG monitoring", "warning", closed, step, lost)
    return Finding("MIG monitoring", "ok", "the driver tells of all instances")


def _closed_capability(places: Places) -> str:
    """Return why the driver's capability `mig/monitor` is not ours, or an empty string."""
    monitor = places.driver_capabilities / "mig" / "monitor"
    try:
        minor = _MINOR.search(monitor.read_text("ascii"))
    except (OSError, UnicodeDecodeError) as error:
        return f"{monitor} cannot be read: {error}"
    device = places.capability_devices / f"nvidia-cap{minor[1]}" if minor else None
    if device is not None and not os.access(device, os.R_OK):
        return f"{device} cannot be opened"
    return ""
