"""What the kernel module says about itself under /proc/driver/nvidia: its version, and the GPUs that it has."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.devices.base import BoardReading, DriverEvent
from agent.health.kernel_log import pci_address
from gpuledger.errors import DeviceError

_VERSION: Final = re.compile(r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s")


class DriverState:
    """Reads the kernel module's own account; `root` is its folder under /proc."""

    def __init__(self, root: Path = Path("/proc/driver/nvidia")) -> None:
        self._root = root
        self._told: frozenset[str] | None = None  # the difference that was told of last

    def version(self) -> str:
        """Return the version of the loaded kernel module; empty where it cannot be read."""
        try:
            found = _VERSION.search((self._root / "version").read_text("utf-8", errors="replace"))
        except OSError:
            return ""
        return found[1] if found else ""

    def compare(self, boards: Iterable[BoardReading]) -> list[DriverEvent]:
        """Return an event where the module's GPUs and the driver's are no longer the same, or are the same again.

        Raises DeviceError where the folder cannot be read. Where there is none nothing is known.
        """
        listed = self._listed()
        if listed is None:
            return []
        shown = {address for board in boards if (address := pci_address(board.device.pci_bus_id))}
        difference = frozenset(f"missing {listed[address]}" for address in listed.keys() - shown)
        difference |= {f"unlisted {_spelled(address)}" for address in shown - listed.keys()}
        told, self._told = self._told, difference
        if difference == (told or frozenset()):
            return []
        details = {"expected": str(len(listed)), "shown": str(len(shown)), "difference": ", ".join(sorted(difference))}
        if difference:
            message = (
                f"the kernel module has {len(listed)} GPUs, the driver shows {len(shown)}: {details['difference']}"
            )
            return [DriverEvent("gpu_count_mismatch", "", len(shown), message, "error", details=details)]
        message = f"the driver shows all {len(listed)} GPUs again"
        return [DriverEvent("gpu_count_mismatch", "", len(shown), message, "info", details=details)]

    def _listed(self) -> dict[tuple[int, int, int], str] | None:
        try:
            names = [entry.name for entry in (self._root / "gpus").iterdir()]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DeviceError(f"{self._root}/gpus cannot be read: {error.strerror}") from error
        return {address: name for name in names if (address := pci_address(name))}


def _spelled(address: tuple[int, int, int]) -> str:
    return f"{address[0]:04x}:{address[1]:02x}:{address[2]:02x}"
