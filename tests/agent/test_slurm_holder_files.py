"""Holder files: what our prolog and epilog write, what the agent believes of it, and what becomes of bad ones."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.holders.device_index import DeviceIndex
from agent.holders.grants import Grant, Granted
from agent.holders.processes import InMemoryProcesses
from agent.holders.slurm.cgroup_jobs import JobCgroups
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.facts import JobFacts
from agent.holders.slurm.holder_file import VERSION, parse_holder_file, parse_name
from agent.holders.slurm.holder_files import SlurmHolderFiles
from agent.holders.slurm.holder_folder import HolderFolder
from agent.holders.slurm.job_environ import JobEnvirons
from agent.holders.slurm.job_watch import JobWatch
from agent.holders.slurm.node import SlurmNode
from agent.holders.slurm.sharing import Claim, grants_of
from agent.holders.standing import Standing
from agent.observe import Observer
from gpuledger.accounting.meter import Meter
from gpuledger.errors import HolderError
from gpuledger.model import Event
from tests.agent.nodes import T0, resolver
from tests.agent.slurm_cluster import BY_MINOR, ROOT, UUIDS, reading

SECOND = 1_000_000
KEEP = 120 * SECOND
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
HOSTILE = "a\nend\njob=99\x01\x7f \"'`id` $(id) %s%n \\ ; * é"


def content(**said: object) -> bytes:
    facts: dict[str, object] = {"job": "7", "start_ns": T0 * 1_000, **said}
    return "\n".join([VERSION, *(f"{name}={value}" for name, value in facts.items()), "end", ""]).encode()


def run_script(name: str, folder: Path, shell: str = "sh", **environ: str) -> subprocess.CompletedProcess[str]:
    command = [
        *(("busybox", "sh") if shell == "busybox" else (shell,)),
        str(ROOT / "deploy/slurm" / f"gpuledger-{name}.sh"),
    ]
    environ = {"GPULEDGER_HOLDERS": str(folder), **environ}
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=20, check=False)


class Node:
    """A node where Slurm gives GPUs by files in `folder`; nothing runs there."""

    def __init__(self, folder: Path, gres_conf: str = "Name=gpu File=/dev/nvidia[0-3]", grace_s: int = 900) -> None:
        self.folder = folder / "holders"
        self.folder.mkdir()
        conf = folder / "gres.conf"
        conf.write_text(gres_conf)
        processes = InMemoryProcesses({})
        (folder / "proc").mkdir()
        watch = JobWatch(JobCgroups(folder / "cgroup"), JobEnvirons(folder / "proc"), processes.start_us)
        self.context = SlurmContext(SlurmNode("n1", gres_conf=conf), watch)
        files = HolderFolder(self.folder, keep_us=KEEP)
        self.source = SlurmHolderFiles(files, self.context, grace_us=grace_s * SECOND)

    def write(self, name: str, **said: object) -> Path:
        path = self.folder / name
        path.write_bytes(content(**said))
        return path

    def read(self, after_s: float = 60) -> Granted:
        return self.source.read(T0 + int(after_s * SECOND), reading())

    def grants(self, after_s: float = 60) -> list[Grant]:
        return list(self.read(after_s).grants)


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return Node(tmp_path)


def kinds(events: tuple[Event, ...]) -> list[str]:
    return [event.kind for event in events]


def test_a_file_says_what_slurm_told_the_prolog() -> None:
    """Everything of a job and its start, to the microsecond; names that a later version adds are left alone."""
    held = parse_holder_file(
        content(
            sluid="s8FXKTA79XAR00", array_job=5, array_task=0, restarts=1, uid=1000, user="ana", account="vision=x",
            partition="gpu", name="a b", cluster="main", node="n1", gpus="0,2", shards=3, mps_percent=50, later="yes",
            visible_devices="0,1",
        )
    )  # fmt: skip
    facts = held.facts
    assert (held.since_us, held.node, held.restarts) == (T0, "n1", "1")
    assert (facts.job, facts.sluid, facts.array_job, facts.array_task) == ("7", "s8FXKTA79XAR00", "5", "0")
    assert (facts.uid, facts.user, facts.account, facts.partition) == (1000, "ana", "vision=x", "gpu")
    assert (facts.gpus, facts.visible, facts.shards, facts.mps_percent) == (("0", "2"), (), 3, 50)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"", "begins with"),
        (b"gpuledger-holder 2\nend\n", "begins with"),
        (content()[:-1], "cut off"),
        (content()[:-5], "cut off"),
        (content() + b"x\n", "cut off"),
        (content(start_ns="yesterday"), "start_ns"),
        (content(job=""), "the line"),
        (content(job="7; rm -rf /"), "job is"),
        (content(job="../../etc/passwd"), "job is"),
        (content(uid=2**32 - 1), "uid"),
        (content(uid=-1), "uid is"),
        (content(gpus="0-3"), "not a GPU"),
        (content(gpus="0,0"), "not a list"),
        (content(gpus="0,"), "not a GPU"),
        (content(gpus="GPU-../../x"), "not a GPU"),
        (content(shards="many"), "shards is"),
        (content(sluid="sI000000000000"), "sluid is"),
        (content().replace(b"job=7", b"job=7\njob=8"), "not a new"),
        (content(user="a\rb"), "the line"),
        (content(user="x" * 5_000), "the line"),
        (VERSION.encode() + b"\n" + b"x=1\n" * 20_000 + b"end\n", "more than"),
    ],
)
def test_a_file_that_is_not_sound_is_refused_whole(bad: bytes, reason: str) -> None:
    """Cut off, doubled, of another version, or with a text where a number belongs: ValueError says which."""
    with pytest.raises(ValueError, match=reason):
        parse_holder_file(bad)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_file_or_a_value_error(junk: bytes) -> None:
    """Nothing else is ever raised, with junk in front, within or behind."""
    for bytes_ in (junk, content()[:40] + junk + content()[40:], content(user="x").replace(b"x", junk)):
        with contextlib.suppress(ValueError):
            assert parse_holder_file(bytes_).facts.job.isdigit()


@given(st.data())
def test_a_file_cut_anywhere_is_refused(data: st.DataObject) -> None:
    """No prefix of a file is a file: a full disk bills nobody by half."""
    whole = content(user="ana", gpus="0,1", name="end")
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match=r"begins|cut off"):
        parse_holder_file(whole[:cut])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("7.job", ("7", None)),
        ("7.1767225600000000123.ended", ("7", T0)),
        ("7", None),
        (".7.123", None),
        ("7.job.bad", None),
        ("7.ended", None),
        ("../7.job", None),
        ("7.1.ended", None),
    ],
)
def test_names_of_files(name: str, said: tuple[str, int | None] | None) -> None:
    """`<job>.job` while it runs, the end in nanoseconds in the name afterwards; nothing else is a holder file."""
    found = parse_name(name)
    assert (None if found is None else tuple(found)) == said


@pytest.mark.parametrize("shell", SHELLS)
def test_the_scripts_write_what_the_agent_reads_whatever_a_user_put_into_a_name(tmp_path: Path, shell: str) -> None:
    """In every shell: line breaks, quotes and substitutions in a job's name stay text on one line; the status is 0."""
    folder = tmp_path / "made" / "holders"
    facts = {
        "SLURM_JOB_ID": "12", "SLURM_JOB_SLUID": "s8FXKTA79XAR00", "SLURM_ARRAY_JOB_ID": "9", "SLURM_ARRAY_TASK_ID": "3",
        "SLURM_JOB_UID": "1000", "SLURM_JOB_USER": "ana", "SLURM_JOB_ACCOUNT": HOSTILE, "SLURM_JOB_PARTITION": "gpu",
        "SLURM_JOB_NAME": HOSTILE, "SLURM_CLUSTER_NAME": "c", "SLURMD_NODENAME": "n1", "SLURM_JOB_GPUS": "0,1",
        "CUDA_VISIBLE_DEVICES": ",".join(UUIDS[:2]), "SLURM_SHARDS_ON_NODE": "2",
        "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "25",
    }  # fmt: skip
    done = run_script("prolog", folder, shell, **facts)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (file,) = folder.iterdir()
    assert (file.name, stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(folder.stat().st_mode)) == (
        "12.job",
        0o640,
        0o750,
    )
    held = parse_holder_file(file.read_bytes())
    assert held.facts.account == held.facts.name == re.sub(r"[\x00-\x1f\x7f]", "?", HOSTILE)
    assert (held.facts.job, held.facts.gpus, held.facts.visible) == ("12", ("0", "1"), UUIDS[:2])
    assert (held.facts.shards, held.facts.mps_percent, held.node) == (2, 25, "n1")
    done = run_script("epilog", folder, shell, SLURM_JOB_ID="12")
    assert (done.returncode, done.stderr) == (0, "")
    (file,) = folder.iterdir()
    said = parse_name(file.name)
    assert said is not None
    assert said.until_us is not None
    assert held.since_us <= said.until_us < held.since_us + 20 * SECOND


