"""Real job logs through the importer: sums worked out beside it, and hard cases counted by hand.

Each expectation is computed here by plain means (a sum over the table, a regular expression, another tool's reading),
never by the importer's own code.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from collector.imports.apply import import_jobs
from collector.imports.joblog import open_job_log
from collector.imports.report import ImportReport
from collector.ledger.store import Ledger
from gpuledger.errors import ImportFileError
from tests.collector.ask import ask

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data")
EXAMPLES = ROOT / "docs" / "examples"


def data(name: str) -> Path:
    """Return a file of the real data, or skip; in CI its absence is a failure."""
    path = DATA / name
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    return path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give an empty ledger."""
    with Ledger.open(tmp_path / "ledger") as opened:
        yield opened


def held_s(ledger: Ledger, by: str = "slurm_account") -> dict[str, int]:
    """Return GPU-seconds by a column of the holders, as the ledger has them."""
    rows = ask(ledger, f"SELECT {by}, sum(held_us) FROM usage JOIN holders USING (holder_id) GROUP BY 1")
    assert all(held_us % 10**6 == 0 for _, held_us in rows)
    return {key: held_us // 10**6 for key, held_us in rows}


def test_philly_sums_are_the_traces_own_to_the_second(ledger: Ledger) -> None:
    """Every team's GPU-seconds, and all of them, equal the trace's `gpu_time`; a second import changes nothing."""
    path = data("job_trace_philly/philly_jobs.parquet")
    table = pq.read_table(path, columns=["vc", "gpu_time"]).to_pydict()
    expected: Counter[str] = Counter()
    for team, gpu_time in zip(table["vc"], table["gpu_time"], strict=True):
        expected[team] += int(gpu_time)
    report = import_jobs(ledger, open_job_log(path, "table", map_path=EXAMPLES / "philly.toml"))
    assert (report.jobs, report.new, report.open, report.problem_count, report.skipped) == (52849, 52849, 0, 0, {})
    assert report.gpu_seconds_by_team == dict(expected)
    assert held_s(ledger) == dict(expected)
    assert report.gpu_seconds == sum(held_s(ledger).values()) == int(sum(table["gpu_time"]))
    assert ask(ledger, "SELECT sum(held_us) // 1000000 FROM usage_hourly") == [(report.gpu_seconds,)]
    again = import_jobs(ledger, open_job_log(path, "table", map_path=EXAMPLES / "philly.toml"))
    assert (again.unchanged, again.rows, again.gpu_seconds) == (52849, 0, 0)
    assert held_s(ledger) == dict(expected)


def sonar_jobs() -> dict[str, dict[str, Any]]:
    """Return Sonar's reading of the same sacct output: jobs without steps, by id."""
    document = json.loads(data("slurm_fox_sonar/sonar_sacct_output.txt").read_text())
    jobs: list[dict[str, Any]] = document["data"]["attributes"]["slurm_jobs"]
    return {str(job["job_id"]): job for job in jobs if "job_step" not in job}


def import_fox(ledger: Ledger) -> ImportReport:
    """Import the log of the Fox cluster with the example map."""
    path = data("slurm_fox_sonar/sacct_output.txt")
    return import_jobs(ledger, open_job_log(path, "sacct", map_path=EXAMPLES / "fox-sacct.toml"))


def test_fox_agrees_with_what_sonar_reads(ledger: Ledger) -> None:
    """Jobs, users, accounts, GPU types and times are those that a second tool finds in the same text."""
    report = import_fox(ledger)
    expected: dict[str, tuple[str, str, str, int]] = {}
    for number, job in sonar_jobs().items():
        found = re.search(r"gres/gpu=(\d+)", job.get("allocated_resources", ""))
        model = re.search(r"gres/gpu:(\w+)=", job.get("allocated_resources", ""))
        if found and job["job_state"] != "PENDING":
            start = datetime.fromisoformat(job["start_time"])
            gpus = int(found[1])
            length_s = (
                job["sacct"]["ElapsedRaw"]
                if job.get("end_time") is None
                else ((datetime.fromisoformat(job["end_time"]) - start) // timedelta(seconds=1))
            )
            expected[number] = (job["user_name"], job["account"], model[1] if model else "", length_s * gpus)
    rows = ask(
        ledger,
        "SELECT slurm_job, user_name, slurm_account, model, sum(held_us), min(start_us) FROM usage"
        " JOIN holders USING (holder_id) JOIN devices USING (device_id) GROUP BY ALL",
    )
    found_rows = {row[0]: row for row in rows}
    assert found_rows.keys() == expected.keys()
    running = {number for number, job in sonar_jobs().items() if job["job_state"] == "RUNNING"}
    for number, (user, account, model, gpu_s) in expected.items():
        _, *facts, held_us, start_us = found_rows[number]
        assert facts == [user, account, model]
        assert start_us == datetime.fromisoformat(sonar_jobs()[number]["start_time"]).timestamp() * 10**6
        if number not in running:
            assert held_us == gpu_s * 10**6
    assert report.open == len(running & expected.keys())
    assert report.jobs == len(expected)
    assert report.problem_count == 0


def test_fox_running_jobs_are_booked_until_the_log_was_written(ledger: Ledger) -> None:
    """A running job's elapsed time is how long it is booked: the latest start plus elapsed is when sacct ran."""
    import_fox(ledger)
    held = dict(
        ask(ledger, "SELECT slurm_job, sum(end_us - start_us) FROM usage JOIN holders USING (holder_id) GROUP BY 1")
    )
    running = {
        number: job["sacct"]["ElapsedRaw"]
        for number, job in sonar_jobs().items()
        if job["job_state"] == "RUNNING" and number in held
    }
    assert running
    for number, elapsed_s in running.items():
        assert 0 <= held[number] // 10**6 - elapsed_s <= 1


def test_fox_steps_and_jobs_without_gpus_are_counted(ledger: Ledger) -> None:
    """Every line of the log is a job with GPUs, or one of the counted reasons."""
    report = import_fox(ledger)
    rows = [line.split("|") for line in data("slurm_fox_sonar/sacct_output.txt").read_text().splitlines()]
    steps = sum("." in row[0] for row in rows)
    jobs = [row for row in rows if "." not in row[0]]
    pending = sum(row[4] == "PENDING" for row in jobs)
    assert report.skipped["job step"] == steps
    assert report.skipped["pending"] == pending
    assert report.jobs == sum("gres/gpu=" in row[29] and row[5] != "Unknown" for row in jobs)
    assert report.jobs + sum(report.skipped.values()) == len(rows)


def test_clockworks_sacct_json_keeps_its_running_job_open(ledger: Ledger) -> None:
    """End 0 is booked up to the latest instant of the file; array tasks have their own names."""
    path = data("slurm_json_clockwork/sacct_1.json")
    first, second = json.loads(path.read_text())["jobs"]
    report = import_jobs(ledger, open_job_log(path, "sacct-json"))
    horizon_s = max(second["time"]["end"], first["time"]["start"] + first["time"]["elapsed"])
    assert (report.jobs, report.open) == (2, 1)
    assert held_s(ledger, "slurm_job") == {
        "1_7": horizon_s - first["time"]["start"],
        "2_0": second["time"]["end"] - second["time"]["start"],
    }
    assert [problem.line for problem in report.problems] == [19]  # NODE_FAIL without an end


def test_clockworks_snapshot_is_read_as_well(ledger: Ledger) -> None:
    """A hundred jobs as Clockwork stores them: those that run and hold GPUs are open."""
    path = data("slurm_json_clockwork/cluster_snapshot.json")
    jobs = [entry["slurm"] for entry in json.loads(path.read_text())["jobs"]]
    report = import_jobs(ledger, open_job_log(path, "sacct-json"))
    holding = [job for job in jobs if job.get("start_time") and job["tres_allocated"].get("num_gpus")]
    assert report.jobs == report.open == len(holding)
    assert report.jobs + sum(report.skipped.values()) + report.problem_count == len(jobs)
    held = held_s(ledger, "slurm_job")
    horizon_s = (report.booked_until_us or 0) // 10**6
    assert held == {
        str(job["job_id"]): job["tres_allocated"]["num_gpus"] * (horizon_s - job["start_time"]) for job in holding
    }


def gcm_rows(name: str, delimiter: str) -> list[dict[str, str]]:
    """Return the rows of a log whose lines are whole, plainly split."""
    lines = data(f"slurm_gcm_meta/{name}").read_bytes().decode("utf-8", "replace").split("\n")
    names = lines[0].split(delimiter)
    return [dict(zip(names, line.split(delimiter), strict=True)) for line in lines[1:] if line]


def plain_gpu_seconds(rows: list[dict[str, str]]) -> dict[str, int]:
    """Return GPU-seconds by job, steps left out and repeated rows once."""
    held: dict[str, int] = {}
    for row in rows:
        gpus = re.search(r"gres/gpu=(\d+)", row["AllocTRES"])
        if "." in row["JobID"] or not gpus:
            continue
        start, end = datetime.fromisoformat(row["Start"]), datetime.fromisoformat(row["End"])
        held[row["JobID"]] = int(gpus[1]) * ((end - start) // timedelta(seconds=1))
    return held


def test_records_of_several_lines_are_put_together(ledger: Ledger) -> None:
    """Meta's log with line breaks in a column gives what its hand-joined copy says, repeated rows counted once."""
    expected = plain_gpu_seconds(gcm_rows("sample-sacct-multiple-multiline-expected.txt", "|#"))
    report = import_jobs(ledger, open_job_log(data("slurm_gcm_meta/sample-sacct-multiple-multiline.txt"), "sacct"))
    assert held_s(ledger, "slurm_job") == expected
    assert report.gpu_seconds == sum(expected.values())
    assert (report.new, report.problem_count) == (len(expected), 0)


def test_bytes_that_are_not_utf8_stop_nothing(ledger: Ledger) -> None:
    """The line is reported by its number, and all jobs are imported."""
    path = data("slurm_gcm_meta/sample-sacct-output-invalid-utf8.txt")
    expected = plain_gpu_seconds(gcm_rows(path.name, "|"))
    bad = [number for number, line in enumerate(path.read_bytes().split(b"\n"), 1) if not is_utf8(line)]
    report = import_jobs(ledger, open_job_log(path, "sacct"))
    assert held_s(ledger, "slurm_job") == expected
    assert [problem.line for problem in report.problems] == bad
    assert bad


def is_utf8(line: bytes) -> bool:
    """Tell whether bytes are UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_lines_that_are_cut_are_reported(ledger: Ledger) -> None:
    """A file whose only line lost its beginning holds no job, and says where and why."""
    path = data("slurm_gcm_meta/sample-sacct-output-with-invalid-lines.txt")
    report = import_jobs(ledger, open_job_log(path, "sacct"))
    assert (report.jobs, [problem.line for problem in report.problems]) == (0, [2])
    assert "columns" in report.problems[0].reason


def test_steps_without_their_jobs_are_counted_apart(ledger: Ledger) -> None:
    """Meta's running log lists steps only: nothing is booked, and the report says why."""
    path = data("slurm_gcm_meta/sample-sacct-running-output.txt")
    rows = gcm_rows(path.name, "|#")
    assert all("." in row["JobID"] and row["End"] == "Unknown" for row in rows)
    report = import_jobs(ledger, open_job_log(path, "sacct"))
    assert (report.jobs, report.skipped) == (0, {"job step whose job is not in the file": len(rows)})


def test_a_log_without_gpus_cannot_be_imported(ledger: Ledger) -> None:
    """A log of four columns says when jobs ran, and not what they held: the error says how to export it."""
    with pytest.raises(ImportFileError, match="has no alloctres"):
        import_jobs(ledger, open_job_log(data("slurm_gcm_meta/sample-sacct-output-midnight-edge-case.txt"), "sacct"))


def test_any_separator_is_found(ledger: Ledger) -> None:
    """Hábrók's log is separated by snowmen; its GPU jobs are those that a plain split finds."""
    path = data("slurm_habrok_sacct/sacct.txt")
    lines = path.read_text().split("\n")
    names = lines[0].split("☃")
    rows = [dict(zip(names, line.removesuffix("☃").split("☃"), strict=True)) for line in lines[1:] if line]
    finished: dict[str, int] = {}
    running: set[str] = set()
    for row in rows:
        gpus = re.search(r"gres/gpu(?::\w+)?=(\d+)", row["AllocTRES"])
        if "." in row["JobID"] or not gpus or row["State"] == "PENDING":
            continue
        if row["End"] == "Unknown":
            running.add(row["JobID"])
            continue
        length = datetime.fromisoformat(row["End"]) - datetime.fromisoformat(row["Start"])
        finished[row["JobID"]] = int(gpus[1]) * (length // timedelta(seconds=1))
    report = import_jobs(ledger, open_job_log(path, "sacct", zone="Europe/Amsterdam"))
    held = held_s(ledger, "slurm_job")
    assert finished
    assert held.keys() == finished.keys() | running
    assert {job: held[job] for job in finished} == finished
    assert (report.jobs, report.open) == (len(held), len(running))
