"""Grants from a real Slurm: real jobs through our prolog and epilog, real job cgroups, the real controller."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from agent.holders.grants import Grant, Granted
from agent.holders.processes import ProcFs, boot_instant_us
from agent.holders.slurm.cgroup_events import CgroupEvents
from agent.holders.slurm.cgroup_grants import SlurmCgroups
from agent.holders.slurm.cgroup_jobs import JobCgroups, pids
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.controller_check import SlurmControllerCheck
from agent.holders.slurm.holder_file import parse_holder_file
from agent.holders.slurm.holder_files import SlurmHolderFiles
from agent.holders.slurm.holder_folder import HolderFolder
from agent.holders.slurm.job_environ import JobEnvirons
from agent.holders.slurm.job_watch import JobWatch
from agent.holders.slurm.node import SlurmNode
from agent.holders.slurm.squeue import Squeue
from agent.holders.standing import Standing
from agent.observe import Observer
from gpuledger.accounting.meter import Meter
from gpuledger.model import Confidence, Event
from tests.agent.nodes import resolver
from tests.agent.slurm_cluster import (
    BY_MINOR,
    SHARDS,
    SLURMS_MINORS,
    UUIDS,
    Cluster,
    crash,
    me,
    reading,
    running_cluster,
    stepds,
)
from tests.waiting import until

H100S = [BY_MINOR[minor] for minor in SLURMS_MINORS[:3]]
A100 = BY_MINOR[0]
GRACE_US = 60_000_000
BETWEEN_S = 0.2  # readings in which a job's first process is looked for are few


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    yield from running_cluster(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(autouse=True)
def nothing_left_behind(slurm: Cluster) -> Iterator[None]:
    """Leave no job to the next test, also where one fails."""
    yield
    slurm.no_epilog.unlink(missing_ok=True)
    slurm.clear()


class Sources(NamedTuple):
    files: SlurmHolderFiles
    cgroups: SlurmCgroups
    context: SlurmContext


def sources(slurm: Cluster, *, holders: Path | None = None, keep_us: int = 0, squeue: Squeue | None = None) -> Sources:
    node = SlurmNode("not-its-name-yet", gres_conf=slurm.folder / "gres.conf")
    if holders is not None:
        node.rename(slurm.node)  # nothing else tells it
    processes = ProcFs(boot_us=boot_instant_us())
    context = SlurmContext(node, JobWatch(JobCgroups(), JobEnvirons(), processes.start_us), squeue=squeue)
    folder = HolderFolder(holders or slurm.holders, keep_us=keep_us)
    return Sources(SlurmHolderFiles(folder, context, grace_us=GRACE_US), SlurmCgroups(context), context)


def now_us() -> int:
    return time.time_ns() // 1_000


def of_job(granted: Granted, job: str) -> dict[str, Grant]:
    return {grant.device: grant for grant in granted.grants if grant.holder.slurm_job == job}


def named(events: tuple[Event, ...], kind: str) -> list[Event]:
    return [event for event in events if event.kind == kind]


def test_a_job_holds_the_gpu_that_slurms_index_means(slurm: Cluster) -> None:
    """A job's GPU is found by gres.conf and the minor, with its start to the microsecond, its user, account and partition."""
    files = sources(slurm).files
    before_us = now_us()
    job = slurm.started(slurm.submit("--gres=gpu:a100:1", '--account=it\'s "odd" $(false)'))

    def whole() -> Granted | None:
        granted = files.read(now_us(), reading())
        return None if granted.replicas else granted  # until its script has started it may have a shard only

    granted = until(whole, "that it was given the whole GPU", every_s=BETWEEN_S)
    assert granted is not None
    (grant,) = of_job(granted, job).values()
    holder = grant.holder
    assert (grant.device, grant.method, grant.until_us) == (A100, "slurm_prolog", None)
    assert (grant.confidence, grant.replicas, granted.replicas.get(A100, 1)) == (Confidence.MEASURED, 1, 1)
    assert (holder.key, holder.kind, holder.user, holder.uid) == (f"slurm:{job}", "slurm_job", me(), os.geteuid())
    assert (holder.slurm_account, holder.slurm_partition) == ('it\'s "odd" $(false)', "main")
    assert holder.labels["slurm_cluster"] == "tests"
    assert grant.since_us is not None
    assert before_us < grant.since_us < now_us()
    assert granted.managed == frozenset(UUIDS)
    slurm.cancel(job)


