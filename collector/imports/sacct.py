"""`sacct -P` text to jobs: any columns in any order, with a header or a stated list of fields."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from collector.imports.findings import Findings
from collector.imports.jobs import JobRecord
from collector.imports.lines import Layout, Row, assemble_rows, decode_lines, given_layout, header_layout
from collector.imports.slurm import JOB_STEP, ORPHAN_STEP, SlurmJob, SlurmOptions, job_records
from collector.imports.times import LocalInstant, parse_time
from collector.imports.tres import parse_gpus
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import ImportFileError

_ELAPSED: Final = re.compile(r"(?:(?P<days>\d+)-)?(?:(?P<hours>\d+):)?(?P<minutes>\d+):(?P<seconds>\d+)(?:\.\d+)?")


def parse_sacct(lines: Iterable[bytes], options: SlurmOptions, findings: Findings) -> Iterator[JobRecord]:
    """Yield the jobs in `sacct -P` text that held GPUs; the rest is counted or reported in `findings`.

    Raises ImportFileError where the columns are not known or one that counts is missing.
    """
    numbered = decode_lines(lines, findings)
    if options.fields:
        layout = given_layout(options.fields, options.delimiter)
    else:
        first = next(((number, text) for number, text in numbered if text), None)
        if first is None:
            raise ImportFileError("the file is empty", hint="sacct prints at least the names of its columns")
        layout = header_layout(first[1], options.delimiter)
    rows = assemble_rows(_without_repeated_header(numbered, layout), layout, findings)
    yield from _SacctReader(layout, options, findings).jobs(rows)


class _SacctReader:
    """Turns rows of one layout into jobs, and keeps steps apart from them."""

    def __init__(self, layout: Layout, options: SlurmOptions, findings: Findings) -> None:
        self._position = {name: layout.place_of(name) for name in _USED}
        self._id = layout.place_of("jobid", "jobidraw")
        self._options = options
        self._findings = findings
        self._jobs: set[str] = set()
        self._steps: dict[str, int] = {}

    def jobs(self, rows: Iterable[Row]) -> Iterator[JobRecord]:
        """Yield the records of every row that is a job of its own."""
        for row in rows:
            assert self._id is not None
            job, _, step = row.fields[self._id].partition(".")
            try:
                if step:
                    self._step(job, row)
                else:
                    self._jobs.add(job)
                    yield from job_records(self._job(job, row), self._findings)
            except (ValueError, OverflowError) as error:
                self._findings.problem(row.line, f"job {job}: {error}")
        orphans = sum(count for job, count in self._steps.items() if job not in self._jobs)
        self._findings.skip(ORPHAN_STEP, orphans)
        self._findings.skip(JOB_STEP, sum(self._steps.values()) - orphans)

    def _step(self, job: str, row: Row) -> None:
        self._steps[job] = self._steps.get(job, 0) + 1
        for name in ("start", "end"):
            at = self._time(row, name)
            self._findings.saw(at.readings_us[0] if at else None)

    def _job(self, job: str, row: Row) -> SlurmJob:
        submitted = self._time(row, "submit")
        self._findings.saw(submitted.readings_us[0] if submitted else None)
        return SlurmJob(
            job=job,
            cluster=self._text(row, "cluster") or self._options.cluster,
            state=self._text(row, "state"),
            start=self._time(row, "start"),
            end=self._time(row, "end"),
            elapsed_us=self._elapsed_us(row),
            gpus=parse_gpus(self._text(row, "alloctres")),
            account=self._text(row, "account"),
            user=self._text(row, "user"),
            partition=self._text(row, "partition"),
            name=self._text(row, "jobname"),
            line=row.line,
            raw=self._text(row, "jobidraw"),
        )

    def _text(self, row: Row, name: str) -> str:
        position = self._position[name]
        return "" if position is None else row.fields[position]

    def _time(self, row: Row, name: str) -> LocalInstant | None:
        return parse_time(self._text(row, name), self._options.zone)

    def _elapsed_us(self, row: Row) -> int | None:
        raw = self._text(row, "elapsedraw")
        return int(raw) * US_PER_SECOND if raw else parse_elapsed(self._text(row, "elapsed"))


_USED: Final = (
    "cluster", "state", "start", "end", "submit", "elapsed", "elapsedraw", "alloctres", "account", "user", "partition",
    "jobname", "jobidraw",
)  # fmt: skip


def parse_elapsed(text: str) -> int | None:
    """Return `[DD-][HH:]MM:SS` in microseconds; None where the log does not state it."""
    found = _ELAPSED.fullmatch(text.strip())
    if not found:
        return None
    days, hours, minutes, seconds = (int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
    return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * US_PER_SECOND


def _without_repeated_header(lines: Iterable[tuple[int, str]], layout: Layout) -> Iterator[tuple[int, str]]:
    """Leave out a header above rows whose columns were stated anyway."""
    iterator = iter(lines)
    first = next(iterator, None)
    if first is None:
        return
    names = tuple(name.strip().lower() for name in first[1].split(layout.delimiter))
    yield from iterator if names == layout.columns else chain([first], iterator)
