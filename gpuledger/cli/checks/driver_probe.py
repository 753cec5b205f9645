"""Asks the NVIDIA driver what is here, in a process of its own: a wedged driver answers no call, and kills no wait."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import msgspec

from gpuledger.errors import DeviceError

TIMEOUT_S: Final = 20.0


class DriverAnswer(msgspec.Struct, frozen=True):
    """What the driver said: its version and boards, or why it says nothing."""

    version: str = ""
    boards: tuple[str, ...] = ()
    faulty: tuple[str, ...] = ()
    mig: bool = False  # a board is in MIG mode
    error: str = ""
    hint: str = ""


def ask_driver(library: Path | None = None, *, timeout_s: float = TIMEOUT_S) -> DriverAnswer:
    """Return what the driver says, or after `timeout_s` that it does not answer."""
    command = [sys.executable, "-m", __name__, *([str(library)] if library else [])]
    try:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        return DriverAnswer(error=f"{sys.executable} cannot be started: {error.strerror}", hint="run as another user")
    try:
        answer, complaint = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()  # not waited for: a process within the driver cannot be ended
        return DriverAnswer(
            error=f"the driver did not answer within {timeout_s:g} s: it is wedged",
            hint="read the kernel log (dmesg | grep -e NVRM -e Xid); a wedged driver needs a reset or a reboot",
        )
    try:
        return msgspec.json.decode(answer, type=DriverAnswer)
    except msgspec.MsgspecError:
        lines = complaint.decode("utf-8", "replace").strip().splitlines()
        said = lines[-1] if lines else f"code {process.returncode}"
        return DriverAnswer(error=f"asking the driver ended with: {said}", hint="run nvidia-smi: it asks the same")


def read_driver(library: Path | None) -> DriverAnswer:
    """Ask the driver from this process."""
    from agent.devices.nvml import NvmlSource

    try:
        source = NvmlSource(library, gauges=False)
        try:
            reading = source.read()
        finally:
            source.close()
    except DeviceError as error:
        return DriverAnswer(error=error.message, hint=error.hint)
    return DriverAnswer(
        version=reading.driver_version,
        boards=tuple(board.device.key for board in reading.boards),
        faulty=tuple(board.device.key for board in reading.boards if board.fault),
        mig=any(board.mig for board in reading.boards),
    )


if __name__ == "__main__":
    named = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    sys.stdout.buffer.write(msgspec.json.encode(read_driver(named)))