def test_the_end_of_a_job_is_told_once_to_the_microsecond(slurm: Cluster) -> None:
    """A job that ended is granted until its epilog ran; the file is deleted once it was taken."""
    files = sources(slurm).files
    job = slurm.started(slurm.submit("--gres=gpu:h100:1"))
    (running,) = of_job(files.read(now_us(), reading()), job).values()
    before_us = now_us()
    slurm.cancel(job)
    (ended,) = of_job(files.read(now_us(), reading()), job).values()
    assert (ended.device, ended.since_us) == (running.device, running.since_us)
    assert ended.until_us is not None
    assert before_us < ended.until_us < now_us()
    assert of_job(files.read(now_us(), reading()), job) == {}
    assert not list(slurm.holders.glob(f"{job}.*"))


def test_a_job_of_half_a_second_between_two_readings_is_seen(slurm: Cluster) -> None:
    """A job that nobody saw run is granted from its start to its end."""
    files = sources(slurm).files
    job = slurm.submit("--gres=gpu:h100:1", script="sleep 0.5")
    slurm.ended(job)
    (grant,) = of_job(files.read(now_us(), reading()), job).values()
    assert grant.device in H100S
    assert grant.since_us is not None
    assert grant.until_us is not None
    assert 400_000 < grant.until_us - grant.since_us < 10_000_000


def test_a_short_job_is_metered_to_the_microsecond(slurm: Cluster) -> None:
    """From a real job of half a second to usage records: as much time as between its prolog and its epilog."""
    files, cgroups, _ = sources(slurm)
    observer = Observer(resolver(), node=slurm.node, standing=Standing((files, cgroups)))
    meter = Meter(60_000_000)
    records = [*meter.observe(observer.observe(reading(), now_us()).snapshot).records]
    job = slurm.submit("--gres=gpu:h100:1", script="sleep 0.5")
    path = slurm.ended(job)
    held = parse_holder_file(path.read_bytes())
    for _ in range(2):
        records += meter.observe(observer.observe(reading(), now_us()).snapshot).records
    records += meter.flush().records
    mine = [record for record in records if record.holder == f"slurm:{job}"]
    assert sum(record.held_us for record in mine) == int(path.name.split(".")[1]) // 1_000 - held.since_us
    assert {record.device for record in mine} <= set(H100S)


def test_two_gpus_and_a_job_without_any(slurm: Cluster) -> None:
    """A job with two GPUs holds both of them; a job without holds none."""
    files, cgroups, _ = sources(slurm)
    pair, none = slurm.submit("--gres=gpu:h100:2"), slurm.submit()
    slurm.started(pair)
    slurm.started(none)
    granted = files.read(now_us(), reading())
    assert set(of_job(granted, pair)) == set(H100S[:2])
    assert of_job(granted, none) == {}
    assert of_job(cgroups.read(now_us(), reading()), none) == {}
    slurm.cancel(pair, none)


def test_tasks_of_an_array_are_jobs_of_one_array(slurm: Cluster) -> None:
    """Each task has a job id and a GPU of its own, and says which array and task it is, though the prolog does not."""
    files = sources(slurm).files
    array = slurm.submit("--gres=gpu:h100:1", "--array=3,5", "--job-name=sweep")

    def tasks() -> list[Grant]:
        found = [
            one for one in files.read(now_us(), reading()).grants if one.holder.labels.get("slurm_array_job") == array
        ]
        return found if len(found) == 2 else []

    grants = until(tasks, "both tasks, known by their array", every_s=BETWEEN_S)
    assert {one.holder.labels["slurm_array_task"] for one in grants} == {"3", "5"}
    assert {one.holder.labels["slurm_job_name"] for one in grants} == {"sweep"}
    jobs = {one.holder.slurm_job for one in grants}
    assert len(jobs) == len({one.device for one in grants}) == 2
    slurm.cancel(*jobs)


