"""Since when the energy counters of a node's GPUs count: the boot, and the driver module's load within it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_MODULE: Final = Path("/sys/module/nvidia")


def read_driver_epoch(boot_id: Path = _BOOT_ID, module: Path = _MODULE) -> str:
    """Return a key that changes when the node boots or loads the NVIDIA module anew.

    sysfs numbers an entry when it is made and keeps the number until it goes, so the number tells one load from the
    next; the times of sysfs entries do not, for the kernel renews them when it frees memory. What cannot be read is
    left out of the key: counters that go down still begin an epoch.
    """
    try:
        boot = boot_id.read_text("ascii").strip()
    except OSError:
        boot = ""
    try:
        load = str(module.stat().st_ino)
    except OSError:
        load = ""
    return f"{boot}/{load}"
