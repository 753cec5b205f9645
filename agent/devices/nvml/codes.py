"""What NVML's return codes mean for the ledger: a missing value, a fault of one board, or a driver that is gone."""

from __future__ import annotations

from typing import Final

from gpuledger.errors import DeviceError

SUCCESS: Final = 0
UNINITIALIZED: Final = 1
INVALID_ARGUMENT: Final = 2
NOT_SUPPORTED: Final = 3
NO_PERMISSION: Final = 4
NOT_FOUND: Final = 6
INSUFFICIENT_SIZE: Final = 7
DRIVER_NOT_LOADED: Final = 9
TIMEOUT: Final = 10
LIBRARY_NOT_FOUND: Final = 12
FUNCTION_NOT_FOUND: Final = 13
GPU_IS_LOST: Final = 15
RESET_REQUIRED: Final = 16
OPERATING_SYSTEM: Final = 17
LIB_RM_VERSION_MISMATCH: Final = 18
ARGUMENT_VERSION_MISMATCH: Final = 25
UNKNOWN: Final = 999

# The value cannot be had here, whatever the board's health: it is unknown, and not asked again until the next opening.
ABSENT: Final = frozenset({NOT_SUPPORTED, NO_PERMISSION, FUNCTION_NOT_FOUND, ARGUMENT_VERSION_MISMATCH})

# The connection to the driver itself is gone: only a new initialisation can bring it back.
DRIVER_GONE: Final = frozenset({UNINITIALIZED, DRIVER_NOT_LOADED, LIB_RM_VERSION_MISMATCH})

# The board itself says what is wrong with it; any other failure leaves it `unreadable`.
BOARD_FAULTS: Final = {GPU_IS_LOST: "gpu_lost", RESET_REQUIRED: "reset_required"}

_HINTS: Final = {
    NO_PERMISSION: "run the agent as root, or give it access to /dev/nvidiactl and /dev/nvidia*",
    DRIVER_NOT_LOADED: "load the driver (modprobe nvidia), or install it; `nvidia-smi` must work on this node",
    LIBRARY_NOT_FOUND: "install the NVIDIA driver, or name its library with nvml.library = '.../libnvidia-ml.so.1'",
    FUNCTION_NOT_FOUND: "this driver library is too old: gpuledger needs driver 510 or newer",
    GPU_IS_LOST: "see `dmesg | grep NVRM`; a lost GPU needs a reset or a reboot of the node",
    OPERATING_SYSTEM: "the device cgroup blocks the driver (as after `systemctl daemon-reload`): restart the container",
    LIB_RM_VERSION_MISMATCH: "the driver was upgraded under the loaded library: restart the agent, or reboot the node",
}


def fault_of(code: int) -> str:
    """Return the fault of a board whose calls answer `code`."""
    return BOARD_FAULTS.get(code, "unreadable")


def driver_error(doing: str, code: int, words: str) -> DeviceError:
    """Return the error to raise where the driver as a whole failed at `doing` with `code`; `words` are NVML's own."""
    hint = _HINTS.get(code, "run `nvidia-smi` on this node: it asks the same driver")
    return DeviceError(f"the NVIDIA driver failed at {doing}: {words} (NVML error {code})", hint=hint)
