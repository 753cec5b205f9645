"""Refused frames, kept as they came for whoever looks into them; the oldest go where there are too many."""

from __future__ import annotations

import hashlib
from typing import Any, Final, NamedTuple

from collector.ledger.database import Session
from collector.ledger.intake import Intake
from collector.ledger.stages import staged
from collector.ledger.state import State
from gpuledger.errors import WireError
from gpuledger.wire import MAX_FRAME_BYTES


class QuarantineLimits(NamedTuple):
    """How much is kept; beyond it the oldest frames go."""

    frames: int = 10_000
    size_bytes: int = 256 * 1024 * 1024


DEFAULT_LIMITS: Final = QuarantineLimits()


class Quarantine:
    """The frames that one transaction refuses; a frame that is there already is not kept twice."""

    def __init__(self, state: State, received_us: int, limits: QuarantineLimits = DEFAULT_LIMITS) -> None:
        self._kept = state.quarantined
        self._state = state
        self._received_us = received_us
        self._limits = limits
        self._rows: list[dict[str, Any]] = []

    def __bool__(self) -> bool:
        return bool(self._rows)

    def add(self, intake: Intake, error: WireError) -> None:
        """Keep a refused frame and why it was refused."""
        frame = intake.frame[:MAX_FRAME_BYTES]
        digest = hashlib.sha256(intake.frame).digest()
        if digest in self._kept:
            return
        quarantine_id = self._state.next_quarantine_id
        self._state.next_quarantine_id += 1
        self._kept[digest] = (quarantine_id, len(frame))
        self._rows.append(
            {
                "quarantine_id": quarantine_id,
                "received_us": self._received_us,
                "code": error.code,
                "detail": str(error),
                "agent": intake.batch.agent if intake.batch else "",
                "digest": digest,
                "frame": frame,
            }
        )

    def write(self, session: Session) -> None:
        """Store what was refused, and let the oldest go beyond the limits."""
        session.execute("insert_quarantine", tables={"incoming_quarantine": staged("incoming_quarantine", self._rows)})
        dropped = self._drop_oldest()
        if dropped is not None:
            session.execute("delete_quarantine", {"dropped_id": dropped})

    def _drop_oldest(self) -> int | None:
        size_bytes = sum(size for _, size in self._kept.values())
        dropped = None
        for digest in list(self._kept):
            if len(self._kept) <= self._limits.frames and size_bytes <= self._limits.size_bytes:
                break
            dropped, size = self._kept.pop(digest)
            size_bytes -= size
        return dropped
