"""The kernel's log: what its lines say, and reading it record by record without waiting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.health.kernel_log import KernelLog, XidLine, parse_record, parse_xid_line, pci_address
from gpuledger.errors import DeviceError


class Log:
    """A pipe in packet mode: like /dev/kmsg it gives one record a read, and EAGAIN when there is none."""

    def __init__(self) -> None:
        self._keep, self._writer = os.pipe2(os.O_DIRECT | os.O_NONBLOCK)
        path = Path(f"/proc/self/fd/{self._keep}")
        self.reader = KernelLog(path, wall_us=lambda: 5_000_000_000, monotonic_us=lambda: 1_000_000)

    def write(self, text: str, *, priority: int = 3, at_us: int = 900_000) -> None:
        os.write(self._writer, f"{priority},77,{at_us},-;{text}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:3b:00.0\n".encode())

    def close(self) -> None:
        self.reader.close()
        os.close(self._writer)
        os.close(self._keep)


@pytest.fixture
def log() -> Iterator[Log]:
    made = Log()
    yield made
    made.close()


@pytest.mark.parametrize(("text", "line"), [
    ("NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
     XidLine((0, 0x3B, 0), 79, "GPU has fallen off the bus.")),
    ("NVRM: Xid (PCI:0000:9b:00): 119, pid=1263500, name=cache_mgr_main, Timeout after 6s of waiting, GSP!",
     XidLine((0, 0x9B, 0), 119, "Timeout after 6s of waiting, GSP!", 1_263_500, "cache_mgr_main")),
    ("NVRM: Xid (PCI:0018:01:00): 145, pid=876767, name=ray::WorkerDict, RLW_RXPIPE Nonfatal XC0 i0 Link 13",
     XidLine((0x18, 1, 0), 145, "RLW_RXPIPE Nonfatal XC0 i0 Link 13", 876_767, "ray::WorkerDict")),
    ("NVRM: Xid (PCI:0000:B3:00 GPU-I:03 GPU-CI:01): 94, pid=12, name=python3, Contained: SM (0x1).",
     XidLine((0, 0xB3, 0), 94, "Contained: SM (0x1).", 12, "python3", 3, 1)),
    ("NVRM: Xid (PCI:0000:B3:00 GPU-I:05): 45, pid=12, Ch 00000008", XidLine((0, 0xB3, 0), 45, "Ch 00000008", 12, "", 5)),
    ("NVRM: Xid (PCI:0000:01:00): 31, pid=123", XidLine((0, 1, 0), 31, "", 123)),
    ("[12.5] kernel: NVRM: Xid (0000:01:00): 13, 0005 00000000 0000502d", XidLine((0, 1, 0), 13, "0005 00000000 0000502d")),
    ("NVRM: Xid (PCI:00000000:41:00.0): 63, Row remapping pending", XidLine((0, 0x41, 0), 63, "Row remapping pending")),
    ("NVRM: Xid (PCI:0000:04:00): 48", XidLine((0, 4, 0), 48)),
    ("NVRM: GPU at PCI:0000:01:00: GPU-bc0fa0b9-cac2-f507-b715-9bebdb69c71e", None),
    ("NVRM: Xid without a number", None),
    ("nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 20034, Fatal, Link 3", None),
])  # fmt: skip
def test_a_line_says_board_code_process_and_instance(text: str, line: XidLine | None) -> None:
    """Every form that drivers were seen to write is understood; other lines tell of no XID."""
    assert parse_xid_line(text) == line


@given(st.text(max_size=80))
def test_no_line_is_too_strange(text: str) -> None:
    """Whatever stands in the log, reading it raises nothing."""
    parse_xid_line(text)
    parse_xid_line(f"NVRM: Xid (PCI:0000:3b:00): 13, {text}")
    parse_record(text.encode())


@pytest.mark.parametrize(("bus_id", "address"), [
    ("00000000:3B:00.0", (0, 0x3B, 0)), ("0000:3b:00", (0, 0x3B, 0)), ("0001:00:1f.0", (1, 0, 0x1F)),
    ("", None), ("3b:00.0", None), ("a:b:c:d", None), ("xxxx:3b:00.0", None),
])  # fmt: skip
def test_addresses_compare_however_they_are_spelled(bus_id: str, address: tuple[int, int, int] | None) -> None:
    """NVML, the kernel and /proc spell the same address in three ways."""
    assert pci_address(bus_id) == address


def test_each_line_is_read_once_with_its_instant(log: Log) -> None:
    """Records come with the time since boot: on the wall clock that is when the kernel wrote them."""
    log.write("NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus.", at_us=900_000)
    log.write("usb 1-1: new high-speed USB device")
    log.write("NVRM: Xid (PCI:0000:3b:00): 154, GPU recovery action changed", at_us=950_000)
    assert [(line.code, line.at_us) for line in log.reader.read()] == [(79, 4_999_900_000), (154, 4_999_950_000)]
    assert log.reader.read() == []


def test_only_the_kernel_is_believed(log: Log) -> None:
    """Any privileged process may write into the log; the kernel's own facility is the one that nobody else has."""
    log.write("NVRM: Xid (PCI:0000:3b:00): 79, made up", priority=(1 << 3) | 3)
    assert log.reader.read() == []


def test_records_that_are_none_are_passed_over(log: Log) -> None:
    """A record in no known form does not stop the reading."""
    os.write(log._writer, b"no record at all")
    os.write(log._writer, b"a,b,c;NVRM: Xid (PCI:0000:3b:00): 13")
    log.write("NVRM: Xid (PCI:0000:3b:00): 13")
    assert [line.code for line in log.reader.read()] == [13]


def test_a_log_that_cannot_be_opened_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    """The message names the file, the hint what to do or to leave out."""
    with pytest.raises(DeviceError, match="none") as caught:
        KernelLog(tmp_path / "none")
    assert "CAP_SYSLOG" in caught.value.hint


def test_the_real_log_is_read_from_its_end_and_does_not_wait() -> None:
    """On a machine whose kernel log may be read nothing old is told of, and a made-up line is not believed."""
    path = Path("/dev/kmsg")
    if not os.access(path, os.R_OK):
        pytest.skip("the kernel's log may not be read here: run as root, with /dev/kmsg")
    log = KernelLog(path)
    try:
        assert log.read() == []
        if os.access(path, os.W_OK):
            with path.open("wb", buffering=0) as writer:
                writer.write(b"<3>NVRM: Xid (PCI:00fe:fe:1f): 13, pid=1, name=test-of-gpuledger, made up")
        assert log.read() == []
    finally:
        log.close()
