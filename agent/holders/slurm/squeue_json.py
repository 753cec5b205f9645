"""What `squeue --json` says of one node's jobs, in the dialects of Slurm 21.08 to 26.05. Pure.

Counts are plain numbers or `{"set", "infinite", "number"}`, states a word or a list of words; `gres_detail` has a text
for each of the job's nodes: `gpu:h100:2(IDX:0-1)`, `shard:3(IDX:2)`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from agent.holders.slurm.conf import parse_gres
from agent.holders.slurm.facts import JobFacts
from agent.holders.slurm.hostlist import expand
from gpuledger.errors import HolderError

_DETAIL: Final = re.compile(r"((?:gpu|shard|mps)(?::[^:(),]+)*:\d+[KMGTP]?)\(IDX:([0-9,\-]+)\)")
_RUNS: Final = frozenset({"RUNNING", "SUSPENDED", "STOPPED", "COMPLETING", "CONFIGURING"})


class _Number(msgspec.Struct):
    set: bool = True
    infinite: bool = False
    number: int | float = 0


_Count = _Number | int | str | None


class _Job(msgspec.Struct):
    job_id: _Count = None
    array_job_id: _Count = None
    array_task_id: _Count = None
    user_id: _Count = None
    user_name: str | None = ""
    account: str | None = ""
    partition: str | None = ""
    name: str | None = ""
    cluster: str | None = ""
    sluid: str | None = ""
    nodes: str | None = ""
    job_state: list[str] | str | None = ""
    gres_detail: list[str] | None = None


class _Answer(msgspec.Struct):
    jobs: list[_Job]


class QueuedJob(NamedTuple):
    """A job that the controller says runs on this node, and the indices of the GPUs that it has here."""

    facts: JobFacts
    gpus: frozenset[int]
    told: bool  # whether the controller told the indices


_DECODER: Final = msgspec.json.Decoder(_Answer)


def parse_squeue(content: bytes, node: str) -> dict[str, QueuedJob]:
    """Return the running jobs of `node`. Raises HolderError where the text is not squeue's JSON."""
    try:
        answer = _DECODER.decode(content)
    except msgspec.DecodeError as error:
        hint = "Slurm 21.08 or newer answers `squeue --json`"
        raise HolderError(f"the answer of squeue is not understood: {error}", hint=hint) from error
    found: dict[str, QueuedJob] = {}
    for job in answer.jobs:
        queued = _queued(job, node)
        if queued is not None:
            found[queued.facts.job] = queued
    return found


def parse_detail(detail: str) -> tuple[dict[str, int], frozenset[int]]:
    """Return the counts in a `gres_detail` text by resource, and the indices of GPUs that it names."""
    counts: dict[str, int] = {}
    indices: set[int] = set()
    for gres, ranges in _DETAIL.findall(detail):
        (parsed,) = parse_gres(gres)
        counts[parsed.name] = counts.get(parsed.name, 0) + parsed.number
        indices |= {int(number) for number in expand(f"[{ranges}]")}
    return counts, frozenset(indices)


def _queued(job: _Job, node: str) -> QueuedJob | None:
    number = _count(job.job_id)
    states = [job.job_state] if isinstance(job.job_state, str) else job.job_state or []
    if number is None or not _RUNS & set(states):
        return None
    try:
        nodes = expand(job.nodes or "")
    except ValueError:
        return None
    if node not in nodes:
        return None
    details = job.gres_detail or []
    detail = details[nodes.index(node)] if len(details) == len(nodes) else ""
    try:
        counts, indices = parse_detail(detail)
    except ValueError:
        counts, indices = {}, frozenset()
    array = _count(job.array_job_id) or None
    facts = JobFacts(
        job=str(number),
        sluid=job.sluid or "",
        array_job=str(array or ""),
        array_task=_text(_count(job.array_task_id) if array else None),
        uid=_count(job.user_id),
        user=job.user_name or "",
        account=job.account or "",
        partition=job.partition or "",
        name=(job.name or "")[:256],
        cluster=job.cluster or "",
        gpus=tuple(str(index) for index in sorted(indices)),
        gpus_on_node=counts.get("gpu"),
        shards=counts.get("shard"),
    )
    return QueuedJob(facts, indices, bool(indices))


def _count(value: _Count) -> int | None:
    """Return a count; what is not set, infinite or no number is not known."""
    if isinstance(value, _Number):
        return int(value.number) if value.set and not value.infinite else None
    if isinstance(value, str):
        return int(value) if value.isascii() and value.isdigit() else None
    return value


def _text(number: int | None) -> str:
    return "" if number is None else str(number)
