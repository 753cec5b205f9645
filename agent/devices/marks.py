"""What reading a board leaves to whoever reads it next: another session with the driver, or another process."""

from __future__ import annotations

from typing import NamedTuple

from gpuledger.model import Device


class BoardMarks(NamedTuple):
    """Who a board is and how far it was read: with these no sample of a process is lost and none counts twice."""

    device: Device
    mig: bool = False
    instances: tuple[Device, ...] = ()
    pids: tuple[int, ...] = ()
    last_seen_us: int | None = None
