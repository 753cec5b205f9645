"""The checks that `doctor` makes, each on its own: one that fails never hides another."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from gpuledger.cli.extras import EXTRAS, install_command, missing_modules
from gpuledger.errors import DeviceError

POD_LOGS: Final = Path("/var/log/pods")
POD_RESOURCES: Final = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
DRIVER_DEVICE: Final = Path("/dev/nvidiactl")
MIN_SPOOL_BYTES: Final = 2 * 1024**3
MAX_SKEW_S: Final = 2.0
TIMEOUT_S: Final = 3.0


class Finding(NamedTuple):
    """What one check found. `status`: ok, warning, failed, or absent (not here, and perhaps not meant to be)."""

    check: str
    status: str
    found: str
    next_step: str = ""


def machine_checks(url: str, spool: Path) -> list[Finding]:
    """Return every check's finding on this machine."""
    return [
        *check_extras(),
        check_driver(),
        check_driver_permission(DRIVER_DEVICE),
        check_processes(Path("/proc")),
        check_pod_logs(POD_LOGS),
        check_pod_resources(POD_RESOURCES),
        check_slurm(os.environ.get("PATH", "")),
        *check_collector(url),
        check_spool(spool),
    ]


def check_extras() -> list[Finding]:
    """Return which optional parts are installed."""
    findings = []
    for extra in EXTRAS:
        missing = missing_modules(extra)
        if missing:
            found = f"without {', '.join(missing)}"
            findings.append(
                Finding(f"extra: {extra}", "absent", found, f"where it is needed: {install_command(extra)}")
            )
        else:
            findings.append(Finding(f"extra: {extra}", "ok", "installed"))
    return findings


def check_driver() -> Finding:
    """Return whether NVML answers, and for how many GPUs."""
    if missing_modules("agent"):
        return Finding("driver", "absent", "the agent extra is not installed", install_command("agent"))
    from agent.devices.nvml import NvmlSource

    try:
        source = NvmlSource()
        try:
            reading = source.read()
        finally:
            source.close()
    except DeviceError as error:
        if not DRIVER_DEVICE.exists():
            return Finding("driver", "absent", "no NVIDIA driver on this machine", "fine, unless it has GPUs")
        return Finding("driver", "failed", error.message, error.hint)
    faulty = [board.device.key for board in reading.boards if board.fault]
    if faulty:
        return Finding("driver", "failed", f"cannot be read: {', '.join(faulty)}", "nvidia-smi -q, then the kernel log")
    return Finding("driver", "ok", f"version {reading.driver_version}, {len(reading.boards)} GPUs")


def count_gpus() -> int:
    """Return how many GPUs NVML finds on this machine; 0 where there is no driver."""
    from agent.devices.nvml import NvmlSource

    try:
        source = NvmlSource()
        try:
            return len(source.read().boards)
        finally:
            source.close()
    except DeviceError:
        return 0


def check_driver_permission(device: Path) -> Finding:
    """Return whether this user may open the driver's device file."""
    if not device.exists():
        return Finding("driver permission", "absent", f"{device} is not here", "fine, unless this machine has GPUs")
    if os.access(device, os.R_OK | os.W_OK):
        return Finding("driver permission", "ok", f"{device} can be opened")
    return Finding("driver permission", "failed", f"{device} cannot be opened by this user", "run the agent as root")


def check_processes(proc: Path) -> Finding:
    """Return whether other users' processes are visible: without them holders have no names."""
    try:
        init = (proc / "1" / "comm").read_text().strip()
        (proc / "1" / "cgroup").read_text()
    except OSError as error:
        return Finding(
            "processes", "failed", f"{error.filename}: {error.strerror}", "run as root; in a pod set hostPID"
        )
    count = sum(entry.name.isdigit() for entry in proc.iterdir())
    if (proc / "self").resolve().name == "1" or init in {"gpuledger", "python", "python3"}:
        return Finding("processes", "warning", "process 1 is not the host's init", "in a pod, set hostPID: true")
    return Finding("processes", "ok", f"{count:,} visible, process 1 is {init}")


