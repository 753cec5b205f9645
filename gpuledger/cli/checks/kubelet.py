"""What the kubelet leaves on a node: its socket of device assignments, its logs' names, its device checkpoint."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.finding import NO_KUBERNETES, Finding, Status
from gpuledger.cli.checks.places import Places
from gpuledger.cli.checks.surroundings import Surroundings

_TIMEOUT_S: Final = 3.0
_GRANTS_LOST: Final = "grants: GPUs that pods hold without a process on them, MIG and shared GPUs by pod, ungranted use"
_NAMES_LOST: Final = "pods' names where the API server does not answer"
_CONTAINERS_LOST: Final = "names of containers where the API server does not answer"
_CHECKPOINT_LOST: Final = "the fallback for grants while the kubelet's socket does not answer"


def check_kubelet(places: Places, around: Surroundings) -> list[Finding]:
    """Return what can be had of the kubelet."""
    return [
        check_pod_resources(places.pod_resources, around),
        check_folder("pod logs", places.pod_logs, around, _NAMES_LOST),
        check_folder("container logs", places.container_logs, around, _CONTAINERS_LOST),
        check_device_checkpoint(places.device_plugin, around),
    ]


def check_pod_resources(path: Path, around: Surroundings) -> Finding:
    """Return whether the kubelet's socket of device assignments answers, and goes on to after the kubelet restarts."""
    name = "kubelet socket"
    mount = f"mount the folder {path.parent} read-only into the pod (the folder: the kubelet makes the socket anew)"
    if around.is_mount_point(path):
        found = f"{path} is mounted as a file: it is dead as soon as the kubelet restarts"
        return Finding(name, "failed", found, mount, _GRANTS_LOST)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(str(path))
    except FileNotFoundError:
        return _no_socket(path, mount, around)
    except OSError as error:
        step = "run the agent as root: the socket is root's" if error.errno in {errno.EACCES, errno.EPERM} else _DEAD
        return Finding(name, "failed", f"{path}: {error.strerror or error}", step, _GRANTS_LOST)
    return Finding(name, "ok", f"{path} answers")


_DEAD: Final = "nobody listens: start the kubelet (systemctl status kubelet), and look again"


def _no_socket(path: Path, mount: str, around: Surroundings) -> Finding:
    if path.parent.is_dir():
        return Finding("kubelet socket", "failed", f"{path} is not in its folder", _DEAD, _GRANTS_LOST)
    if around.in_pod:
        return Finding("kubelet socket", "failed", f"{path.parent} is not here", mount, _GRANTS_LOST)
    return Finding("kubelet socket", "absent", f"{path.parent} is not here", NO_KUBERNETES)


def check_folder(name: str, folder: Path, around: Surroundings, lost: str) -> Finding:
    """Return whether one of the kubelet's folders, whose entries name pods and containers, can be listed."""
    mount = f"mount {folder} read-only into the pod"
    try:
        count = sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        if around.in_pod:
            return Finding(name, "warning", f"{folder} is not here", mount, lost)
        return Finding(name, "absent", f"{folder} is not here", NO_KUBERNETES)
    except OSError as error:
        step = f"{mount}, and run as user 0" if around.in_pod else "run the agent as root"
        return Finding(name, "failed", f"{folder}: {error.strerror}", step, lost)
    return Finding(name, "ok", f"{count:,} in {folder}")


def check_device_checkpoint(path: Path, around: Surroundings) -> Finding:
    """Return whether the kubelet's own note of which pod was given which device can be read."""
    name = "device checkpoint"
    try:
        with path.open("rb") as file:
            file.read(1)
    except FileNotFoundError:
        found = f"{path} is not here"
        here: Status = "warning" if around.in_pod else "absent"
        step = f"mount {path.parent} read-only into the pod" if around.in_pod else NO_KUBERNETES
        return Finding(name, here, found, step, _CHECKPOINT_LOST if around.in_pod else "")
    except OSError as error:
        step = "run the agent as root: the file is root's alone"
        return Finding(name, "warning", f"{path}: {error.strerror}", step, _CHECKPOINT_LOST)
    return Finding(name, "ok", f"{path} can be read")
