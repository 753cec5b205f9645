"""A real slurmctld asks a real collector before jobs with GPUs are accepted, and hears it or does without."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agent.slurm_cluster import ROOT, Cluster, me, running_cluster
from tests.collector.test_collector_api import Answer, Site
from tests.collector.test_collector_enforcement_api import kept, ready, site_with
from tests.waiting import until

MODULE = ROOT / "deploy" / "slurm" / "gpuledger-admission.lua"
OURS = (ROOT / "deploy" / "slurm" / "job_submit.lua").read_text()
OWNERS = """[[owner]]
organisation = "acme"
department = "research"
team = "nlp"
match.slurm_account = "nlp"
[[owner]]
organisation = "acme"
department = "research"
team = "guests"
match.slurm_account = "guests"
match.slurm_partition = "closed"
"""
RULES = """
[[rule]]
name = "no large jobs"
filter = { kind = "workload", owner = "acme/research/nlp" }
when.gpus = { over = 2 }
action = "refuse"
because = "more than 2 GPUs need a reservation"

[[rule]]
name = "closed for guests"
filter = { kind = "workload", slurm_partition = "closed" }
action = "hold"
because = "it opens on Monday"
"""
LATER = ("--account=nlp", "--hold")  # no node is needed to hear whether a job is accepted


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster whose controller has our script."""
    folder = tmp_path_factory.mktemp("slurm")
    install(folder)
    more = "PartitionName=closed Nodes=ALL MaxTime=INFINITE State=UP\nJobSubmitPlugins=lua\n"
    yield from running_cluster(folder, more)


