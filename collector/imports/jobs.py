"""What a job log says: a job that held GPUs, and the pool, holder and usage that follow from it."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gpuledger import wire
from gpuledger.accounting.intervals import cut
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR, gpu_parts
from gpuledger.model import Confidence, Device, Evidence, Holder, State, UsageRecord, Workload

JOB_LOG: Final = Evidence(
    holder="job_log", activity="none", energy="none", split="whole", confidence=Confidence.MEASURED
)
UNNAMED_POOL: Final = "gpus"
EARLIEST_US: Final = wire.EARLIEST_US
LATEST_US: Final = 4_102_444_800_000_000  # 2100-01-01: an instant from there on is milliseconds taken for seconds
_MIG_TYPE: Final = re.compile(r"(?:^|[_.-])(?P<profile>(?P<slices>[1-7])g[._](?P<memory>\d+)gb)\b", re.IGNORECASE)
_FOUR_SLICE_MEMORY: Final = frozenset({"1:6", "2:12", "4:24"})  # the A30: 24 GB in four slices; every other GPU has 7


class JobRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """One run of a job that held GPUs. Text that the log does not give is empty; `end_us` None: it had not ended."""

    job: str  # as the scheduler writes it: 123, 123_4 (array task), 123+0 (heterogeneous component)
    cluster: str
    start_us: int
    end_us: int | None
    gpus: int
    gpu_model: str = ""
    part: str = ""  # tells the allocations of a job apart that holds GPUs of several models
    account: str = ""
    user: str = ""
    partition: str = ""
    name: str = ""
    state: str = ""
    pool: str = ""
    line: int = 0
    raw: str = ""  # the scheduler's number of an array task or a component, where `job` is not it

    @property
    def key(self) -> str:
        """Return what the ledger remembers the job by, within its cluster."""
        return f"{self.job}/{self.part}" if self.part else self.job


class PoolFacts(msgspec.Struct, frozen=True):
    """What a site knows of its pools and a job log does not say: how many GPUs, and their models' full names."""

    capacity: dict[str, int] = {}  # pool name -> GPUs
    models: dict[str, str] = {}  # the log's word for a model -> the name that the price book uses


NO_FACTS: Final = PoolFacts()


def implausible(start_us: int, end_us: int | None, gpus: int) -> str:
    """Return why no job can have run so, or nothing: one line of nonsense must not cost the rest of its log."""
    times_us = (start_us,) if end_us is None else (start_us, end_us)
    if not all(EARLIEST_US <= at_us < LATEST_US for at_us in times_us):
        return "it starts or ends before 2010 or after 2099: are the units of its times right?"
    return f"{gpus} GPUs are more than a pool can have ({wire.MAX_UNITS})" if gpus > wire.MAX_UNITS else ""


def pool_name(record: JobRecord) -> str:
    """Return the pool that a job's GPUs come from: its own pool and model, else its model, its partition, `gpus`.

    Partitions of a Slurm cluster share nodes, so that GPUs are counted once by their model and not by partition.
    """
    named = "/".join(part for part in (record.pool, record.gpu_model) if part)
    return named or record.partition or UNNAMED_POOL


def device_key(record: JobRecord) -> str:
    """Return the key of the pool that stands in for the job's GPUs."""
    return f"pool:{record.cluster}/{pool_name(record)}"


def pool_device(record: JobRecord, facts: PoolFacts = NO_FACTS) -> Device:
    """Return the pool that stands in for the GPUs of a job: a log names no GPU."""
    name = pool_name(record)
    profile, parts = _slice(record.gpu_model)
    in_partition = not record.pool and not record.gpu_model
    return Device(
        key=device_key(record),
        kind="pool",
        model=facts.models.get(record.gpu_model, record.gpu_model),
        parts=parts,
        units=facts.capacity.get(name),
        mig_profile=profile,
        pool=record.partition if in_partition else record.pool,
    )


def job_holder(record: JobRecord) -> Holder:
    """Return the job as a holder."""
    workload = Workload("slurm", scope=record.cluster, id=record.job, name=record.name) if record.name else None
    return Holder(
        key=f"slurm:{record.cluster}:{record.job}",
        kind="slurm_job",
        slurm_job=record.job,
        slurm_account=record.account,
        slurm_partition=record.partition,
        user=record.user,
        workload=workload,
    )


def job_usage(record: JobRecord, from_us: int, until_us: int) -> list[UsageRecord]:
    """Return the usage of a job over `[from_us, until_us)`, cut at UTC hours; `held_us` counts all its GPUs."""
    device, holder = device_key(record), job_holder(record).key
    return [
        UsageRecord(
            device=device,
            holder=holder,
            start_us=start_us,
            end_us=end_us,
            state=State.HELD_UNOBSERVED,
            reason="",
            held_us=(end_us - start_us) * record.gpus,
            active_us=None,
            energy_mj=None,
            memory_mean_bytes=None,
            memory_max_bytes=None,
            evidence=JOB_LOG,
        )
        for start_us, end_us in cut(from_us, until_us, US_PER_HOUR)
    ]


def _slice(model: str) -> tuple[str, int]:
    """Return the MIG profile in a GPU type such as `a100_3g.20gb`, and the slice's size in parts of a GPU."""
    found = _MIG_TYPE.search(model)
    if not found:
        return "", GPU_PARTS
    slices, memory = int(found["slices"]), found["memory"]
    of = 4 if f"{slices}:{memory}" in _FOUR_SLICE_MEMORY else 7
    return f"{slices}g.{memory}gb", gpu_parts(slices, of)
