"""Jobs from their cgroups and environments, on trees as each version of cgroups and of Slurm makes them."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from agent.holders.grants import Grant, Granted
from agent.holders.slurm.cgroup_events import CgroupEvents
from agent.holders.slurm.cgroup_grants import SlurmCgroups
from agent.holders.slurm.cgroup_jobs import JobCgroups, is_alive, pids, steps
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.holder_files import SlurmHolderFiles
from agent.holders.slurm.holder_folder import HolderFolder
from agent.holders.slurm.inotify import FolderEvents
from agent.holders.slurm.job_environ import JobEnvirons
from agent.holders.slurm.job_watch import JobWatch
from agent.holders.slurm.node import SlurmNode
from gpuledger.model import Confidence
from tests.agent.nodes import T0
from tests.agent.slurm_cluster import BY_MINOR, reading
from tests.agent.test_slurm_holder_files import content, kinds
from tests.waiting import until

SECOND = 1_000_000
SLUID = "s8FXKTA79XAR00"
V2 = "system.slice/slurmstepd.scope"
SHAPES = {
    "v1": "freezer/slurm/uid_1000/job_7",
    "v1 of a named node": "memory/slurm_n1/uid_1000/job_7",
    "v2": f"{V2}/job_7",
    "v2 of a named node": "system.slice/n1_slurmstepd.scope/job_7",
    "v2 in a slice of the site": "slurm.slice/slurmstepd.scope/job_7",
    "v2 beside v1": f"unified/{V2}/job_7",
    "SLUID": f"{V2}/{SLUID}",
}


class Node:
    """A node whose cgroups and processes are folders; a stepd of root's has pid 100."""

    def __init__(
        self, folder: Path, gres_conf: str = "Name=gpu File=/dev/nvidia[0-3]\nName=shard Count=4 File=/dev/nvidia3"
    ):
        self.cgroup, self.proc, self.holders = folder / "cgroup", folder / "proc", folder / "holders"
        for path in (self.cgroup, self.proc, self.holders):
            path.mkdir()
        conf = folder / "gres.conf"
        conf.write_text(gres_conf)
        self.environs = JobEnvirons(self.proc)
        self.watch = JobWatch(JobCgroups(self.cgroup), self.environs, {100: T0 - SECOND}.get)
        self.context = SlurmContext(SlurmNode("n1", gres_conf=conf), self.watch)
        self.files = SlurmHolderFiles(HolderFolder(self.holders, keep_us=0), self.context, grace_us=SECOND)
        self.source = SlurmCgroups(self.context)
        self.process(100, "slurmstepd", 1, title="slurmstepd: [7.batch]")

    def process(self, pid: int, comm: str, parent: int, title: str = "", **environ: str) -> None:
        folder = self.proc / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} ({comm}) S {parent} 1 1 0")
        (folder / "cmdline").write_text(title or comm)
        (folder / "environ").write_bytes(b"\0".join(f"{name}={value}".encode() for name, value in environ.items()))

    def put(self, path: str, *processes: int) -> None:
        folder = self.cgroup / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("".join(f"{pid}\n" for pid in processes))

    def run(self, job: str = SHAPES["v2"], **environ: str) -> None:
        """Run a job's batch script, child of slurmstepd."""
        self.process(101, "python", 100, **{"SLURM_JOB_ID": "7", "SLURM_JOB_UID": "1000", **environ})
        self.put(f"{job}/step_batch/user/task_0", 101)
        self.put(f"{job}/step_batch/slurm", 100)

    def read(self, after_s: int = 60) -> Granted:
        return self.source.read(T0 + after_s * SECOND, reading())

    def only(self) -> Grant:
        (grant,) = self.read().grants
        return grant


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_job_is_found_in_every_shape_of_cgroup(here: Node, shape: str) -> None:
    """v1 and v2, hybrid, named nodes, the site's slice, SLUIDs: the same job, device, account and start."""
    here.run(SHAPES[shape], SLURM_JOB_GPUS="2", SLURM_JOB_ACCOUNT="vision", SLURM_JOB_USER="ana", SLURM_JOB_SLUID=SLUID)
    grant = here.only()
    assert (grant.device, grant.holder.key, grant.holder.slurm_job) == (BY_MINOR[2], "slurm:7", "7")
    assert (grant.holder.slurm_account, grant.holder.user, grant.holder.uid) == ("vision", "ana", 1000)
    assert grant.holder.labels["slurm_sluid"] == SLUID
    assert (grant.method, grant.confidence, grant.since_us) == (
        "slurm_job_environment",
        Confidence.DERIVED,
        T0 - SECOND,
    )