@pytest.mark.parametrize("script", ["prolog", "epilog"])
@pytest.mark.parametrize("job", ["", "x", "1;reboot", "../1", "-1"])
def test_the_scripts_never_fail_a_job(tmp_path: Path, script: str, job: str) -> None:
    """Without a job id, and where nothing can be written, the status is 0 and standard error says why."""
    done = run_script(script, tmp_path / "h", SLURM_JOB_ID=job)
    assert (done.returncode, "no job id" in done.stderr) == (0, True)
    (tmp_path / "file").write_text("")
    done = run_script(script, tmp_path / "file", SLURM_JOB_ID="5")
    assert (done.returncode, f"gpuledger-{script}: " in done.stderr) == (0, True)
    assert not (tmp_path / "h").exists()


def test_the_epilog_keeps_no_more_files_than_it_may(here: Node) -> None:
    """Where no agent takes them the files end at a limit; how many jobs were not kept is told once an agent comes."""
    for number in range(3):
        here.write(f"{number + 1}.1767225600000000123.ended", job=number + 1)
    here.write("9.job", job=9)
    done = run_script("epilog", here.folder, SLURM_JOB_ID="9", GPULEDGER_MOST_ENDED="3")
    assert (done.returncode, "only counted" in done.stderr) == (0, True)
    assert not (here.folder / "9.job").exists()
    (event,) = here.read().events
    assert (event.kind, "1 jobs" in event.message) == ("holder_files_lost", True)
    assert here.read(61).events == ()


