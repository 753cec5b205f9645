"""A job log in transit: what the command line sends to `POST /v1/imports/jobs`, and what it gets back."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.imports.findings import Problem
from collector.imports.jobs import NO_FACTS, JobRecord, PoolFacts, implausible
from gpuledger.errors import ImportFileError
from gpuledger.wire import MAX_UNITS

MEDIA_TYPE: Final = "application/vnd.gpuledger.job-import"
SCHEMA_VERSION: Final = 1


class JobImport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some jobs of one log, complete in themselves: applied twice they change nothing the second time.

    `horizon_us` is the instant up to which jobs that have not ended are booked; None where there are none.
    """

    import_id: str  # of the log's content
    records: tuple[JobRecord, ...]
    horizon_us: int | None = None
    facts: PoolFacts = NO_FACTS
    schema: int = SCHEMA_VERSION


class Applied(msgspec.Struct, frozen=True):
    """What became of the jobs of one `JobImport`; GPU time is what was newly booked, in microseconds x GPUs."""

    new: int = 0
    extended: int = 0
    unchanged: int = 0
    conflicts: int = 0
    open: int = 0
    rows: int = 0
    gpu_us: int = 0
    gpu_us_by_team: dict[str, int] = {}
    problems: tuple[Problem, ...] = ()

    @property
    def jobs(self) -> int:
        """Return how many records there were."""
        return self.new + self.extended + self.unchanged + self.conflicts


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(JobImport)


def encode_import(chunk: JobImport) -> bytes:
    """Return the bytes to send."""
    return _encoder.encode(chunk)


def decode_import(content: bytes) -> JobImport:
    """Return the jobs in `content`, each usable. Raises ImportFileError."""
    try:
        chunk = _decoder.decode(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ImportFileError(
            f"not a job import of schema {SCHEMA_VERSION}: {error}",
            hint='send job logs with "gpuledger import jobs FILE --url URL"',
        ) from error
    if chunk.schema != SCHEMA_VERSION:
        raise ImportFileError(
            f"job imports of schema {chunk.schema} are not known here (known: {SCHEMA_VERSION})",
            hint="use the command line of the collector's version",
        )
    for record in chunk.records:
        _check(record, chunk.horizon_us)
    for name, gpus in chunk.facts.capacity.items():
        if not 0 < gpus <= MAX_UNITS:
            raise ImportFileError(f'the capacity of "{name}" is {gpus} GPUs', hint=f"give 1 to {MAX_UNITS}")
    return chunk


def _check(record: JobRecord, horizon_us: int | None) -> None:
    until_us = horizon_us if record.end_us is None else record.end_us
    if not (record.job and record.cluster) or record.gpus <= 0 or until_us is None:
        raise ImportFileError(
            f"job {record.job!r} of cluster {record.cluster!r} lacks a name, its GPUs or its end",
            hint='send job logs with "gpuledger import jobs FILE --url URL"',
        )
    nonsense = implausible(record.start_us, until_us, record.gpus)
    if nonsense:
        raise ImportFileError(f"job {record.job}: {nonsense}", hint="see the log that the jobs come from")
    if until_us < record.start_us and record.end_us is not None:
        raise ImportFileError(f"job {record.job} ends before it starts", hint="see the log that the jobs come from")
