"""What is known of a Slurm job, from whichever source: its tenant, and what it was given on this node. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from gpuledger.model import Holder

_JOB: Final = re.compile(r"[0-9]{1,10}")
_SLUID: Final = re.compile(r"s[0-9A-HJKMNP-TV-Z]{13}")
_GPU: Final = re.compile(r"[0-9]{1,4}|(?:GPU|MIG)-[0-9A-Za-z/-]{1,80}")
_NUMBER: Final = re.compile(r"[0-9]{1,10}")
_MOST_UID: Final = 2**32 - 2
_MOST_GPUS: Final = 1_024
_MOST_TEXT: Final = 256


class JobFacts(NamedTuple):
    """A job on this node; empty or None is unknown. An array task is a job of its own, of the array `array_job`."""

    job: str = ""
    sluid: str = ""
    array_job: str = ""
    array_task: str = ""
    uid: int | None = None
    user: str = ""
    account: str = ""
    partition: str = ""
    name: str = ""
    cluster: str = ""
    gpus: tuple[str, ...] = ()  # Slurm's indices, or UUIDs
    visible: tuple[str, ...] = ()  # CUDA_VISIBLE_DEVICES
    gpus_on_node: int | None = None
    shards: int | None = None
    mps_percent: int | None = None  # of one GPU


NO_FACTS: Final = JobFacts()


def parse_facts(said: Mapping[str, str]) -> JobFacts:
    """Return the facts in named texts. Raises ValueError on one that cannot be what its name says."""
    return JobFacts(
        job=_matching(_JOB, said, "job"),
        sluid=_matching(_SLUID, said, "sluid"),
        array_job=_matching(_JOB, said, "array_job"),
        array_task=_matching(_JOB, said, "array_task"),
        uid=parse_uid(said),
        user=said.get("user", "")[:_MOST_TEXT],
        account=said.get("account", "")[:_MOST_TEXT],
        partition=said.get("partition", "")[:_MOST_TEXT],
        name=said.get("name", "")[:_MOST_TEXT],
        cluster=said.get("cluster", "")[:_MOST_TEXT],
        gpus=parse_gpus(said.get("gpus", "")),
        visible=_uuids(said.get("visible_devices", "")),
        gpus_on_node=_number(said, "gpus_on_node"),
        shards=_number(said, "shards"),
        mps_percent=_number(said, "mps_percent"),
    )


def parse_gpus(text: str) -> tuple[str, ...]:
    """Return the entries of SLURM_JOB_GPUS: indices, or UUIDs. Raises ValueError on anything else, and on doubles."""
    entries = tuple(text.split(",")) if text else ()
    if len(entries) > _MOST_GPUS or len(set(entries)) != len(entries):
        raise ValueError(f"{text[:40]!r} is not a list of GPUs")
    for entry in entries:
        if not _GPU.fullmatch(entry):
            raise ValueError(f"{entry[:40]!r} is not a GPU")
    return entries


def parse_uid(said: Mapping[str, str]) -> int | None:
    """Return the uid. Raises ValueError on a number that is none."""
    uid = _number(said, "uid")
    if uid is not None and uid > _MOST_UID:
        raise ValueError(f"{uid} is not a uid")
    return uid


def filled(facts: JobFacts, other: JobFacts) -> JobFacts:
    """Return `facts` with what is unknown in them taken from another source of the same job."""
    known = facts._asdict()
    missing = {name: value for name, value in other._asdict().items() if known[name] in ("", None, ())}
    return facts._replace(**missing)


def holder_of(facts: JobFacts) -> Holder:
    """Return the job as a holder."""
    labels = {
        "slurm_array_job": facts.array_job,
        "slurm_array_task": facts.array_task,
        "slurm_cluster": facts.cluster,
        "slurm_job_name": facts.name,
        "slurm_sluid": facts.sluid,
    }
    return Holder(
        key=f"slurm:{facts.job}",
        kind="slurm_job",
        slurm_job=facts.job,
        slurm_account=facts.account,
        slurm_partition=facts.partition,
        user=facts.user,
        uid=facts.uid,
        labels={name: value for name, value in labels.items() if value},
    )


def _matching(shape: re.Pattern[str], said: Mapping[str, str], name: str) -> str:
    text = said.get(name, "")
    if text and not shape.fullmatch(text):
        raise ValueError(f"{name} is {text[:40]!r}")
    return text


def _number(said: Mapping[str, str], name: str) -> int | None:
    text = _matching(_NUMBER, said, name)
    return int(text) if text else None


def _uuids(text: str) -> tuple[str, ...]:
    """Return CUDA_VISIBLE_DEVICES where it holds UUIDs; its numbers are renumbered for each job and tell nothing."""
    entries = tuple(text.split(",")) if text else ()
    return entries if all(_GPU.fullmatch(entry) and not entry.isdigit() for entry in entries) else ()