def test_grants_name_the_device_by_its_minor(here: Node) -> None:
    """Index 2 is /dev/nvidia2, which is another GPU than NVML's third; every GPU of gres.conf is Slurm's to give."""
    here.write("7.job", gpus="2,0", account="vision")
    granted = here.read()
    assert [grant.device for grant in granted.grants] == [BY_MINOR[2], BY_MINOR[0]]
    assert UUIDS[2] != BY_MINOR[2]
    assert {(one.holder.key, one.holder.slurm_account, one.since_us) for one in granted.grants} == {
        ("slurm:7", "vision", T0)
    }
    assert granted.managed == frozenset(UUIDS)


def test_uuids_of_slurm_are_taken_as_they_are(here: Node) -> None:
    """From 25.11 the prolog's CUDA_VISIBLE_DEVICES holds UUIDs: they need no order, and outrank it."""
    here.write("7.job", gpus="0", visible_devices=UUIDS[3])
    here.write("8.job", job=8, gpus=UUIDS[2])
    assert [grant.device for grant in here.grants()] == [UUIDS[3], UUIDS[2]]


def test_a_gpu_that_is_not_known_is_said_not_guessed(here: Node) -> None:
    """A grant of index 9 is none; the event names the job, once."""
    here.write("7.job", gpus="1,9")
    granted = here.read()
    assert [grant.device for grant in granted.grants] == [BY_MINOR[1]]
    assert [(one.kind, one.holder) for one in granted.events] == [("slurm_gpu_unknown", "slurm:7")]
    assert here.read(61).events == ()


def test_shards_mps_and_whole_gpus_have_one_unit_on_each_device(tmp_path: Path) -> None:
    """Shards of four, percent of a hundred, and both on one device within one reading: in their common parts."""
    here = Node(tmp_path, "Name=gpu File=/dev/nvidia[0-3]\nName=shard Count=16")
    here.write("1.job", job=1, gpus="0", shards=3)
    here.write("2.job", job=2, gpus="1", mps_percent=25)
    here.write("3.job", job=3, gpus="2", shards=1)
    here.write("4.1767225630000000000.ended", job=4, gpus="2", mps_percent=10)
    granted = here.read()
    assert {grant.holder.key: grant.replicas for grant in granted.grants} == {
        "slurm:1": 3, "slurm:2": 25, "slurm:3": 25, "slurm:4": 10,
    }  # fmt: skip
    assert granted.replicas == {BY_MINOR[0]: 4, BY_MINOR[1]: 100, BY_MINOR[2]: 100}


