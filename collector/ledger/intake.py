"""A frame as it arrives: read and checked, or refused with the reason; pure, so that any thread may do it."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from collector.ledger.limits import check_sizes
from collector.ledger.sound import Spans, covered_spans, sound_spans
from gpuledger import wire
from gpuledger.errors import WireError


class Content(NamedTuple):
    """A batch that keeps its promises, its columns, and the time that they cover."""

    batch: wire.Batch
    columns: wire.Columns
    spans: Spans


class Intake(NamedTuple):
    """A frame, and what it holds; or (with an error) as much as could be read."""

    frame: bytes
    batch: wire.Batch | None
    content: Content | None
    error: WireError | None


class BatchResult(msgspec.Struct, frozen=True):
    """What became of one frame. `code` is empty where it was taken, else the WireError's code."""

    agent: str
    boot: str
    sequence: int
    rows: int
    duplicate: bool = False
    code: str = ""
    detail: str = ""
    hint: str = ""

    @property
    def taken(self) -> bool:
        """Return whether the ledger holds this batch."""
        return not self.code


def read(frame: bytes, now_us: int) -> Intake:
    """Return the checked content of `frame`; `now_us` is the collector's clock."""
    batch: wire.Batch | None = None
    try:
        batch = wire.decode(frame)
        wire.check_envelope(batch, now_us=now_us)
        columns = wire.columns(batch)
        spans = sound_spans(batch, columns)
        if spans is None:
            wire.check_usage(batch, columns)
            check_sizes(columns)
            spans = covered_spans(columns)
    except WireError as error:
        return Intake(frame, batch, None, error)
    return Intake(frame, batch, Content(batch, columns, spans), None)


def taken(batch: wire.Batch, *, duplicate: bool = False) -> BatchResult:
    """Return the answer for a batch that the ledger holds."""
    return BatchResult(batch.agent, batch.boot, batch.sequence, batch.rows, duplicate)


def refused(batch: wire.Batch | None, error: WireError) -> BatchResult:
    """Return the answer for a frame that was put in quarantine."""
    agent, boot, sequence = batch.id if batch else ("", "", -1)
    return BatchResult(agent, boot, sequence, 0, code=error.code, detail=error.message, hint=error.hint)
