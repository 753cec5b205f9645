"""The spool: whether its disk can be written, has room for an outage, and outlives the pod."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gpuledger.cli.checks.finding import Finding
from gpuledger.cli.checks.surroundings import Surroundings

MIN_SPOOL_BYTES: Final = 2 * 1024**3
_PASSING: Final = frozenset({"overlay", "tmpfs"})


def check_spool(directory: Path, around: Surroundings) -> Finding:
    """Return whether the spool's disk can be written, has room for an outage, and outlives the pod."""
    existing = _nearest_existing(directory.absolute())
    if not os.access(existing, os.W_OK | os.X_OK):
        step = "run as the user that owns it, mount it writable, or name another folder in [spool] directory"
        return Finding("spool", "failed", f"{existing} cannot be written", step, "the agent does not start")
    mount = around.mount_of(existing.resolve())
    if around.in_pod and mount is not None and mount.kind in _PASSING:
        step = f"mount a hostPath at {directory} (type DirectoryOrCreate)"
        lost = "undelivered batches and the meter's checkpoint, with each restart of the pod"
        return Finding("spool", "failed", f"{existing} lies in the container ({mount.kind})", step, lost)
    free = shutil.disk_usage(existing).free
    words = f"{free / 1024**3:,.1f} GiB free in {existing}"
    if free < MIN_SPOOL_BYTES:
        step = f"keep {MIN_SPOOL_BYTES // 1024**3} GiB free for outages"
        return Finding("spool", "failed", words, step, "time that does not fit while the collector is away")
    return Finding("spool", "ok", words)


def _nearest_existing(directory: Path) -> Path:
    candidates: Sequence[Path] = (directory, *directory.parents)
    return next(path for path in candidates if path.exists())
