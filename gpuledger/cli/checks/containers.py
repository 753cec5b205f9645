"""Names of containers that no scheduler runs: from the sockets and folders of the programs that do."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.surroundings import Surroundings

_TIMEOUT_S: Final = 3.0
_LOST: Final = "names of containers that neither Kubernetes nor Slurm started; they keep their ids"


def check_containers(places: Mapping[str, Path], around: Surroundings) -> Finding:
    """Return which of docker, podman, containerd and CRI-O, each at its place, may be asked."""
    if around.in_pod:
        step = "fine: the sockets of container programs are root on the node, and pods are named by the kubelet"
        return Finding("containers", "absent", "not looked for in a pod", step)
    here = {name: path for name, path in places.items() if os.path.lexists(path)}
    closed = {name: why for name, path in here.items() if (why := _closed(path))}
    if closed:
        words = "; ".join(f"{name}: {why}" for name, why in closed.items())
        return Finding("containers", "warning", words, "run the agent as root", _LOST)
    if not here:
        return Finding("containers", "absent", f"none of {', '.join(places)} is here", "fine, unless one should be")
    return Finding("containers", "ok", f"{', '.join(here)} can be asked")


def _closed(path: Path) -> str:
    """Return why a socket cannot be connected to or a folder not listed, or an empty string."""
    try:
        if stat.S_ISSOCK(path.stat().st_mode):
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(_TIMEOUT_S)
                connection.connect(str(path))
        else:
            next(path.iterdir(), None)
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return ""
