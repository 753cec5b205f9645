"""A job log on disk, opened as one of the known sources and read in chunks that are applied one after another."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Literal, get_args

from collector.imports.findings import Findings
from collector.imports.jobs import NO_FACTS, JobRecord, PoolFacts, pool_name
from collector.imports.payload import JobImport
from collector.imports.sacct import parse_sacct
from collector.imports.sacct_json import parse_sacct_json
from collector.imports.slurm import SlurmOptions
from collector.imports.table_map import TableMap, parse_map, read_map
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError, ImportFileError

Source = Literal["sacct", "sacct-json", "table"]
SOURCES: Final[tuple[str, ...]] = get_args(Source)
DEFAULT_CLUSTER: Final = "default"
CHUNK_HOURS: Final = 40_000  # job-hours, about as many usage rows: one transaction, a few megabytes
STARTED_LATER: Final = "started after the given instant"


class JobLog:
    """The jobs of one file. `findings` grows while `chunks` is consumed and is complete when it ends."""

    def __init__(
        self,
        source: str,
        import_id: str,
        read: Callable[[Findings], Iterator[JobRecord]],
        *,
        facts: PoolFacts = NO_FACTS,
        as_of_us: int | None = None,
    ) -> None:
        self.source = source
        self.import_id = import_id
        self.facts = facts
        self.findings = Findings()
        self._read = read
        self._as_of_us = as_of_us

    @property
    def horizon_us(self) -> int | None:
        """Return up to when jobs that have not ended are booked: as stated, else the latest instant in the log."""
        return self.findings.latest_us if self._as_of_us is None else self._as_of_us

    def chunks(self) -> Iterator[JobImport]:
        """Yield the jobs, those that have not ended last: up to when they are booked is known at the end of the log."""
        pending: list[JobRecord] = []
        still_open: list[JobRecord] = []
        hours = 0
        unused = set(self.facts.capacity)
        for record in self._read(self.findings):
            unused.discard(pool_name(record))
            if record.end_us is None:
                still_open.append(record)
                continue
            pending.append(record)
            hours += (record.end_us - record.start_us) // US_PER_HOUR + 2
            if hours >= CHUNK_HOURS:
                yield JobImport(self.import_id, tuple(pending), facts=self.facts)
                pending, hours = [], 0
        if pending:
            yield JobImport(self.import_id, tuple(pending), facts=self.facts)
        yield from self._open_chunks(still_open)
        for name in sorted(unused):
            self.findings.problem(0, f'"{name}" has a capacity, and no job of this log is in a pool of that name')

    def _open_chunks(self, records: list[JobRecord]) -> Iterator[JobImport]:
        horizon_us = self.horizon_us
        if horizon_us is None:
            return
        started = [record for record in records if record.start_us <= horizon_us]
        self.findings.skip(STARTED_LATER, len(records) - len(started))
        pending: list[JobRecord] = []
        hours = 0
        for record in started:
            pending.append(record)
            hours += (horizon_us - record.start_us) // US_PER_HOUR + 2
            if hours >= CHUNK_HOURS or record is started[-1]:
                yield JobImport(self.import_id, tuple(pending), horizon_us, self.facts)
                pending, hours = [], 0


def open_job_log(
    path: Path,
    source: str,
    *,
    map_path: Path | None = None,
    zone: str = "",
    cluster: str = "",
    fields: tuple[str, ...] = (),
    delimiter: str = "",
    as_of_us: int | None = None,
) -> JobLog:
    """Return the log in a file; `zone` and `cluster` override the map's (UTC and `default` without one).

    Raises ConfigError on options that do not fit together, ImportFileError where the file cannot be read.
    """
    if source not in SOURCES:
        raise ConfigError(f'unknown source "{source}"', hint=f"one of: {', '.join(SOURCES)}")
    table_map = read_map(map_path, zone=zone) if map_path else parse_map("", "no map", zone=zone)
    if source == "table" and map_path is None:
        raise ConfigError("a table needs a map of its columns", hint="--map FILE; docs/examples has maps to start from")
    if source != "table" and table_map.columns:
        raise ConfigError(f"[columns] of {table_map.source} is for tables", hint="Slurm names its own columns")
    fields = fields or table_map.fields
    if fields and source != "sacct":
        raise ConfigError("a list of fields is for sacct text", hint="tables have a map, JSON names its fields")
    named = cluster or table_map.cluster or DEFAULT_CLUSTER
    options = SlurmOptions(table_map.zone, named, fields, delimiter or table_map.delimiter)
    return JobLog(
        source,
        _digest(path),
        _reader(path, source, options, table_map),
        facts=table_map.facts,
        as_of_us=as_of_us,
    )


def _reader(
    path: Path, source: str, options: SlurmOptions, table_map: TableMap
) -> Callable[[Findings], Iterator[JobRecord]]:
    def read(findings: Findings) -> Iterator[JobRecord]:
        if source == "table":
            from collector.imports.table import parse_table  # noqa: PLC0415 - pyarrow, which Slurm logs do not need

            yield from parse_table(path, table_map.in_cluster(options.cluster), findings)
        elif source == "sacct-json":
            yield from parse_sacct_json(path.read_bytes(), options, findings)
        else:
            with path.open("rb") as file:
                yield from parse_sacct(file, options, findings)

    return read


def _digest(path: Path) -> str:
    """Return the identity of a log: what rows that come from it name as their origin."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:32]
    except OSError as error:
        raise ImportFileError(f"cannot read {path}: {error.strerror}", hint="give the path of a job log") from error
