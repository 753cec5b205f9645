"""The check with Slurm's controller: both dialects of its JSON, and what the agent makes of differences and silence."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config import AgentSettings, SlurmSection
from agent.holders.slurm.build import slurm_sources
from agent.holders.slurm.cgroup_jobs import JobCgroups
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.controller_check import SlurmControllerCheck
from agent.holders.slurm.facts import JobFacts
from agent.holders.slurm.job_environ import JobEnvirons
from agent.holders.slurm.job_watch import JobWatch
from agent.holders.slurm.node import SlurmNode
from agent.holders.slurm.presence import is_wanted
from agent.holders.slurm.sharing import Claim
from agent.holders.slurm.squeue import Squeue
from agent.holders.slurm.squeue_json import parse_detail, parse_squeue
from agent.holders.sources import grant_sources
from gpuledger.errors import ConfigError, HolderError
from gpuledger.model import Event
from tests.agent.nodes import T0
from tests.agent.slurm_cluster import BY_MINOR, reading
from tests.waiting import until

SECOND = 1_000_000
OLD = {
    "job_id": 7, "job_state": "RUNNING", "array_job_id": 5, "array_task_id": 0, "user_id": 1000, "user_name": "ana",
    "account": "vision", "partition": "gpu", "name": 'a\n"b"', "cluster": "c", "nodes": "n[1-2]",
    "gres_detail": ["gpu:h100:1(IDX:3)", "gpu:h100:2(IDX:0-1)"],
}  # fmt: skip
NEW = {
    **OLD,
    "job_state": ["RUNNING", "CONFIGURING"],
    "array_job_id": {"set": True, "infinite": False, "number": 5},
    "array_task_id": {"set": True, "infinite": False, "number": 0},
    "sluid": "s8FXKTA79XAR00",
}


def said(*jobs: dict[str, Any]) -> bytes:
    return json.dumps({"meta": {"x": 1}, "jobs": jobs, "errors": []}).encode()


@pytest.mark.parametrize("job", [OLD, NEW], ids=["22.05", "26.05"])
def test_both_dialects_say_the_same(job: dict[str, Any]) -> None:
    """Plain numbers and words, or `{set, infinite, number}` and lists; the GPUs are those of this node."""
    found = parse_squeue(said(job), "n2")["7"]
    assert found.facts._replace(sluid="") == JobFacts(
        job="7", array_job="5", array_task="0", uid=1000, user="ana", account="vision", partition="gpu",
        name='a\n"b"', cluster="c", gpus=("0", "1"), gpus_on_node=2,
    )  # fmt: skip
    assert (found.gpus, found.told) == (frozenset({0, 1}), True)
    assert parse_squeue(said(job), "n1")["7"].facts.gpus == ("3",)


@pytest.mark.parametrize(
    "change",
    [
        {"job_state": "PENDING"}, {"job_state": ["COMPLETED"]}, {"job_state": None}, {"nodes": ""}, {"nodes": "n[3-"},
        {"nodes": None}, {"job_id": {"set": False, "infinite": False, "number": 7}}, {"job_id": None},
    ],
)  # fmt: skip
def test_only_jobs_that_run_on_this_node_count(change: dict[str, Any]) -> None:
    """Pending, completed, elsewhere or nameless ones are not here."""
    assert parse_squeue(said({**NEW, **change}), "n2") == {}


def test_what_is_not_told_is_not_known() -> None:
    """No array, no details, details of another number of nodes: empty, never 0."""
    job = {**NEW, "array_job_id": {"set": True, "infinite": False, "number": 0}, "gres_detail": []}
    found = parse_squeue(said(job), "n2")["7"]
    assert (found.facts.array_job, found.facts.array_task, found.facts.gpus, found.told) == ("", "", (), False)
    assert parse_squeue(said({"job_id": 8, "job_state": "RUNNING", "nodes": "n2"}), "n2")["8"].facts == JobFacts(
        job="8"
    )


@pytest.mark.parametrize(
    ("detail", "counts", "indices"),
    [
        ("gpu:1(IDX:3)", {"gpu": 1}, {3}),
        ("gpu:h100:3(IDX:0-1,5)", {"gpu": 3}, {0, 1, 5}),
        ("shard:3(IDX:2)", {"shard": 3}, {2}),
        ("gpu:a100_1g.5gb:1(IDX:4),gpu:a100:1(IDX:0)", {"gpu": 2}, {0, 4}),
        ("gpu:2(IDX:N/A)", {}, set()),
        ("bandwidth:1(IDX:3)", {}, set()),
        ("", {}, set()),
    ],
)
def test_details_of_resources(detail: str, counts: dict[str, int], indices: set[int]) -> None:
    """Counts by resource, and indices as ranges."""
    assert parse_detail(detail) == (counts, frozenset(indices))


@given(st.text(alphabet="gpushard:mIDX(0-9,)N/A", max_size=60))
def test_any_detail_is_indices_or_a_value_error(detail: str) -> None:
    """Ranges backwards and endless ones end in ValueError."""
    try:
        _, indices = parse_detail(detail)
    except ValueError:
        return
    assert len(indices) <= 65_536


@pytest.mark.parametrize(
    "content", [b"", b"slurm_load_jobs error: timed out", b"[]", b'{"jobs": 1}', b'{"jobs": [{"job_id": []}]}']
)
def test_what_is_no_answer_is_an_error(content: bytes) -> None:
    """Text, another shape, half an answer: HolderError with the next step."""
    with pytest.raises(HolderError) as raised:
        parse_squeue(content, "n2")
    assert raised.value.hint


class Controller:
    """A `squeue` that prints what is in a file, and the agent's check with it."""

    def __init__(self, folder: Path) -> None:
        self.answer = folder / "answer.json"
        self.arguments = folder / "arguments"
        command = folder / "squeue"
        command.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{self.arguments}\ncat {self.answer}\n')
        command.chmod(0o755)
        self.now_us = T0
        self.squeue = Squeue(lambda: "n2", lambda: self.now_us, interval_s=3_600, command=(str(command),))
        conf = folder / "gres.conf"
        conf.write_text("Name=gpu File=/dev/nvidia[0-3]")
        watch = JobWatch(JobCgroups(folder), JobEnvirons(folder), {}.get)
        self.context = SlurmContext(SlurmNode("n2", gres_conf=conf), watch, squeue=self.squeue)
        self.check = SlurmControllerCheck(self.context, self.squeue)
        self.squeue.start = lambda: None  # type: ignore[method-assign] # these tests ask by hand

    def say(self, *jobs: dict[str, Any]) -> tuple[Event, ...]:
        """Let the controller say this, and compare."""
        self.answer.write_bytes(said(*jobs))
        self.squeue.ask()
        return self.check.read(self.now_us, reading()).events

    def believe(self, job: str, *minors: int, since_us: int = T0 - 3_600 * SECOND) -> None:
        self.context.claims[job] = tuple(
            Claim(BY_MINOR[minor], JobFacts(job=job), 1, 1, "slurm_prolog", since_us) for minor in minors
        )