def test_shards_are_parts_of_their_gpu(slurm: Cluster) -> None:
    """Three of four shards are three replicas of four, as the job's processes say; another job has the fourth."""
    files = sources(slurm).files
    three, one = slurm.submit("--gres=shard:3"), slurm.submit("--gres=shard:1")
    slurm.started(three)
    slurm.started(one)

    def replicas() -> dict[str, int]:
        granted = files.read(now_us(), reading())
        found = {grant.holder.slurm_job: grant.replicas for grant in granted.grants if grant.device == A100}
        return found if found.get(three) == 3 and granted.replicas == {A100: SHARDS} else {}

    assert until(replicas, "the shards of each job", every_s=BETWEEN_S) == {three: 3, one: 1}
    assert not named(files.read(now_us(), reading()).events, "slurm_share_unknown")
    slurm.cancel(three, one)


def test_jobs_are_found_without_our_prolog(slurm: Cluster, tmp_path: Path) -> None:
    """From cgroups and environments alone: the job, its devices, its account; steps are of one job; trusted less."""
    _, cgroups, context = sources(slurm, holders=tmp_path / "none")
    before_us = now_us()
    job = slurm.started(slurm.submit("--gres=gpu:h100:2", "--account=vision", script="srun sleep 60 & sleep 60"))

    def found() -> dict[str, Grant]:
        return of_job(cgroups.read(now_us(), reading()), job)

    grants = until(found, "the job in its cgroup", every_s=BETWEEN_S)
    assert set(grants) == set(H100S[:2])
    for grant in grants.values():
        assert (grant.method, grant.confidence) == ("slurm_job_environment", Confidence.DERIVED)
        assert (grant.holder.slurm_account, grant.holder.user, grant.until_us) == ("vision", me(), None)
        assert grant.since_us is not None
        assert before_us - 20_000 < grant.since_us < now_us()
    group = next(one for one in JobCgroups().list() if one.job == job)
    until(lambda: pids(group, "0"), "the step")
    for _ in range(6):
        found()  # groups that others left behind empty are looked at a few times, no more
    read = context.watch.environs_read
    assert set(found()) == set(grants)
    assert context.watch.environs_read == read  # the same jobs as before: nobody's environment is read again
    slurm.cancel(job)
    assert found() == {}


def test_a_short_job_is_seen_without_our_prolog(slurm: Cluster, tmp_path: Path) -> None:
    """Its cgroup coming and going dates it, though no reading saw it; and one that ran at a reading ends on time."""
    context = sources(slurm, holders=tmp_path / "none").context
    context.events = CgroupEvents(JobCgroups(), JobEnvirons(), now_us)
    cgroups = SlurmCgroups(context)
    long = slurm.started(slurm.submit("--gres=gpu:h100:2"))
    try:
        until(lambda: of_job(cgroups.read(now_us(), reading()), long), "the job in its cgroup")
        before_us = now_us()
        short = slurm.submit("--gres=gpu:a100:1", "--account=vision", script="sleep 1.5")
        slurm.ended(short)
        slurm.cancel(long)
        granted = cgroups.read(now_us(), reading())
        (grant,) = of_job(granted, short).values()
        assert (grant.device, grant.replicas, grant.holder.slurm_account) == (A100, 1, "vision")
        assert grant.since_us is not None
        assert grant.until_us is not None
        assert before_us < grant.since_us < grant.until_us - 1_400_000
        ended = of_job(granted, long)
        assert set(ended) == set(H100S[:2])
        assert all(before_us < (one.until_us or 0) < now_us() for one in ended.values())
        until(lambda: cgroups.read(now_us(), reading()).grants == (), "no grant that is left")
    finally:
        cgroups.close()


def test_a_job_without_an_epilog_is_not_billed_for_ever(slurm: Cluster) -> None:
    """Where the epilog did not run the job is believed for the grace time, then dropped, which is said once."""
    files = sources(slurm).files
    slurm.no_epilog.touch()
    job = slurm.started(slurm.submit("--gres=gpu:h100:1"))
    assert of_job(files.read(now_us(), reading()), job)
    slurm.run("scancel", job)
    until(lambda: not slurm.run("squeue", "--noheader", f"--job={job}").strip(), "the end of the job")
    slurm.no_epilog.unlink()
    gone_us = now_us()
    assert of_job(files.read(gone_us, reading()), job)
    late = files.read(gone_us + GRACE_US + 61_000_000, reading())
    assert of_job(late, job) == {}
    (event,) = named(late.events, "holder_file_stale")
    assert event.holder == f"slurm:{job}"
    assert not named(files.read(gone_us + GRACE_US + 62_000_000, reading()).events, "holder_file_stale")
    (slurm.holders / f"{job}.job").unlink()


