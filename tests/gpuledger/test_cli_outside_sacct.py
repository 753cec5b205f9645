"""`reconcile --against-sacct`: Slurm's accounting against the ledger's GPU time, by job, account and cause."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.cli.main import main
from gpuledger.model import Holder
from tests.collector.batches import START_US, device, records
from tests.collector.fleet import open_ledger, usage_frame

HOUR = US_PER_HOUR
PERIOD = f"{iso(START_US)}..{iso(START_US + 4 * HOUR)}"
HEAD = "JobID|JobIDRaw|Cluster|State|Start|End|AllocTRES|Account|User"


def job(number: str, account: str = "physics", **labels: str) -> Holder:
    return Holder(key=f"slurm:{number}", kind="slurm_job", slurm_job=number, slurm_account=account, labels=labels)


def at(seconds: float) -> int:
    return START_US + int(seconds * US_PER_SECOND)


def line(
    name: str, raw: str, start_s: float, end_s: float, gpus: int, account: str = "physics", state: str = "COMPLETED"
) -> str:
    times = (iso(at(second)).removesuffix("Z") for second in (start_s, end_s))
    return "|".join((name, raw, "hpc", state, *times, f"cpu=8,gres/gpu={gpus},node=1", account, "ann"))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four GPUs over four hours, the second with an outage of half an hour while job 7 holds it."""
    folder = tmp_path_factory.mktemp("ledger")
    held = [
        ("GPU-0001", 10, 3600, "7"), ("GPU-0001", 3600, 4 * 3600, None),
        ("GPU-0002", 0, 1200, "7"), ("GPU-0002", 3000, 3600, "7"), ("GPU-0002", 3600, 4 * 3600, None),
        ("GPU-0003", 0, 7200, "12"), ("GPU-0003", 7200, 4 * 3600, None),
        ("GPU-0004", 0, 3600, "99"), ("GPU-0004", 3600, 7200, "40"), ("GPU-0004", 7200, 4 * 3600, None),
    ]  # fmt: skip
    with open_ledger(folder) as opened:
        usage = [
            record
            for key, start, end, who in held
            for record in records(key, at(start), at(end), f"slurm:{who}" if who else None)
        ]
        usage += records("GPU-0001", at(0), at(10))
        holders = [job("7"), job("12", slurm_array_job="11", slurm_array_task="3"), job("99"), job("40", "chemistry")]
        devices = [device(number) for number in range(1, 5)]
        assert opened.ingest([usage_frame(0, usage, devices, holders)])[0].taken
    return folder


def compare(
    capsys: pytest.CaptureFixture[str], ledger: Path, path: Path, *arguments: str, code: int = 3
) -> dict[str, Any]:
    capsys.readouterr()
    given = ["--ledger", str(ledger), "--period", PERIOD, "--format", "json", "--against-sacct", str(path)]
    assert main(["reconcile", *given, *arguments]) == code, capsys.readouterr().err
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    for part in (*answer["rows"], *answer["accounts"]):
        assert sum(map(Decimal, part["causes"].values())) == Decimal(part["difference"])
    assert sum(map(Decimal, answer["causes"].values())) == Decimal(answer["difference"])
    for name in ("sacct", "ledger"):
        total = Decimal(answer[f"{name}_gpu_seconds"])
        assert total == sum(Decimal(row[name]) for row in answer["accounts"])
    return answer


def sacct(path: Path, *lines: str) -> Path:
    path.write_text("\n".join((HEAD, *lines)) + "\n")
    return path


def test_differences_are_explained_job_by_job(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Start seconds, the outage, jobs of one side alone, cut at the period's ends; accounts that differ move."""
    path = sacct(
        tmp_path / "jobs.txt",
        line("7", "7", 0, 3600, 2),
        line("7.batch", "7.batch", 0, 3600, 2),
        line("11_3", "12", -3600, 7200, 1),
        line("40", "40", 3600, 7200, 1, "biology"),
        line("55", "55", 3 * 3600, 5 * 3600, 4),
        line("56", "56", 5 * 3600, 6 * 3600, 4),
    )
    answer = compare(capsys, ledger, path)
    rows = {row["job"]: row for row in answer["rows"]}
    assert rows["7"]["causes"] == {"outage": "1800", "start": "10"}
    assert rows["12"]["causes"] == {}
    assert rows["55"]["causes"] == {"not_in_ledger": "14400"}
    assert rows["99"]["causes"] == {"not_in_sacct": "-3600"}
    assert "56" not in rows
    accounts = {row["account"]: row for row in answer["accounts"]}
    assert accounts["biology"]["causes"] == {"account": "3600"}
    assert accounts["chemistry"]["causes"] == {"account": "-3600"}
    assert (answer["over_tolerance"], answer["other_account"]) == (3, 1)


def test_what_agrees_leaves_with_zero(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Within a tolerance of GPU-seconds a job; JSON of sacct says the same as its text."""
    lines = [
        line("7", "7", 0, 3600, 2), line("12", "12", 0, 7200, 1), line("99", "99", 0, 3600, 1),
        line("40", "40", 3600, 7200, 1, "chemistry"),
    ]  # fmt: skip
    path = sacct(tmp_path / "jobs.txt", *lines)
    assert compare(capsys, ledger, path, "--tolerance", "1810", code=0)["difference"] == "1810"
    assert compare(capsys, ledger, path, "--tolerance", "1809.999999")["over_tolerance"] == 1
    entries = []
    for text in lines:
        name, raw, cluster, state, *_, tres, account, user = text.split("|")
        gpus = int(tres.split("gpu=")[1].split(",")[0])
        first = {"7": 0, "12": 0, "99": 0, "40": 3600}[name]
        last = {"7": 3600, "12": 7200, "99": 3600, "40": 7200}[name]
        seconds = [START_US // US_PER_SECOND + first, START_US // US_PER_SECOND + last]
        entries.append({
            "job_id": int(raw), "cluster": cluster, "account": account, "user": user, "state": {"current": [state]},
            "time": {"start": seconds[0], "end": seconds[1]},
            "tres": {"allocated": [{"type": "gres", "name": "gpu", "count": gpus}]},
        })  # fmt: skip
    document = tmp_path / "jobs.json"
    document.write_text(json.dumps({"jobs": entries}))
    text, as_json = compare(capsys, ledger, path), compare(capsys, ledger, document)
    assert text["rows"] == as_json["rows"]


def test_a_file_without_such_jobs_is_refused(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of another cluster of the ledger, of other columns, or not there: the reason and the next step."""
    given = ["reconcile", "--ledger", str(ledger), "--period", PERIOD, "--against-sacct"]
    path = sacct(tmp_path / "jobs.txt")
    assert main([*given, str(path), "--cluster", "other"]) == 1
    assert "neither jobs.txt nor the ledger has jobs" in capsys.readouterr().err
    assert main([*given, str(tmp_path / "none.txt")]) == 1
    assert "cannot read" in capsys.readouterr().err
    assert main([*given, str(path), "--against-bill", str(path)]) == 2


def test_people_see_causes_accounts_and_jobs(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over HTTP; a table names the causes, the accounts and the jobs that differ most."""
    path = sacct(tmp_path / "jobs.txt", line("7", "7", 0, 3600, 2), "broken line")
    settings = CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(directory=ledger))
    with running(settings) as url:
        where = ["--url", url, "--period", PERIOD, "--format", "table"]
        assert main(["reconcile", *where, "--against-sacct", str(path)]) == 3
    shown = capsys.readouterr().out
    assert "Outage: nobody watched the device" in shown
    assert "Not in sacct: jobs" in shown
    assert "problems in the file" in shown
