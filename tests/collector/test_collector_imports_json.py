"""`sacct --json` of several versions, and Clockwork's store of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from collector.imports.findings import Findings
from collector.imports.jobs import JobRecord
from collector.imports.json_values import whole_number
from collector.imports.sacct_json import parse_sacct_json
from collector.imports.slurm import SlurmOptions
from collector.imports.times import load_zone
from gpuledger.errors import ImportFileError

T0 = 1_767_225_600


def number(value: int | None) -> dict[str, Any]:
    """Return a number as Slurm writes it since 22.05."""
    return {"set": value is not None, "infinite": False, "number": value or 0}


def old_job(**changes: Any) -> dict[str, Any]:
    """Return a job as Slurm 21.08 prints it."""
    job: dict[str, Any] = {
        "account": "vision",
        "array": {"job_id": 0, "task_id": None},
        "association": {"account": "vision", "cluster": "hpc", "partition": None, "user": "ada"},
        "cluster": "hpc",
        "het": {"job_id": 0, "job_offset": None},
        "job_id": 10,
        "name": "train",
        "partition": "gpu",
        "state": {"current": "COMPLETED", "reason": "None"},
        "steps": [{}, {}],
        "time": {"elapsed": 3600, "end": T0 + 3600, "start": T0, "submission": T0 - 9, "suspended": 0},
        "tres": {"allocated": [{"type": "cpu", "name": None, "count": 4}, {"type": "gres", "name": "gpu", "count": 2}]},
        "user": "ada",
    }
    return job | changes


def new_job(**changes: Any) -> dict[str, Any]:
    """Return the same job as Slurm 24.05 prints it."""
    return old_job(
        array={"job_id": 0, "task_id": number(None)},
        het={"job_id": 0, "job_offset": number(None)},
        state={"current": ["COMPLETED"], "reason": "None"},
        time={"elapsed": 3600, "end": number(T0 + 3600), "start": number(T0), "submission": number(T0 - 9)},
        **changes,
    )


def parse(*jobs: dict[str, Any]) -> tuple[list[JobRecord], Findings]:
    """Read a document with these jobs."""
    return read(json.dumps({"meta": {}, "errors": [], "jobs": jobs}, indent=1).encode())


def read(content: bytes) -> tuple[list[JobRecord], Findings]:
    """Read a document."""
    findings = Findings()
    options = SlurmOptions(zone=load_zone("UTC"), cluster="c1")
    return list(parse_sacct_json(content, options, findings)), findings


def test_plain_and_three_state_numbers_say_the_same() -> None:
    """A job printed by an old and by a new Slurm is one and the same record; its steps are counted."""
    old, findings = parse(old_job())
    new, _ = parse(new_job())
    assert old == new
    assert old[0] == JobRecord(
        job="10", cluster="hpc", start_us=T0 * 10**6, end_us=(T0 + 3600) * 10**6, gpus=2, account="vision", user="ada",
        partition="gpu", name="train", state="COMPLETED", line=5,
    )  # fmt: skip
    assert findings.skipped == {"job step": 2}


def test_ids_are_those_of_the_text_export() -> None:
    """Array tasks and heterogeneous components are named as `sacct -P` names them, so that both exports are one job."""
    records, _ = parse(
        old_job(array={"job_id": 7, "task_id": 0}),
        new_job() | {"array": {"job_id": 7, "task_id": number(3)}},
        new_job() | {"het": {"job_id": 8, "job_offset": number(1)}},
    )
    assert [record.job for record in records] == ["7_0", "7_3", "8+1"]


@pytest.mark.parametrize("end", [0, number(0), number(None), None])
def test_an_end_of_zero_is_no_end(end: Any) -> None:
    """A running job has end 0 in some versions and an unset number in others."""
    times = {"start": T0, "end": end, "elapsed": 60, "submission": T0}
    records, findings = parse(old_job(time=times, state={"current": "RUNNING"}))
    assert records[0].end_us is None
    assert findings.latest_us == (T0 + 60) * 10**6


def test_typed_gpus_are_not_added_to_the_total() -> None:
    """`gres gpu` is the total of `gres gpu:<model>`, and a string of TRES is understood as well."""
    both = [{"type": "gres", "name": "gpu", "count": 4}, {"type": "gres", "name": "gpu:a100", "count": 4}]
    records, _ = parse(
        old_job(tres={"allocated": both}), old_job(tres={"allocated": "cpu=1,gres/gpu:l40s=1,gres/gpu=1"})
    )
    assert [(record.gpu_model, record.gpus) for record in records] == [("a100", 4), ("l40s", 1)]


def test_a_job_that_cannot_be_read_is_reported_with_its_line() -> None:
    """Entries of another kind or with senseless values never stop the others."""
    document = json.dumps(
        {"jobs": [old_job(), {"job_id": 11, "start_time": 5}, old_job(job_id="x"), old_job(job_id=12)]}, indent=1
    )
    records, findings = read(document.encode())
    lines = document.split("\n")
    assert [record.job for record in records] == ["10", "12"]
    assert ['"job_id": 11' in lines[problem.line] for problem in findings.problems] == [True, False]
    assert "squeue" in findings.problems[0].reason


def test_a_document_of_another_kind_is_an_error() -> None:
    """What is not JSON, cut short, or has no jobs cannot be read at all."""
    nested = b'{"meta": ' + b"[" * 100_000
    for content in (b"JobID|State", b'{"jobs": [', b'{"nodes": []}', b"[]", nested):
        with pytest.raises(ImportFileError, match="sacct --json"):
            read(content)


@pytest.mark.parametrize("start", [T0 * 1_000, 2**63 - 1, -5])
def test_times_that_no_job_can_have_are_reported(start: int) -> None:
    """Milliseconds, the largest integer, a negative one: the line is reported and the other job imported."""
    records, findings = parse(old_job(job_id=1, time={"start": start, "end": start + 3600, "elapsed": 3600}), old_job())
    assert [record.job for record in records] == ["10"]
    assert len(findings.problems) == 1


def test_bytes_that_are_not_utf8_are_reported_and_imported() -> None:
    """A name in another encoding does not make the document unreadable."""
    content = json.dumps({"jobs": [old_job(name="cafX")]}, indent=1).encode().replace(b"cafX", b"caf\xe9")
    records, findings = read(content)
    assert records[0].name == "caf\N{REPLACEMENT CHARACTER}"
    assert b"\xe9" in content.split(b"\n")[findings.problems[0].line - 1]


def test_clockworks_entries_are_understood() -> None:
    """Clockwork's snapshot says when Slurm was last asked: running jobs are booked up to then."""
    entry = {
        "slurm": {
            "account": "mila", "cluster_name": "mila", "start_time": T0, "end_time": None, "job_id": "42", "name": "n",
            "job_state": ["RUNNING"], "partition": "p", "tres_allocated": {"num_gpus": 4, "mem": 1}, "username": "u",
        },
        "cw": {"last_slurm_update": T0 + 99.5},
    }  # fmt: skip
    waiting = {"slurm": {**entry["slurm"], "job_id": "43", "job_state": "PENDING", "start_time": None}}
    records, findings = parse(entry, waiting)
    assert [(record.job, record.cluster, record.gpus, record.end_us) for record in records] == [("42", "mila", 4, None)]
    assert findings.latest_us == (T0 + 99) * 10**6
    assert findings.skipped == {"pending": 1}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), ("5", 5), (number(5), 5), (number(None), None), (None, None), ("None", None), ("", None)],
)
def test_numbers_of_any_version_are_read(value: object, expected: int | None) -> None:
    """Plain, as text, in three states, or absent."""
    assert whole_number(value) == expected


@pytest.mark.parametrize("value", [{"set": True, "infinite": True, "number": 0}, 1.5, "x", True, [1]])
def test_what_is_no_number_is_refused(value: object) -> None:
    """An infinite start is not zero."""
    with pytest.raises(ValueError):
        whole_number(value)