@pytest.fixture
def controller(tmp_path: Path) -> Controller:
    return Controller(tmp_path)


def test_agreement_is_silent(controller: Controller) -> None:
    """The controller is asked about this node alone; the same GPUs are no event."""
    controller.believe("7", 0, 1)
    assert controller.say(OLD) == controller.say(NEW) == ()
    assert "--nodelist=n2" in controller.arguments.read_text().splitlines()
    assert controller.squeue.facts("7").account == "vision"


@pytest.mark.parametrize(("detail", "shards"), [("gpu:h100:1(IDX:0)", None), ("shard:3(IDX:0)", 3)])
def test_the_controller_knows_a_share_better_than_processes(
    controller: Controller, detail: str, shards: int | None
) -> None:
    """A user may export a shard beside a whole GPU: what the controller says is what is paid."""
    controller.say({**OLD, "nodes": "n2", "gres_detail": [detail]})
    assert controller.context.completed(JobFacts(job="7", gpus=("0",), shards=1)).shards == shards
    assert controller.context.completed(JobFacts(job="8", gpus=("1",), shards=1)).shards == 1, (
        "it says nothing of that one"
    )


def test_other_gpus_become_an_event_when_two_answers_say_so(controller: Controller) -> None:
    """One answer may be older than a job; a second confirms it; the third is silent, until it was otherwise."""
    controller.believe("7", 0, 2)
    assert controller.say(OLD) == ()
    (event,) = controller.say(OLD)
    assert (event.kind, event.holder, BY_MINOR[1] in event.message) == ("holder_conflict", "slurm:7", True)
    assert controller.say(OLD) == ()
    controller.believe("7", 0, 1)
    controller.say(OLD)
    controller.believe("7", 0, 2)
    controller.say(OLD)
    assert len(controller.say(OLD)) == 1