@given(st.lists(st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 3, 4, 7, 100])), min_size=1, max_size=6))
def test_replicas_are_the_exact_parts(parts: list[tuple[int, int]]) -> None:
    """In whatever units jobs hold parts of a device, their replicas out of the device's are those parts exactly."""
    claims = [
        Claim("GPU-1", JobFacts(job=str(number)), min(part, whole), whole, "m")
        for number, (part, whole) in enumerate(parts, 1)
    ]
    grants, replicas = grants_of(claims)
    whole = replicas.get("GPU-1", 1)
    assert [Fraction(grant.replicas, whole) for grant in grants] == [Fraction(one.part, one.whole) for one in claims]


def test_shards_on_several_gpus_sum_to_what_the_job_has(tmp_path: Path) -> None:
    """Slurm tells their sum alone: it is split by the sizes of the GPUs, nothing lost."""
    here = Node(
        tmp_path,
        "Name=gpu File=/dev/nvidia[0-3]\nName=shard Count=8 File=/dev/nvidia0\nName=shard Count=4 File=/dev/nvidia1",
    )
    here.write("7.job", gpus="0,1", shards=7)
    assert [grant.replicas for grant in here.grants()] == [5, 2]


def test_a_share_that_nothing_tells_is_the_least_it_can_be(tmp_path: Path) -> None:
    """On a GPU with shards, a job of which only the prolog has spoken has one of them; a percentage over 100 is no share."""
    here = Node(tmp_path, "Name=gpu File=/dev/nvidia[0-3]\nName=shard Count=4 File=/dev/nvidia0")
    here.write("7.job", gpus="0")
    here.write("8.job", job=8, gpus="1", mps_percent=2_500)
    granted = here.read()
    assert [(grant.replicas, granted.replicas[grant.device]) for grant in granted.grants] == [(1, 4), (1, 100)]
    assert kinds(granted.events) == ["slurm_share_unknown"] * 2


def test_an_ended_job_is_told_once_and_its_file_kept_until_its_time_is_sealed(here: Node) -> None:
    """A file stays for an agent that is killed before it sealed; then it is deleted."""
    path = here.write("7.1767225630000000000.ended", gpus="0")
    (grant,) = here.grants(40)
    assert (grant.since_us, grant.until_us) == (T0, T0 + 30 * SECOND)
    assert here.grants(50) == []
    assert path.exists()
    restarted = HolderFolder(here.folder, keep_us=KEEP)
    assert len(restarted.scan(T0 + 55 * SECOND).ended) == 1
    assert here.grants(40 + 120) == []
    assert not path.exists()


def test_an_end_is_not_lost_where_the_configuration_cannot_be_read(here: Node) -> None:
    """A reading that fails takes nothing: the ended job is told once gres.conf is sound again."""
    here.write("7.1767225630000000000.ended", gpus="0")
    conf = here.folder.parent / "gres.conf"
    conf.write_text("Name=gpu File=/dev/nvidia[0-")
    (here.folder / "8.job").write_text("nonsense")
    for after_s in (40, 50):
        with pytest.raises(HolderError):
            here.read(after_s)
    conf.write_text("Name=gpu File=/dev/nvidia[0-3]")
    granted = here.read(400)
    assert [grant.until_us for grant in granted.grants] == [T0 + 30 * SECOND]
    assert kinds(granted.events) == ["holder_file_bad"]


def test_bad_files_are_named_counted_and_set_aside(here: Node) -> None:
    """A bad file harms no other: it is renamed, told once, and of the renamed only the newest stay."""
    here.write("7.job", gpus="0")
    (here.folder / "8.job").write_text("nonsense")
    here.write("9.job", job=10, gpus="1")
    here.write("11.1700000000000000000.ended", job=11)
    (here.folder / "12.job").symlink_to("/etc/passwd")
    (here.folder / "13.job").mkdir()
    os.mkfifo(here.folder / "14.job")
    granted = here.read()
    assert [grant.holder.key for grant in granted.grants] == ["slurm:7"]
    assert kinds(granted.events) == ["holder_file_bad"] * 6
    assert {event.details["file"] for event in granted.events} >= {"8.job", "9.job", "12.job"}
    assert here.read(61).events == ()
    assert len(list(here.folder.glob("*.bad"))) == 6
    for number in range(100, 200):
        (here.folder / f"{number}.job").write_text("")
    here.read(62)
    bad = [path for path in here.folder.glob("*.bad") if not path.is_dir()]
    assert len(bad) <= 50


