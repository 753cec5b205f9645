"""Processes that hide: titles over environments, and what is left to tell who they are."""

from __future__ import annotations

from pathlib import Path

from agent.holders.processes import WIPED
from agent.identity.rulebook import RuleBook
from tests.tools.real import PYTHON, Meeting, facts_of, identify, live, running

_FORKS = """
import os, sys
import setproctitle
if os.fork() == 0:
    setproctitle.setproctitle("VLLM::EngineCore")
    {child}
    os._exit(0)
os.wait()
"""
_WAITS_FIRST = """
{before}
import setproctitle
setproctitle.setproctitle("VLLM::Worker_TP0")
{after}
"""


def test_a_wiped_environment_is_told_from_an_empty_one(tmp_path: Path, meet: Meeting) -> None:
    """A title from setproctitle leaves only NULs: that is no lack of variables, and the parent's environment speaks."""
    child = "\n    ".join(meet.code().strip().splitlines())
    (tmp_path / "serve.py").write_text(_FORKS.format(child=child))
    with running(PYTHON, "serve.py", cwd=tmp_path, MLFLOW_RUN_ID="a" * 32, GPULEDGER_TEAM="search") as own:
        pid = meet.wait(own).pid
        facts, found = facts_of(pid), identify(pid)
    assert (facts.environ_state, dict(facts.environ)) == (WIPED, {})
    assert found.workload is not None
    assert (found.workload.system, found.workload.id) == ("mlflow", "a" * 32)
    assert (found.workload_source, found.team_claim) == ("env:MLFLOW_RUN_ID@ancestor", "search")
    assert found.team_source == "env:GPULEDGER_TEAM@ancestor"


def test_spt_noenv_keeps_the_environment(tmp_path: Path, meet: Meeting) -> None:
    """With SPT_NOENV=1 the title does not reach the environment."""
    child = "\n    ".join(meet.code().strip().splitlines())
    (tmp_path / "serve.py").write_text(_FORKS.format(child=child))
    with running(PYTHON, "serve.py", cwd=tmp_path, MLFLOW_RUN_ID="a" * 32, SPT_NOENV="1") as own:
        assert identify(meet.wait(own).pid).workload_source == "env:MLFLOW_RUN_ID"


def test_what_was_read_at_first_sight_outlives_the_wiping(tmp_path: Path, meet: Meeting) -> None:
    """A process that was seen before it took a title is still known by what it showed then."""
    (tmp_path / "serve.py").write_text(_WAITS_FIRST.format(before=meet.code("before"), after=meet.code("after")))
    rules = RuleBook()
    processes = live(rules)
    with running(PYTHON, "serve.py", cwd=tmp_path, WANDB_RUN_ID="r1", WANDB_PROJECT="p", WANDB_ENTITY="e") as own:
        pid = meet.wait(own).pid
        first = identify(pid, processes, rules)
        meet.let_go()
        assert meet.wait(own).pid == pid
        seen = processes.facts(pid)
        second = identify(pid, processes, rules)
        late = identify(pid)
    assert seen is not None
    assert seen.environ_state == WIPED
    assert first.workload == second.workload
    assert first.workload is not None
    assert first.workload.id == "e/p/r1"
    assert late.workload is None
