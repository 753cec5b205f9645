"""What reading a board leaves to whoever reads it next: another session with the driver, or another process."""

from __future__ import annotations

from typing import NamedTuple

from agent.devices.base import BoardHealth
from gpuledger.model import Device


class BoardMarks(NamedTuple):
    """Who a board is and how far it was read: with these no sample or record of a process is lost or counts twice."""

    device: Device
    mig: bool = False
    instances: tuple[Device, ...] = ()
    pids: tuple[int, ...] = ()
    last_seen_us: int | None = None
    told: dict[int, int] | None = None  # who ended and was told of: pid and start
    slow_health: BoardHealth = BoardHealth()  # what changes slowly, and when it was read