def test_an_answer_counts_once(controller: Controller) -> None:
    """Readings between two answers confirm nothing."""
    controller.believe("7", 3)
    controller.say(OLD)
    assert controller.check.read(T0, reading()).events == ()


def test_a_job_that_nobody_sees_here_and_one_that_the_controller_does_not_know(controller: Controller) -> None:
    """Both become events; a job that is younger than a minute may not have been known yet."""
    controller.believe("9", 2)
    controller.believe("10", 3, since_us=T0 - 59 * SECOND)
    controller.say(OLD)
    assert {event.holder for event in controller.say(OLD)} == {"slurm:7", "slurm:9"}


@pytest.mark.parametrize("script", ["exit 1", "echo nonsense", "head -c 17000000 /dev/zero"])
def test_a_controller_that_fails_is_an_error_and_its_last_word_forgotten(controller: Controller, script: str) -> None:
    """Nothing is concluded from silence: `says_runs` is unknown again."""
    controller.say(OLD)
    assert controller.squeue.says_runs("7") is True
    command = controller.arguments.with_name("squeue")
    command.write_text(f"#!/bin/sh\n{script}\n")
    controller.squeue.ask()
    with pytest.raises(HolderError):
        controller.check.read(T0, reading())
    assert (controller.squeue.says_runs("7"), controller.squeue.failures) == (None, 1)
    command.unlink()
    controller.squeue.ask()
    with pytest.raises(HolderError, match="cannot be run"):
        controller.check.read(T0, reading())


def test_the_thread_asks_and_stops(tmp_path: Path) -> None:
    """It asks at once when the first reading starts it, in its own thread, and ends with `close`."""
    controller = Controller(tmp_path)
    controller.answer.write_bytes(said(OLD))
    asked = threading.Event()
    squeue = Squeue(lambda: asked.set() or "n2", lambda: T0, interval_s=3_600, command=(str(tmp_path / "squeue"),))
    squeue.start()
    squeue.start()
    assert asked.wait(20)
    until(lambda: squeue.answer, "the answer: to close is to end the question")
    squeue.close()
    assert squeue.answer is not None
    assert "7" in squeue.answer.jobs


def test_sources_stand_in_their_order() -> None:
    """Files before cgroups before the check; none where Slurm is turned off, none of the check unless it is asked for."""
    on = AgentSettings(slurm=SlurmSection(enabled=True))
    assert [source.name for source in slurm_sources(on)] == ["slurm_holder_files", "slurm_cgroups"]
    checked = AgentSettings(slurm=SlurmSection(enabled=True, check_interval_s=60))
    assert [source.name for source in slurm_sources(checked)][2:] == ["slurm_controller_check"]
    on_off = {flag: grant_sources(AgentSettings(slurm=SlurmSection(enabled=flag))) for flag in (True, False)}
    assert {flag: sum(one.name.startswith("slurm") for one in found) for flag, found in on_off.items()} == {
        True: 2,
        False: 0,
    }


def test_slurm_is_looked_for_where_it_may_be(tmp_path: Path) -> None:
    """A folder of holder files, a gres.conf or an order of devices means that Slurm runs here."""
    assert is_wanted(SlurmSection(holders=tmp_path))
    assert is_wanted(SlurmSection(holders=tmp_path / "none", gpu_order=("/dev/nvidia0",)))


def test_a_check_that_is_too_frequent_is_refused() -> None:
    """A controller serves thousands of nodes."""
    with pytest.raises(ConfigError, match="check_interval_s"):
        AgentSettings(slurm=SlurmSection(check_interval_s=59))
