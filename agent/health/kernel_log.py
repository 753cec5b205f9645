"""The kernel's log as a second source of XIDs: it has the process and the instant, and outlives a driver that fell.

`/dev/kmsg` gives one record a read: `<priority>,<sequence>,<microseconds since boot>,<flags>;<text>`.
"""

from __future__ import annotations

import errno
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gpuledger.errors import DeviceError

_RECORD_BYTES: Final = 8_192  # the kernel's longest record
_RECORDS_PER_READ: Final = 20_000  # a log that never ends must not stop the agent
_XID: Final = re.compile(
    r"NVRM: Xid \((?:PCI:)?(?P<pci>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-9a-fA-F])?"
    r"(?: GPU-I:(?P<gi>\d+))?(?: GPU-CI:(?P<ci>\d+))?\): (?P<code>\d+)(?:, ?(?P<rest>.*))?",
    re.DOTALL,
)
_PROCESS: Final = re.compile(r"pid='?(?P<pid>\d+|<unknown>)'?(?:, name=(?P<name>[^,]*))?(?:, |$)")
_KERNEL: Final = 0  # the facility of what the kernel itself wrote: nobody else can have it


class XidLine(NamedTuple):
    """An XID as the kernel's log tells it."""

    pci: tuple[int, int, int]  # domain, bus, device
    code: int
    text: str = ""
    pid: int | None = None
    process: str = ""
    gpu_instance: int | None = None
    compute_instance: int | None = None
    at_us: int | None = None


def pci_address(bus_id: str) -> tuple[int, int, int] | None:
    """Return domain, bus and device of "00000000:3B:00.0" or "0000:3b:00", or None where it is no such address."""
    parts = bus_id.partition(".")[0].split(":")
    try:
        domain, bus, device = (int(part, 16) for part in parts)
    except ValueError:
        return None
    return domain, bus, device


def parse_xid_line(text: str) -> XidLine | None:
    """Return the XID that a line of the kernel's log tells of, or None where it tells of none."""
    found = _XID.search(text)
    if found is None:
        return None
    address = pci_address(found["pci"])
    assert address is not None  # the pattern has three numbers
    rest = (found["rest"] or "").strip()
    process = _PROCESS.match(rest)
    pid, name = (process["pid"], process["name"] or "") if process else ("", "")
    return XidLine(
        address,
        int(found["code"]),
        rest[process.end() :] if process else rest,
        int(pid) if pid.isdigit() else None,
        "" if name == "<unknown>" else name,
        None if found["gi"] is None else int(found["gi"]),
        None if found["ci"] is None else int(found["ci"]),
    )


def parse_record(record: bytes) -> tuple[int, int, str] | None:
    """Return facility, microseconds since boot and text of a record, or None for what is no record."""
    head, separator, text = record.partition(b";")
    fields = head.split(b",")
    if not separator or len(fields) < 3 or not (fields[0].isdigit() and fields[2].isdigit()):
        return None
    return int(fields[0]) >> 3, int(fields[2]), text.partition(b"\n")[0].decode(errors="replace")


class KernelLog:
    """Reads what is written to the kernel's log from now on, without ever waiting for it.

    `lost` counts how often records were overwritten before they were read. Raises DeviceError where the log cannot be
    opened.
    """

    def __init__(
        self,
        path: Path = Path("/dev/kmsg"),
        *,
        wall_us: Callable[[], int] = lambda: time.time_ns() // 1_000,
        monotonic_us: Callable[[], int] = lambda: time.monotonic_ns() // 1_000,
    ) -> None:
        self._path = path
        self._wall_us = wall_us
        self._monotonic_us = monotonic_us
        self.lost = 0
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            hint = "mount it and give the agent CAP_SYSLOG, or set health.kernel_log to an empty text"
            raise DeviceError(f"the kernel's log {path} cannot be read: {error.strerror}", hint=hint) from error
        try:
            os.lseek(self._file, 0, os.SEEK_END)  # what was written before the agent came is not new
        except OSError as error:
            if error.errno != errno.ESPIPE:  # a pipe has no past
                raise

    def read(self) -> list[XidLine]:
        """Return the XIDs that were logged since the last call. Raises DeviceError where the log cannot be read."""
        offset_us = self._wall_us() - self._monotonic_us()
        found = []
        for record in self._records():
            parsed = parse_record(record)
            if parsed is None or parsed[0] != _KERNEL:
                continue
            line = parse_xid_line(parsed[2])
            if line is not None:
                found.append(line._replace(at_us=offset_us + parsed[1]))
        return found

    def close(self) -> None:
        """Close the log."""
        os.close(self._file)

    def _records(self) -> Iterator[bytes]:
        for _ in range(_RECORDS_PER_READ):
            try:
                record = os.read(self._file, _RECORD_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EPIPE:
                    raise DeviceError(f"the kernel's log {self._path} cannot be read: {error.strerror}") from error
                self.lost += 1  # overwritten: the next read goes on with the oldest that is left
                continue
            if not record:
                return
            yield record