@pytest.fixture(scope="module")
def refusing(slurm: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run a collector that enforces."""
    with asking(slurm, tmp_path_factory.mktemp("collector")) as site:
        yield site


@pytest.fixture(autouse=True)
def nothing_left_behind(slurm: Cluster) -> Iterator[None]:
    yield
    slurm.clear()
    assert not (slurm.folder / "question").exists(), "what users wrote is not left lying about"


def install(folder: Path, settings: str = "") -> None:
    """Write job_submit.lua as it is shipped, with these settings, so that the controller reads it at the next job."""
    all_settings = (
        f'folder = "{folder}", config = "{folder}/gpuledger.curl", rest_s = 0, kill_s = 5, timeout_s = 4, {settings}'
    )
    text = OURS.replace("/etc/slurm/gpuledger-admission.lua", str(MODULE))
    text = text.replace('on_doubt = "allow", warn = true', all_settings)
    assert all_settings in text
    script = folder / "job_submit.lua"
    script.write_text(text)
    then = int(time.time()) + 1  # whole seconds are compared with when it was read last
    os.utime(script, (then, then))
    until(lambda: time.time() > then + 1, "the second after that")


def point(slurm: Cluster, url: str, token: str = "") -> None:
    """Have the controller ask there."""
    config = slurm.folder / "gpuledger.curl"
    config.touch(0o600)
    config.write_text(f'url = "{url}/v1/admission/slurm"\nheader = "Authorization: Bearer {token}"\n')


@contextmanager
def asking(slurm: Cluster, folder: Path, mode: str = "enforce") -> Iterator[Site]:
    """Run a collector that the cluster asks, with a token of its own."""
    with site_with(folder, mode=mode, cluster="tests") as url:
        site = Site(url)
        for path, body in (("/v1/owners", OWNERS), ("/v1/rules", RULES)):
            done = site.ask("POST", path, body.encode(), content_type="application/toml")
            assert done.status == 200, done.body
        made: Answer = site.ask(
            "POST", "/v1/tokens", b'{"role":"scheduler","name":"slurm"}', content_type="application/json"
        )
        assert made.status == 200, made.body
        point(slurm, url, made.json["secret"])
        ready(site)
        until(lambda: large_is_known(slurm), "that the rules are read")
        yield site


def large_is_known(slurm: Cluster) -> bool:
    """Return whether a job that the rules are against hears of them."""
    return "reservation" in sbatch(slurm, "--gres=gpu:h100:3", *LATER).stderr


def sbatch(slurm: Cluster, *options: str) -> subprocess.CompletedProcess[str]:
    """Submit a job, accepted or not; return what its user sees."""
    command = ("sbatch", "--parsable", f"--output={slurm.folder}/out/%j", *options, "--wrap=sleep 60")
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=slurm.environ)


def log(slurm: Cluster) -> str:
    return (slurm.folder / "slurmctld.log").read_text("utf-8", "replace")


def test_a_job_within_the_rules_is_accepted_and_runs(slurm: Cluster, refusing: Site) -> None:
    """Its user sees nothing of us; who asked for what is on record. A job without GPUs is not asked about."""
    assert sbatch(slurm, "--job-name=cpu", *LATER).returncode == 0
    done = sbatch(slurm, "--gres=gpu:h100:1", "--account=nlp", "--job-name=fits")
    assert (done.returncode, done.stderr) == (0, "")
    slurm.started(done.stdout.strip())
    rows = until(lambda: named(refusing, "fits"), "the record")
    expected = {
        "source": "slurm", "cluster": "tests", "user": me(), "owner": "acme/research/nlp", "gpus": 1.0, "models": "h100",
        "mode": "enforce", "answered": "allow",
    }  # fmt: skip
    assert [{name: row[name] for name in expected} for row in rows] == [expected]
    assert named(refusing, "cpu") == []


@pytest.mark.parametrize("options", [
    ("--gres=gpu:h100:3",),
    ("--gpus=3",),
    ("--gpus-per-node=h100:2", "--nodes=2"),
    ("--gpus-per-node=2", "--ntasks=4", "--ntasks-per-node=2"),
    ("--gpus-per-task=1", "--ntasks=3"),
    ("--ntasks-per-gpu=2", "--ntasks=6"),
    ("--gres=gpu:1", "--array=0-9%4"),
    ("--gres=gpu: 3",),
    ("--gres=gpu:h100:+3",),
    ("--gres=gpu:h100:1", "--array= 0- 3"),
    ("--gpus-per-socket=2", "--sockets-per-node=2"),
])  # fmt: skip
def test_a_job_that_a_rule_refuses_is_refused_with_words(
    slurm: Cluster, refusing: Site, options: tuple[str, ...]
) -> None:
    """However GPUs are asked for: what was refused, for whom, why, and what to do, at sbatch."""
    done = sbatch(slurm, *options, "--account=nlp", "--job-name=large")
    assert (done.returncode, done.stdout) == (1, "")
    assert "gpuledger: job large asks for" in done.stderr
    assert (
        "GPUs for acme/research/nlp: refused: more than 2 GPUs need a reservation (rule no large jobs)" in done.stderr
    )
    assert "approval request" in done.stderr
    assert refusing


def test_every_partition_that_a_job_names_counts(slurm: Cluster, refusing: Site) -> None:
    """Who names an open one first does not get into a closed one; who names none gets the default one."""
    for partitions in ("closed", "main,closed"):
        done = sbatch(slurm, "--gres=gpu:a100:1", "--account=guests", f"--partition={partitions}")
        assert done.returncode == 1
        assert "held: it opens on Monday" in done.stderr
    assert sbatch(slurm, "--gres=gpu:a100:1", "--account=guests", "--hold", "--job-name=open").returncode == 0
    assert len(until(lambda: named(refusing, "open"), "the record")) == 1


def test_a_job_is_changed_within_the_rules_alone(slurm: Cluster, refusing: Site) -> None:
    """More GPUs or another account are asked about as a new job is; a changed name or priority is not."""
    job = sbatch(slurm, "--gres=gpu:h100:1", *LATER, "--job-name=grows").stdout.strip()
    for change in ("Gres=gpu:h100:3", "NumNodes=4"):
        done = scontrol(slurm, "update", f"JobId={job}", change)
        assert done.returncode == 1, change
        assert "Gres=gpu:h100:1" in shown(slurm, job) or "TresPerNode=gres:gpu:h100:1" in shown(slurm, job)
    assert "job grows asks for 4 GPUs for acme/research/nlp: refused" in log(slurm)
    asked = len(until(lambda: named(refusing, "grows")[2:] and named(refusing, "grows"), "the records"))
    assert scontrol(slurm, "update", f"JobId={job}", "Nice=5").returncode == 0
    assert scontrol(slurm, "update", f"JobId={job}", "Gres=gpu:h100:2").returncode == 0
    assert "gpu:h100:2" in shown(slurm, job)
    assert len(until(lambda: named(refusing, "grows")[asked:] and named(refusing, "grows"), "one more")) == asked + 1


HOSTILE = (
    "'; touch {mark}; '", '"; touch {mark}; "', "$(touch {mark})", "`touch {mark}`", "a\nallow\nb", "%s%s%n%d",
    "x&account=guests&user=root", "@/etc/passwd", "-K/etc/passwd", "\\', \\\" \x1b[2J\r\n", "ü" * 200, "y" * 10_000,
)  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("where", ["job-name", "account", "comment"])
def test_what_users_write_is_only_ever_text(
    slurm: Cluster, refusing: Site, tmp_path: Path, where: str, name: str
) -> None:
    """Nothing of it runs, is another field, or changes what is decided; a refusal shows it in one line."""
    mark = tmp_path / "ran"
    told = f"--{where}={name.format(mark=mark) if '{' in name else name}"
    large = sbatch(slurm, "--gres=gpu:h100:3", "--account=nlp", told)
    small = sbatch(slurm, "--gres=gpu:h100:1", "--account=nlp", "--hold", told)
    assert not mark.exists()
    if where == "account":  # which owns nothing: no rule is for it
        assert "refused" not in large.stderr
    else:
        assert large.returncode == 1
        [line] = [line for line in large.stderr.splitlines() if "gpuledger" in line]
        assert line.isprintable()
        assert "for acme/research/nlp: refused: more than 2 GPUs" in line
    assert "gpuledger" not in small.stderr
    assert refusing


def test_a_shadow_accepts_and_tells(slurm: Cluster, refusing: Site, tmp_path: Path) -> None:
    """What would have been refused starts; its user sees a warning where the settings want one, and it is on record."""
    before = (slurm.folder / "gpuledger.curl").read_text()
    with asking(slurm, tmp_path, mode="shadow") as site:
        done = sbatch(slurm, "--gres=gpu:h100:3", *LATER, "--job-name=warned")
        assert done.returncode == 0
        assert "gpuledger (shadow, allowed): job warned asks for 3 GPUs" in done.stderr
        [row] = until(lambda: named(site, "warned"), "the record")
        assert (row["result"], row["answered"], row["rule"]) == ("refuse", "allow", "no large jobs")
        install(slurm.folder, "warn = false")
        done = sbatch(slurm, "--gres=gpu:h100:3", *LATER, "--job-name=silent")
        assert (done.returncode, done.stderr) == (0, "")
        assert until(lambda: named(site, "silent"), "the record")
    install(slurm.folder)
    (slurm.folder / "gpuledger.curl").write_text(before)
    assert refusing


@contextmanager
def silent() -> Iterator[str]:
    """Listen, take connections, and never answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def absent() -> Iterator[str]:
    """Give an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize("where", [absent, silent], ids=["nobody", "no answer"])
@pytest.mark.parametrize("on_doubt", ["allow", "refuse"])
def test_without_an_answer_the_settings_decide(
    slurm: Cluster, where: Callable[[], AbstractContextManager[str]], on_doubt: str
) -> None:
    """Slurm goes on within the time that is set: fail open, or closed with words; then nobody is asked for a while."""
    before = (slurm.folder / "gpuledger.curl").read_text()
    install(slurm.folder, f'on_doubt = "{on_doubt}", timeout_s = 0.3, kill_s = 0.5, rest_s = 600')
    said = len(log(slurm))
    with where() as url:
        point(slurm, url)
        for _ in range(2):
            done = sbatch(slurm, "--gres=gpu:h100:1", *LATER)
            if on_doubt == "allow":
                assert (done.returncode, done.stderr) == (0, "")
            else:
                assert done.returncode == 1
                assert "gpuledger: refused because it cannot be decided: the collector did not answer" in done.stderr
    logged = log(slurm)[said:]
    assert logged.count("undecided" if on_doubt == "allow" else "was refused because it cannot") == 2
    assert logged.count("curl: (") == 1, "the second was not asked about"
    assert logged.count("did not answer lately") == 1
    install(slurm.folder)
    (slurm.folder / "gpuledger.curl").write_text(before)


def test_a_curl_that_hangs_is_killed(slurm: Cluster) -> None:
    """It keeps to its own limit; where it does not, slurmctld waits no longer than `kill_s`."""
    before = (slurm.folder / "gpuledger.curl").read_text()
    install(slurm.folder, "timeout_s = 600, kill_s = 0.5")
    with silent() as url:
        point(slurm, url)
        assert sbatch(slurm, "--gres=gpu:h100:1", *LATER).returncode == 0
    assert "let through undecided: the collector did not answer: in time" in log(slurm)
    install(slurm.folder)
    (slurm.folder / "gpuledger.curl").write_text(before)


def test_turned_off_it_asks_nothing(slurm: Cluster, refusing: Site) -> None:
    """From the next job on, without a restart of anything."""
    install(slurm.folder, "enabled = false")
    assert sbatch(slurm, "--gres=gpu:h100:3", *LATER, "--job-name=off").returncode == 0
    install(slurm.folder, 'cluster = "other"')
    assert sbatch(slurm, "--gres=gpu:h100:3", *LATER, "--job-name=on").returncode == 1
    install(slurm.folder)
    assert [row["cluster"] for row in until(lambda: named(refusing, "on"), "the record")] == ["other"]
    assert named(refusing, "off") == []


def test_a_refused_question_is_no_reason_to_rest(slurm: Cluster, refusing: Site) -> None:
    """Who writes a job that cannot be read does not let the jobs of others pass unasked."""
    install(slurm.folder, "rest_s = 600")
    many = ",".join(f"p{number}" for number in range(120))
    assert "invalid partition" in sbatch(slurm, "--gres=gpu:1", *LATER, f"--partition={many}").stderr
    assert "error: 400" in log(slurm)
    assert sbatch(slurm, "--gres=gpu:h100:3", *LATER).returncode == 1
    install(slurm.folder)
    assert refusing


def named(site: Site, name: str) -> list[dict[str, Any]]:
    """Return the records of jobs of a name."""
    return [row for row in kept(site, 0) if row["name"] == name]


def scontrol(slurm: Cluster, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ("scontrol", *arguments), capture_output=True, text=True, timeout=60, check=False, env=slurm.environ
    )


def shown(slurm: Cluster, job: str) -> str:
    return slurm.run("scontrol", "show", "job", job)
