"""`sacct --json` of any version to jobs: plain numbers or `{set, infinite, number}`, one state or a list of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from collector.imports.clockwork import clockwork_job
from collector.imports.findings import Findings
from collector.imports.jobs import JobRecord
from collector.imports.json_values import epoch_us, mapping, mappings, state_of, text, whole_number
from collector.imports.slurm import JOB_STEP, SlurmJob, SlurmOptions, job_records
from collector.imports.times import LocalInstant
from collector.imports.tres import Gpus, count_gpus, parse_gpus
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import ImportFileError

_HINT: Final = "export with: sacct -a -D --json -S FROM -E TO > jobs.json"


class _Document(msgspec.Struct):
    jobs: list[msgspec.Raw]


class Entry(NamedTuple):
    """One job of the document and the line on which it starts."""

    line: int
    content: bytes


def parse_sacct_json(content: bytes, options: SlurmOptions, findings: Findings) -> Iterator[JobRecord]:
    """Yield the jobs in the document that held GPUs; a job that cannot be read is reported with its line.

    Raises ImportFileError where the document as a whole is not what `sacct --json` prints.
    """
    for entry in split_jobs(_as_utf8(content, findings)):
        try:
            job = msgspec.json.decode(entry.content, type=dict[str, Any])
            findings.skip(JOB_STEP, len(mappings(job.get("steps"))))
            yield from job_records(_job(job, entry.line, options, findings), findings)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            findings.problem(entry.line, f"not a job as sacct writes it: {error}")


def split_jobs(content: bytes) -> list[Entry]:
    """Return the entries of `jobs`, each with its line, without reading into them."""
    try:
        document = msgspec.json.decode(content, type=_Document)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ImportFileError(f"not what sacct --json prints: {error}", hint=_HINT) from error
    entries: list[Entry] = []
    position, line = 0, 1
    for raw in document.jobs:
        job = bytes(raw)
        at = content.index(job, position)
        line += content.count(b"\n", position, at)
        entries.append(Entry(line, job))
        line += job.count(b"\n")
        position = at + len(job)
    return entries


def _job(job: dict[str, Any], line: int, options: SlurmOptions, findings: Findings) -> SlurmJob:
    if "slurm" in job:
        return clockwork_job(job, line, options, findings)
    times = mapping(job.get("time"))
    if "start" not in times:
        raise ValueError("it has no time.start: squeue and scontrol print something else than sacct")
    association = mapping(job.get("association"))
    findings.saw(epoch_us(times.get("submission")))
    start_us, end_us = epoch_us(times.get("start")), epoch_us(times.get("end"))
    elapsed = whole_number(times.get("elapsed"))
    return SlurmJob(
        job=_job_id(job),
        cluster=text(job.get("cluster")) or text(association.get("cluster")) or options.cluster,
        state=state_of(job.get("state", job.get("job_state"))),
        start=LocalInstant((start_us,)) if start_us is not None else None,
        end=LocalInstant((end_us,)) if end_us is not None else None,
        elapsed_us=None if elapsed is None else elapsed * US_PER_SECOND,
        gpus=_gpus(mapping(job.get("tres")).get("allocated")),
        account=text(job.get("account")) or text(association.get("account")),
        user=text(job.get("user")) or text(association.get("user")),
        partition=text(job.get("partition")),
        name=text(job.get("name")),
        line=line,
        raw=str(whole_number(job.get("job_id")) or ""),
    )


def _job_id(job: dict[str, Any]) -> str:
    """Return the id as `sacct -P` writes it, so that both exports of a job are one job."""
    array, het = mapping(job.get("array")), mapping(job.get("het"))
    task, offset = whole_number(array.get("task_id")), whole_number(het.get("job_offset"))
    array_id, het_id = whole_number(array.get("job_id")), whole_number(het.get("job_id"))
    if array_id and task is not None:
        return f"{array_id}_{task}"
    if het_id and offset is not None:
        return f"{het_id}+{offset}"
    own = whole_number(job.get("job_id"))
    if own is None:
        raise ValueError("it has no job_id")
    return str(own)


def _gpus(allocated: object) -> Gpus:
    if isinstance(allocated, str):
        return parse_gpus(allocated)
    counts: list[tuple[str, int]] = []
    has_shards = False
    for entry in mappings(allocated):
        if entry.get("type") != "gres":
            continue
        family, _, model = text(entry.get("name")).partition(":")
        count = whole_number(entry.get("count")) or 0
        if family == "gpu":
            counts.append((model, count))
        has_shards |= family == "shard" and count > 0
    return count_gpus(counts, has_shards=has_shards)


def _as_utf8(content: bytes, findings: Findings) -> bytes:
    """Return the document with bytes that are not UTF-8 replaced, each such line reported."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        for number, line in enumerate(content.split(b"\n"), 1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                findings.problem(number, f"not UTF-8 at byte {error.start + 1}: the bytes are shown as \ufffd")
    return content.decode("utf-8-sig", errors="replace").encode()