@pytest.mark.parametrize(
    "path",
    [
        "user.slice/user-1000.slice/slurmstepd.scope/job_7",
        "freezer/mine/slurm/uid_1000/job_7",
        f"{V2}/system",
        f"{V2}/s8FXKTA79XAR0",
        "freezer/slurm/uid_1000/job_x",
    ],
)
def test_what_is_no_jobs_cgroup_is_none(here: Node, path: str) -> None:
    """A group that a user made, slurmstepd's own, names that are no job's."""
    here.run(path, SLURM_JOB_GPUS="2")
    assert here.read().grants == ()


def test_job_gpus_go_before_step_gpus(here: Node) -> None:
    """The job's are all of them; a step's are some. Without the job's, those of its steps together."""
    here.run(SLURM_JOB_GPUS="0,1", SLURM_STEP_GPUS="1")
    assert [grant.device for grant in here.read().grants] == [BY_MINOR[0], BY_MINOR[1]]


def test_steps_of_an_allocation_sum_up(here: Node) -> None:
    """A job without a batch script: its steps' GPUs together, as they come; more steps are looked at when they start."""
    here.process(101, "a", 100, SLURM_JOB_ID="7", SLURM_STEP_GPUS="1", SLURM_GPUS_ON_NODE="1")
    here.put(f"{V2}/job_7/step_extern/user/task_special")
    here.put(f"{V2}/job_7/step_0/user/task_0", 101)
    assert {grant.device for grant in here.read().grants} == {BY_MINOR[1]}
    here.process(102, "b", 100, SLURM_JOB_ID="7", SLURM_STEP_GPUS="2,1", SLURM_GPUS_ON_NODE="2")
    here.put(f"{V2}/job_7/step_1/user/task_0", 102)
    assert {grant.device for grant in here.read(61).grants} == {BY_MINOR[1], BY_MINOR[2]}


def test_only_what_slurmstepd_started_is_believed(here: Node) -> None:
    """A child of the job's may say what it likes, and so may a process that calls itself slurmstepd without being root's."""
    here.process(101, "python", 100, SLURM_JOB_ID="7", SLURM_JOB_GPUS="0")
    here.process(90, "python", 101, SLURM_JOB_ID="7", SLURM_JOB_GPUS="3")
    here.put(f"{V2}/job_7/step_batch/user/task_0", 90, 101)
    assert here.only().device == BY_MINOR[0]
    here.process(200, "slurmstepd", 1)
    here.process(201, "python", 200, SLURM_JOB_ID="8", SLURM_JOB_GPUS="3")
    here.put(f"{V2}/job_8/step_batch/user/task_0", 201)
    if os.geteuid() != 0:
        pytest.skip("only root can give a process to another user")
    os.chown(here.proc / "200", 65_534, 65_534)
    assert {grant.holder.slurm_job for grant in here.read(61).grants} == {"7"}


@pytest.mark.parametrize(
    ("environ", "word"),
    [
        ({"SLURM_JOB_ID": "8"}, "job 7"),
        ({"SLURM_JOB_UID": "0"}, "uid 1000"),
        ({"SLURM_JOB_GPUS": "0;1"}, "not a GPU"),
        ({"SLURM_JOB_UID": "root"}, "uid is"),
    ],
)
def test_an_environment_that_contradicts_its_cgroup_is_not_believed(
    here: Node, environ: dict[str, str], word: str
) -> None:
    """The cgroup is the kernel's; the event says what does not fit, once, and nothing is granted."""
    here.run(SHAPES["v1"], **{"SLURM_JOB_GPUS": "0", **environ})
    granted = here.read()
    assert (granted.grants, kinds(granted.events)) == ((), ["slurm_environment_false"])
    assert word in granted.events[0].message
    assert here.read(61).events == ()


def test_shards_and_mps_are_as_slurmstepd_says(here: Node) -> None:
    """Shards of the GPU's own, percentages of a hundred."""
    here.run(SLURM_JOB_GPUS="3", SLURM_SHARDS_ON_NODE="3")
    assert (here.only().replicas, here.read(61).replicas) == (3, {BY_MINOR[3]: 4})


def test_a_whole_gpu_that_could_be_shared_is_whole(here: Node) -> None:
    """`SLURM_GPUS_ON_NODE` says that it was given whole."""
    here.run(SLURM_JOB_GPUS="3", SLURM_GPUS_ON_NODE="1")
    granted = here.read()
    assert ([grant.replicas for grant in granted.grants], granted.replicas, granted.events) == ([1], {}, ())