def test_a_file_of_another_user_is_not_believed(here: Node) -> None:
    """Only root, whom slurmd runs as, and the agent's own user say who holds a GPU."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    os.chown(here.write("7.job", gpus="0"), 65_534, 65_534)
    granted = here.read()
    assert (granted.grants, kinds(granted.events)) == ((), ["holder_file_bad"])


def test_a_folder_that_anybody_may_write_is_refused(here: Node) -> None:
    """Who may write there may bill others."""
    here.folder.chmod(0o777)
    with pytest.raises(HolderError, match="anybody may write"):
        here.read()


def test_a_folder_of_a_users_is_refused(here: Node) -> None:
    """Whose the folder is may rename root's files in it: a running job into one that has ended."""
    if os.geteuid() != 0:
        pytest.skip("only root gives files away")
    os.chown(here.folder, 65_534, 65_534)
    with pytest.raises(HolderError, match="belongs to uid 65534"):
        here.read()


def test_a_file_is_read_anew_only_when_it_changed(here: Node) -> None:
    """A requeued job's prolog writes its file again: the new start counts."""
    here.write("7.job", gpus="0")
    assert here.grants()[0].since_us == T0
    here.write("7.job", gpus="0", start_ns=(T0 + SECOND) * 1_000, restarts=1)
    assert here.grants(61)[0].since_us == T0 + SECOND


def test_no_folder_is_no_job(here: Node) -> None:
    """Right after boot there is none."""
    here.folder.rmdir()
    assert here.read().grants == ()


def test_a_job_without_a_process_is_believed_for_the_grace_time(here: Node) -> None:
    """Then it is dropped, which is told once, and its file is deleted a day later."""
    path = here.write("7.job", gpus="0")
    assert len(here.grants(0)) == 1
    assert len(here.grants(899)) == 1
    late = here.read(900)
    assert (late.grants, kinds(late.events)) == ((), ["holder_file_stale"])
    assert here.read(901).events == ()
    here.read(900 + 86_401)
    assert not path.exists()


def test_a_later_job_on_the_same_gpu_ends_a_dead_one_at_once(here: Node) -> None:
    """Slurm gives a whole GPU to one job at a time: who came later has it."""
    here.write("7.job", gpus="0")
    here.write("8.job", job=8, gpus="0", start_ns=(T0 + SECOND) * 1_000)
    granted = here.read()
    assert [grant.holder.key for grant in granted.grants] == ["slurm:8"]
    assert [event.holder for event in granted.events] == ["slurm:7"]


def test_a_job_that_lived_between_two_samples_is_in_the_ledger(here: Node) -> None:
    """Half a second of a GPU becomes half a second of usage, to the microsecond, though no sample saw the job."""
    observer = Observer(resolver(), node="n1", standing=Standing((here.source,)))
    meter = Meter(30 * SECOND)
    records: list[Any] = []
    for after_s in (0, 10, 20, 60, 61):
        if after_s == 20:
            here.write("7.1767225613250000000.ended", start_ns=(T0 * 1_000) + 12_750_000_000, gpus="2")
        at_us = T0 + after_s * SECOND
        records += meter.observe(observer.observe(reading(), at_us).snapshot).records
    records += meter.flush().records
    held = [record for record in records if record.holder == "slurm:7"]
    assert {record.device for record in held} == {BY_MINOR[2]}
    assert sum(record.held_us for record in held) == 500_000
    assert {record.evidence.holder for record in held} == {"slurm_prolog"}
    assert observer.holders["slurm:7"].slurm_job == "7"


def test_device_index_is_not_the_minor() -> None:
    """The readings of these tests would show a mix-up: no GPU's minor is its index."""
    index = DeviceIndex(reading())
    assert all(index.by_minor(number) != index.by_index(number) for number in range(2))