def check_pod_logs(directory: Path) -> Finding:
    """Return whether the kubelet's log folder, which names pods, can be read."""
    if not directory.is_dir():
        return Finding("pod logs", "absent", f"{directory} is not here", "fine, unless this is a Kubernetes node")
    try:
        count = sum(1 for _ in directory.iterdir())
    except OSError as error:
        return Finding(
            "pod logs", "failed", f"{directory}: {error.strerror}", f"mount {directory} read-only into the pod"
        )
    return Finding("pod logs", "ok", f"{count:,} pods in {directory}")


def check_pod_resources(socket: Path) -> Finding:
    """Return whether the kubelet's socket of device assignments is here."""
    if not socket.exists():
        return Finding("kubelet socket", "absent", f"{socket} is not here", "fine, unless this is a Kubernetes node")
    if os.access(socket, os.R_OK | os.W_OK):
        return Finding("kubelet socket", "ok", f"{socket} can be opened")
    return Finding("kubelet socket", "failed", f"{socket} cannot be opened by this user", "run the agent as root")


def check_slurm(path: str) -> Finding:
    """Return whether Slurm's commands are here."""
    scontrol = shutil.which("scontrol", path=path)
    if scontrol:
        return Finding("Slurm", "ok", scontrol)
    return Finding("Slurm", "absent", "no scontrol on PATH", "fine, unless this is a Slurm node")


def check_collector(url: str) -> list[Finding]:
    """Return whether the collector can commit, and how far its clock is from ours."""
    step = 'start it with "gpuledger collector", or name it with --url'
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    before = time.time()
    try:
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        connection.request("GET", f"{parts.path.rstrip('/')}/readyz")
        response = connection.getresponse()
        response.read()
    except (OSError, HTTPException, ValueError) as error:
        return [Finding("collector", "failed", f"{url}: {error}", step)]
    finally:
        after = time.time()
    connection.close()
    if response.status != 200:
        return [Finding("collector", "failed", f"{url} answers {response.status}", "read the collector's log")]
    return [Finding("collector", "ok", url), check_clock(response.getheader("Date") or "", before, after)]


def check_clock(date: str, before_s: float, after_s: float) -> Finding:
    """Return how far the collector's clock is from ours; its Date header counts whole seconds."""
    try:
        theirs = parsedate_to_datetime(date).timestamp()
    except ValueError:
        return Finding("clock", "warning", "the collector gives no Date", "compare both with a time server")
    skew_s = max(before_s - (theirs + 1), theirs - after_s, 0.0)
    if skew_s > MAX_SKEW_S:
        at = datetime.fromtimestamp(theirs, tz=UTC)
        found = f"{skew_s:.0f} s apart (collector: {at:%H:%M:%S} UTC)"
        return Finding("clock", "failed", found, "set both clocks (chrony, systemd-timesyncd): batches may be refused")
    return Finding("clock", "ok", "within a second or two of the collector's")


def check_spool(directory: Path) -> Finding:
    """Return whether the spool's disk can be written and has room for an outage."""
    existing = _nearest_existing(directory.absolute())
    if not os.access(existing, os.W_OK):
        return Finding("spool", "failed", f"{existing} cannot be written", "name another folder in [spool] directory")
    free = shutil.disk_usage(existing).free
    words = f"{free / 1024**3:,.1f} GiB free in {existing}"
    if free < MIN_SPOOL_BYTES:
        return Finding("spool", "failed", words, f"keep {MIN_SPOOL_BYTES // 1024**3} GiB free for outages")
    return Finding("spool", "ok", words)


def _nearest_existing(directory: Path) -> Path:
    candidates: Sequence[Path] = (directory, *directory.parents)
    return next(path for path in candidates if path.exists())