def test_what_a_user_exports_makes_no_grant(here: Node) -> None:
    """Slurm leaves what `sbatch --export` brings where it sets nothing itself: a step's GPUs, a device's UUID."""
    here.run(CUDA_VISIBLE_DEVICES=BY_MINOR[0], SLURM_STEP_GPUS="1")
    assert here.read().grants == ()


def test_a_job_that_cannot_be_read_is_not_accused(here: Node) -> None:
    """What Slurm gave it is not known: it holds nothing, and its processes are no intruders on any of Slurm's GPUs."""
    here.put(f"{V2}/job_7/step_batch/user/task_0", 101)
    granted = here.read()
    assert granted.grants == ()
    assert {(grant.device, grant.holder.key) for grant in granted.excused} == {
        (device, "slurm:7") for device in granted.managed
    }
    here.process(101, "python", 100, SLURM_JOB_ID="7", SLURM_JOB_UID="1000")
    assert here.read(61).excused == (), "it was given no GPU"


@pytest.mark.parametrize(("more", "expected"), [("", (1, {})), ("Name=mps Count=400", (25, {BY_MINOR[0]: 100}))])
def test_a_percentage_of_mps_is_slurms_only_where_it_gives_any(
    tmp_path: Path, more: str, expected: tuple[int, dict[str, int]]
) -> None:
    """Users set it for servers of their own on GPUs that they have, and pay for, whole."""
    here = Node(tmp_path, f"Name=gpu File=/dev/nvidia[0-3]\n{more}")
    here.run(SLURM_JOB_GPUS="0", SLURM_GPUS_ON_NODE="1", CUDA_MPS_ACTIVE_THREAD_PERCENTAGE="25")
    granted = here.read()
    assert ([grant.replicas for grant in granted.grants], granted.replicas) == ([expected[0]], expected[1])


def test_environments_are_read_again_only_when_jobs_change(here: Node) -> None:
    """A job that is known costs its name in a listing; one that has just started is looked at until it says something."""
    here.run(SLURM_JOB_GPUS="0")
    for after_s in range(60, 70):
        here.read(after_s)
    assert here.watch.environs_read == 1
    here.put(f"{V2}/job_8/step_batch/user/task_0")
    for after_s in range(70, 90):
        here.read(after_s)
    assert here.watch.environs_read == 1 + 6
    here.process(102, "b", 100, SLURM_JOB_ID="8", SLURM_JOB_GPUS="1")
    here.put(f"{V2}/job_8/step_batch/user/task_0", 102)
    here.put(f"{V2}/job_8/step_0")
    assert len(here.read(90).grants) == 2


def test_a_file_names_a_job_whose_environment_may_not_be_read(here: Node) -> None:
    """The prolog's file gives the SLUID's job id; its shards are then the least they can be."""
    here.put(f"{V2}/{SLUID}/step_batch/user/task_0", 101)
    (here.holders / "7.job").write_bytes(content(sluid=SLUID, gpus="1"))
    at_us = T0 + 60 * SECOND
    (grant,) = here.files.read(at_us, reading()).grants
    assert grant.device == BY_MINOR[1]
    assert here.watch.is_alive("7", at_us)
    assert here.read().grants == ()


def test_files_fill_in_what_only_the_processes_say(here: Node) -> None:
    """Array, name and shards come from the environment; what the prolog was told stands, and stays the stronger method."""
    here.run(
        SLURM_JOB_GPUS="3", SLURM_SHARDS_ON_NODE="2", SLURM_ARRAY_JOB_ID="5", SLURM_ARRAY_TASK_ID="4",
        SLURM_JOB_NAME="sweep", SLURM_JOB_ACCOUNT="forged",
    )  # fmt: skip
    (here.holders / "7.job").write_bytes(content(gpus="3", account="vision", uid=1000))
    granted = here.files.read(T0 + 60 * SECOND, reading())
    (grant,) = granted.grants
    assert (grant.method, grant.replicas, granted.replicas) == ("slurm_prolog", 2, {BY_MINOR[3]: 4})
    assert (grant.holder.slurm_account, grant.holder.labels["slurm_array_task"]) == ("vision", "4")
    assert grant.holder.labels["slurm_job_name"] == "sweep"
    weaker = here.read()
    assert (len(weaker.grants), weaker.events) == (1, ())


def test_a_job_that_a_file_says_is_over_is_over(here: Node) -> None:
    """A cgroup that Slurm has not cleared away yet holds nothing after the epilog ran."""
    here.run(SLURM_JOB_GPUS="0")
    (here.holders / "7.1767225630000000000.ended").write_bytes(content(gpus="0"))
    at_us = T0 + 60 * SECOND
    assert len(here.files.read(at_us, reading()).grants) == 1
    assert here.read().grants == ()