def test_the_controller_agrees_and_a_difference_is_said(slurm: Cluster) -> None:
    """The controller's GPUs are the same ones; a file that says another one becomes an event, once."""
    squeue = Squeue(lambda: slurm.node, now_us, interval_s=60, command=("env", f"SLURM_CONF={slurm.conf}", "squeue"))
    files, _, context = sources(slurm, squeue=squeue)
    check = SlurmControllerCheck(context, squeue)
    squeue.start = lambda: None  # type: ignore[method-assign] # asked by hand below
    job = slurm.started(slurm.submit("--gres=gpu:h100:1", "--account=vision", "--job-name=a\nb"))

    def compare() -> tuple[Event, ...]:
        squeue.ask()
        at_us = now_us()
        files.read(at_us, reading())
        return check.read(at_us, reading()).events

    assert compare() == compare() == ()
    facts = squeue.facts(job)
    assert (facts.account, facts.user, facts.partition) == ("vision", me(), "main")
    assert (facts.gpus, facts.gpus_on_node) == (("0",), 1)
    assert (squeue.says_runs(job), squeue.says_runs("1")) == (True, False)
    file = slurm.holders / f"{job}.job"
    file.write_text(file.read_text().replace("gpus=0\n", "gpus=3\n"))
    assert compare() == ()  # one answer may be older than the job
    (event,) = compare()
    assert (event.kind, event.holder) == ("holder_conflict", f"slurm:{job}")
    assert H100S[0] in event.message
    assert A100 in event.message
    assert compare() == ()
    slurm.cancel(job)


def test_a_node_that_crashed_frees_its_gpus(slurm: Cluster) -> None:
    """Daemon, slurmstepd and job are killed: the file stays behind, and once its GPU is given again it counts no more."""
    files = sources(slurm).files
    job = slurm.started(slurm.submit("--gres=gpu:a100:1", "--no-requeue"))
    group = until(lambda: next((one for one in JobCgroups().list() if one.job == job), None), "the job's cgroup")
    assert job in JobEnvirons().titles()
    until(lambda: crash(slurm, [*stepds(job), *pids(group)]), "the death of all that the node ran")
    assert set(of_job(files.read(now_us(), reading()), job)) == {A100}
    slurm.no_epilog.touch()
    slurm.start_node()
    slurm.run("scancel", job)
    until(lambda: not slurm.run("squeue", "--noheader", f"--job={job}").strip(), "the controller noticing")
    slurm.no_epilog.unlink()
    later = slurm.started(slurm.submit("--gres=gpu:a100:1"))
    granted = files.read(now_us() + 61_000_000, reading())
    assert (set(of_job(granted, job)), set(of_job(granted, later))) == (set(), {A100})
    assert named(granted.events, "holder_file_stale")


@pytest.mark.parametrize(
    "gres", ["gpu:h100:3,gpu:a100:1", "gpu:a100:1,gpu:h100:3", "gpu:h100:2,gpu:a100:1", "gpu:a100:1,gpu:h100:3,shard:9"]
)
def test_the_order_of_devices_is_slurms_own(slurm: Cluster, tmp_path: Path, gres: str) -> None:
    """What we take for index 0, 1, … is what slurmd prints of itself, and the shards of each GPU too."""
    text = slurm.conf.read_text("utf-8")
    (tmp_path / "slurm.conf").write_text(re.sub(r"Gres=\S+", f"Gres={gres}", text))
    lines = (slurm.folder / "gres.conf").read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "gres.conf").write_text("".join(line for line in lines if "shard" not in line))
    shutil.copy(slurm.folder / "cgroup.conf", tmp_path)
    command = ("/usr/sbin/slurmd", "-G", "-N", slurm.node)
    environ = {**slurm.environ, "SLURM_CONF": str(tmp_path / "slurm.conf")}
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True, env=environ)
    printed = re.findall(r"Gres Name=(\w+) .*Count=(\d+) .*nvidia(\d)", said.stdout + said.stderr)
    assert printed
    order = SlurmNode(slurm.node, gres_conf=tmp_path / "gres.conf").order(reading())
    assert list(order.devices) == [BY_MINOR[int(minor)] for name, _, minor in printed if name == "gpu"]
    shards = {BY_MINOR[int(minor)]: int(count) for name, count, minor in printed if name == "shard"}
    assert order.shards == shards
