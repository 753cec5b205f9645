"""A job as Clockwork keeps it (a store of `sacct --json` over many clusters): `{"slurm": {...}, "cw": {...}}`."""

from __future__ import annotations

from typing import Any

from collector.imports.findings import Findings
from collector.imports.json_values import epoch_us, mapping, state_of, text, whole_number
from collector.imports.slurm import SlurmJob, SlurmOptions
from collector.imports.times import LocalInstant
from collector.imports.tres import Gpus, count_gpus, parse_gpus
from gpuledger.accounting.units import US_PER_SECOND


def clockwork_job(entry: dict[str, Any], line: int, options: SlurmOptions, findings: Findings) -> SlurmJob:
    """Return the allocation in an entry. Raises ValueError where it lacks what sacct always writes."""
    job, seen = mapping(entry.get("slurm")), mapping(entry.get("cw")).get("last_slurm_update")
    number = whole_number(job.get("job_id"))
    if number is None:
        raise ValueError("it has no job_id")
    if isinstance(seen, int | float):
        findings.saw(int(seen) * US_PER_SECOND)
    start_us, end_us = epoch_us(job.get("start_time")), epoch_us(job.get("end_time"))
    return SlurmJob(
        job=str(number),
        cluster=text(job.get("cluster_name")) or options.cluster,
        state=state_of(job.get("job_state")),
        start=LocalInstant((start_us,)) if start_us is not None else None,
        end=LocalInstant((end_us,)) if end_us is not None else None,
        elapsed_us=None,
        gpus=_gpus(job.get("tres_allocated")),
        account=text(job.get("account")),
        user=text(job.get("username")),
        partition=text(job.get("partition")),
        name=text(job.get("name")),
        line=line,
    )


def _gpus(allocated: object) -> Gpus:
    if isinstance(allocated, str):
        return parse_gpus(allocated)
    counts = mapping(allocated)
    typed = [
        (name.removeprefix("gres/gpu:"), whole_number(count) or 0)
        for name, count in counts.items()
        if name.startswith("gres/gpu:")
    ]
    return count_gpus([*typed, ("", whole_number(counts.get("num_gpus")) or 0)])