def test_a_job_is_alive_while_a_process_or_its_stepd_is_left(here: Node) -> None:
    """An empty group was left behind; without cgroups slurmstepd's title tells, looked up once a minute at most."""
    here.put(SHAPES["v1"])
    here.put(SHAPES["v1"] + "/step_0")
    (group,) = JobCgroups(here.cgroup).list()
    assert (is_alive([group]), steps(group), pids(group)) == (False, ("0",), ())
    here.put(SHAPES["v1"] + "/step_0/task_0", 101)
    assert (is_alive([group]), pids(group, "0")) == (True, (101,))
    assert here.watch.is_alive("7", T0)
    assert not here.watch.is_alive("8", T0)
    here.process(300, "slurmstepd", 1, title="slurmstepd: [8.0]")
    assert not here.watch.is_alive("8", T0 + 59 * SECOND)
    assert here.watch.is_alive("8", T0 + 60 * SECOND)


def test_a_node_without_slurm_grants_nothing(tmp_path: Path) -> None:
    """No cgroups, no configuration: nothing is granted and nothing managed."""
    node = SlurmNode("n1", folders=())
    context = SlurmContext(node, JobWatch(JobCgroups(tmp_path / "none"), JobEnvirons(tmp_path), {}.get))
    assert SlurmCgroups(context).read(T0, reading()) == Granted()


@pytest.mark.parametrize("shape", ["v1", "v2", "SLUID"])
def test_a_job_between_two_readings_is_dated_by_its_cgroup(here: Node, shape: str) -> None:
    """Also where slurmd started after the agent, and for a user's first job: from the folder's making to its removal."""
    now_us = [T0]
    events = here.context.events = CgroupEvents(JobCgroups(here.cgroup), here.environs, lambda: now_us[0])
    source = here.source
    (here.cgroup / ("freezer/other" if shape == "v1" else "system.slice")).mkdir(parents=True)
    try:
        assert source.read(T0, reading()).grants == ()
        now_us[0] = T0 + 2 * SECOND
        here.run(SHAPES[shape], SLURM_JOB_GPUS="1", SLURM_JOB_ACCOUNT="vision")
        path = here.cgroup / SHAPES[shape]
        until(lambda: str(path) in events.watched, "the new job")
        now_us[0] = T0 + 3 * SECOND
        events.wake()
        until(lambda: events.watched.get(str(path)), "what its processes say")
        now_us[0] = T0 + 5 * SECOND
        shutil.rmtree(path)
        (grant,) = until(lambda: source.read(now_us[0], reading()).grants, "its end")
        assert (grant.device, grant.holder.slurm_job, grant.holder.slurm_account) == (BY_MINOR[1], "7", "vision")
        assert (grant.since_us, grant.until_us) == (T0 + 2 * SECOND, T0 + 5 * SECOND)
        (here.holders / "7.1767225604500000000.ended").write_bytes(content(gpus="1"))
        (told,) = here.files.read(now_us[0], reading()).grants
        assert told.holder.slurm_account == "vision", "what its processes said outlives them"
    finally:
        source.close()
    assert source.read(now_us[0] + 1, reading()).grants == ()


def test_a_job_that_goes_while_it_is_read_ends_once(here: Node) -> None:
    """A cgroup that the listing still had and whose removal was told is an end, not a grant beside it."""
    here.run(SLURM_JOB_GPUS="0")
    events = here.context.events = CgroupEvents(JobCgroups(here.cgroup), here.environs, lambda: T0 + 60 * SECOND)
    source = here.source
    try:
        assert [grant.until_us for grant in source.read(T0 + 10 * SECOND, reading()).grants] == [None]
        at_us = T0 + 70 * SECOND
        here.watch.jobs(at_us, {})
        shutil.rmtree(here.cgroup / SHAPES["v2"])
        until(lambda: events.waiting, "the removal")
        assert [grant.until_us for grant in source.read(at_us, reading()).grants] == [T0 + 60 * SECOND]
    finally:
        source.close()


def test_a_kernel_without_watches_is_said_and_costs_only_the_short_jobs(here: Node) -> None:
    """Where inotify is refused the source reads as before."""
    here.run(SLURM_JOB_GPUS="0")
    events = here.context.events = CgroupEvents(JobCgroups(here.cgroup), here.environs, lambda: T0, open_events=refused)
    source = here.source
    assert len(source.read(T0 + 60 * SECOND, reading()).grants) == 1
    assert "many" in events.problem
    source.close()


def refused() -> FolderEvents:
    raise OSError(errno.EMFILE, "too many open files")
