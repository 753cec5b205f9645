"""Past jobs out of a real Slurm's accounting: what ran is what `sacct` says, and what the ledger books."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.agent.slurm_accounting import accounting
from tests.agent.slurm_cluster import Cluster, running_cluster
from tests.e2e.processes import answer, gpuledger
from tests.waiting import until

ZONE = "Europe/Oslo"  # of whoever runs sacct; Slurm shows local times without their zone
FIELDS = "JobID,Cluster,Account,User,Partition,State,Start,End,ElapsedRaw,AllocTRES,JobName"
OWNERS = "".join(f'[[owner]]\nteam = "{name}"\nmatch.slurm_account = "{name}"\n' for name in ("nlp", "vision"))
JOBS = (  # options, script, GPUs
    (("--gres=gpu:h100:2", "--account=nlp", "--job-name=a|b"), "sleep 3", 2),
    (("--gres=gpu:a100:1", "--account=vision", "--array=0-1"), "sleep 1", 1),
    (("--gpus=h100:1", "--account=vision", "--job-name=two\nlines"), "sleep 1; false", 1),
    (("--account=nlp",), "true", 0),
)


class Ran(NamedTuple):
    """The logs of a cluster, and the GPU-seconds of each account by its controller, which asks no database."""

    text: Path
    document: Path
    gpu_seconds: dict[str, int]
    runs: int


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    folder = tmp_path_factory.mktemp("slurm")
    with accounting(folder) as more:
        for slurm in running_cluster(folder, more):
            for name in ("nlp", "vision"):
                slurm.run("sacctmgr", "--immediate", "add", "account", name)
                slurm.run("sacctmgr", "--immediate", "add", "user", "root", f"account={name}")
            yield run(slurm)


def run(slurm: Cluster) -> Ran:
    """Run the jobs and one that is cancelled while it runs; return what was kept of them."""
    cancelled = slurm.started(slurm.submit("--gres=gpu:h100:1", "--account=nlp"))
    gpus = {slurm.submit(*options, script=script): number for options, script, number in JOBS}
    gpus[cancelled] = 1
    until(lambda: slurm.run("squeue", "--noheader", "--format=%A").split() == [cancelled], "the end of all others", 60)
    slurm.cancel(cancelled)
    until(lambda: not slurm.run("squeue", "--noheader").strip(), "the end of all jobs", 60)
    jobs = scontrol(slurm)
    until(lambda: len(finished(slurm)) == len(jobs), "that accounting has heard of all", 60)
    sums: dict[str, int] = {}
    held = [job for job in jobs if gpus[number_of(job)]]
    for job in held:
        seconds = instant(job["EndTime"]) - instant(job["StartTime"])
        sums[job["Account"]] = sums.get(job["Account"], 0) + gpus[number_of(job)] * seconds
    text, document = slurm.folder / "jobs.txt", slurm.folder / "jobs.json"
    text.write_bytes(sacct(slurm, "-a", "-D", "-P", "-o", FIELDS))
    document.write_bytes(sacct(slurm, "-a", "-D", "--json"))
    return Ran(text, document, sums, len(held))


def number_of(job: dict[str, str]) -> str:
    """Return what sbatch called the job that this is, or is a task of."""
    return job.get("ArrayJobId", job["JobId"])


def sacct(slurm: Cluster, *options: str) -> bytes:
    done = subprocess.run(
        ("sacct", *options), capture_output=True, timeout=60, check=False, env={**slurm.environ, "TZ": ZONE}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def finished(slurm: Cluster) -> list[str]:
    """Return the jobs that accounting knows the end of."""
    lines = sacct(slurm, "-a", "-X", "-n", "-P", "-o", "JobIDRaw,State,End").decode().splitlines()
    return [line for line in lines if re.search(r"\|(COMPLETED|FAILED|CANCELLED[^|]*)\|\d", line)]


def scontrol(slurm: Cluster) -> list[dict[str, str]]:
    """Return all jobs as the controller has them; a job's name may hold a line break."""
    environ = {**slurm.environ, "TZ": "UTC"}
    shown = subprocess.run(
        ("scontrol", "show", "job"), capture_output=True, text=True, timeout=60, check=True, env=environ
    ).stdout
    return [dict(re.findall(r"(\w+)=(\S+)", block)) for block in re.split(r"\n(?=JobId=)", shown) if block.strip()]


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    (tmp_path / "owners.toml").write_text(OWNERS)
    done = gpuledger("owner", "import", str(tmp_path / "owners.toml"), "--ledger", str(tmp_path / "ledger"))
    assert done.returncode == 0, done.stderr
    return tmp_path / "ledger"


def imported(ledger: Path, path: Path, source: str) -> dict[str, Any]:
    zone = ("--tz", ZONE) if source == "sacct" else ()
    done = gpuledger(
        "import", "jobs", str(path), "--source", source, *zone, "--ledger", str(ledger), "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.mark.parametrize("source", ["sacct", "sacct-json"])
def test_what_ran_is_booked_to_the_second(ran: Ran, ledger: Path, source: str) -> None:
    """GPU-seconds of each team are those of its jobs, in both forms; steps count nothing, nor does a second reading."""
    forms = {"sacct": ran.text, "sacct-json": ran.document}
    report = imported(ledger, forms[source], source)
    assert sum(ran.gpu_seconds.values()) > 0
    assert report["gpu_seconds_by_team"] == ran.gpu_seconds
    assert (report["jobs"], report["new"], report["open"]) == (ran.runs, ran.runs, 0)
    reasons = [each["reason"] for each in report["problems"]]
    assert reasons == (["has 1 of 11 columns"] if source == "sacct" else []), (
        "the second line of a name is told, not guessed"
    )
    for form, path in forms.items():
        again = imported(ledger, path, form)
        assert (again["new"], again["unchanged"], again["gpu_seconds"]) == (0, ran.runs, 0), "both forms say the same"
    rows = answer("chargeback", "--period", around_today(), "--by", "team", "--ledger", str(ledger))["rows"]
    assert isinstance(rows, list)
    charged = {row["key"]: round(row["gpu_hours"] * 3_600) for row in rows if row["key"] in ran.gpu_seconds}
    assert charged == ran.gpu_seconds


def around_today() -> str:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return "..".join(f"{day:%Y-%m-%dT%H:%M:%SZ}" for day in (today - timedelta(days=1), today + timedelta(days=1)))
