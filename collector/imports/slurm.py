"""One Slurm job, however its log is written, to the records that it stands for or the reason why there are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from collector.imports.findings import Findings
from collector.imports.jobs import JobRecord, implausible
from collector.imports.times import LocalInstant, resolve_run
from collector.imports.tres import Gpus

PENDING: Final = "pending"
CANCELLED_BEFORE_START: Final = "cancelled before it started"
NEVER_STARTED: Final = "never started"
NO_GPU: Final = "held no GPU"
SHARDS_ONLY: Final = "held GPU shards only"
NO_TIME: Final = "ended as it started"
JOB_STEP: Final = "job step"
ORPHAN_STEP: Final = "job step whose job is not in the file"
NOT_ENDED: Final = frozenset(
    {
        "",
        "RUNNING",
        "SUSPENDED",
        "COMPLETING",
        "CONFIGURING",
        "RESIZING",
        "STOPPED",
        "SIGNALING",
        "STAGE_OUT",
        "REQUEUED",
    }
)
_WAITING: Final = frozenset({"PENDING", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD", "REQUEUE_FED"})
_STATE: Final = re.compile(r"[A-Z_]+")


class SlurmJob(msgspec.Struct, frozen=True):
    """An allocation as a log states it, its times not yet told apart where the clock was set back."""

    job: str
    cluster: str
    state: str
    start: LocalInstant | None
    end: LocalInstant | None
    elapsed_us: int | None
    gpus: Gpus
    account: str = ""
    user: str = ""
    partition: str = ""
    name: str = ""
    line: int = 0
    raw: str = ""


class SlurmOptions(msgspec.Struct, frozen=True):
    """What a Slurm log does not say about itself."""

    zone: ZoneInfo
    cluster: str  # of jobs whose log names none
    fields: tuple[str, ...] = ()  # of text without a header
    delimiter: str = ""  # of text; empty: as the header shows


def base_state(state: str) -> str:
    """Return `CANCELLED` for `CANCELLED by 1234`, `COMPLETED` for `COMPLETED+`."""
    found = _STATE.match(state.strip().upper())
    return found[0] if found else ""


def job_records(job: SlurmJob, findings: Findings) -> Iterator[JobRecord]:
    """Yield the records of an allocation: one, or one for each GPU model that it held; else count why there is none."""
    state = base_state(job.state)
    if state in _WAITING or job.start is None:
        findings.skip(_not_started(state))
        return
    run = resolve_run(job.start, job.end, job.elapsed_us)
    nonsense = implausible(run.start_us, run.end_us, max((count for _, count in job.gpus.by_model), default=0))
    if nonsense:
        findings.problem(job.line, f"job {job.job}: {nonsense}")
        return
    findings.saw(run.start_us, run.end_us, _running_since(job, run.start_us))
    if not job.gpus.by_model:
        findings.skip(SHARDS_ONLY if job.gpus.shards_only else NO_GPU)
        return
    if not (job.start.exists and (job.end is None or job.end.exists)):
        findings.problem(job.line, f"job {job.job} has a time that the clock never showed: is the time zone right?")
    if run.end_us is not None and run.end_us < run.start_us:
        findings.problem(job.line, f"job {job.job} ends before it starts")
        return
    if run.end_us == run.start_us:
        findings.skip(NO_TIME)
        return
    if job.gpus.contradiction:
        findings.problem(job.line, f"job {job.job} has {job.gpus.contradiction}: the models are counted")
    if run.end_us is None and state not in NOT_ENDED:
        findings.problem(job.line, f"job {job.job} is {state} but has no end: it is booked as if it still ran")
    several = len(job.gpus.by_model) > 1
    for model, count in job.gpus.by_model:
        yield JobRecord(
            job=job.job,
            cluster=job.cluster,
            start_us=run.start_us,
            end_us=run.end_us,
            gpus=count,
            gpu_model=model,
            part=(model or "untyped") if several else "",
            account=job.account,
            user=job.user,
            partition=job.partition,
            name=job.name,
            state=state,
            line=job.line,
            raw=job.raw if job.raw != job.job else "",
        )


def _not_started(state: str) -> str:
    if state in _WAITING:
        return PENDING
    return CANCELLED_BEFORE_START if state == "CANCELLED" else NEVER_STARTED


def _running_since(job: SlurmJob, start_us: int) -> int | None:
    """Return the instant that a running job's elapsed time proves: when the log was written."""
    if job.end is not None or job.elapsed_us is None:
        return None
    return start_us + job.elapsed_us
