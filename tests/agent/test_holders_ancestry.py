"""Ancestors are walked as far as the tenancy reaches, and no further."""

from __future__ import annotations

import os
import subprocess
import sys

from agent.holders.ancestry import MAX_DEPTH, Ancestry, ancestry, tenancy_of
from agent.holders.processes import InMemoryProcesses, ProcessFacts, ProcFs, boot_instant_us
from gpuledger.errors import HolderError
from tests.agent.nodes import CONTAINER, POD_CGROUP, POD_UID, T0, process

OTHER = f"0::/kubepods/burstable/pod{POD_UID}/{'0f1e2d3c' * 8}\n"
JOB = "0::/system.slice/slurmstepd.scope/job_4/step_0/{}\n"


def walked(*processes: ProcessFacts) -> Ancestry:
    """Walk from the last process; each has the one before it as its parent."""
    linked = [facts._replace(pid=n + 1, ppid=n or None) for n, facts in enumerate(processes)]
    return ancestry(linked[-1], InMemoryProcesses({facts.pid: facts for facts in linked}))


def pids(found: Ancestry) -> list[int]:
    return [facts.pid for facts in found.chain]


def test_the_parent_comes_first() -> None:
    """Ancestors of the same container are all taken, nearest first."""
    assert pids(walked(process(0), process(0), process(0), process(0))) == [3, 2, 1]


def test_the_walk_ends_at_the_pods_container() -> None:
    """Another container of the same pod is another tenancy; so is the host."""
    assert pids(walked(process(0), process(0, OTHER), process(0), process(0))) == [3]
    assert pids(walked(process(0, "0::/system.slice\n"), process(0))) == []


def test_steps_of_one_job_are_one_tenancy() -> None:
    """A step's processes sit in groups of their own below the job."""
    assert pids(
        walked(
            process(0, JOB.format("slurm")),
            process(0, JOB.format("user/task_0")),
            process(0, JOB.format("user/task_1")),
        )
    ) == [2, 1]


def test_who_stands_just_outside_is_known_by_its_command_only() -> None:
    """A daemon of root's may tell by its title; its environment, and what a user started outside, say nothing."""
    shim = process(
        0, "0::/\n", uid=0, captured={"slurm-job find command": {"job": "2"}}, environ={"MLFLOW_RUN_ID": "x"}
    )
    found = walked(process(0, "0::/\n"), shim, process(0))
    assert pids(found) == [2]
    assert (dict(found.chain[0].environ), found.chain[0].captured) == ({}, shim.captured)
    assert pids(walked(shim._replace(uid=1000), process(0))) == []


def test_a_login_is_a_tenancy_on_a_bare_node() -> None:
    """What runs through sudo still belongs to the person; another person's shell does not."""
    ada = process(0, "0::/\n", uid=1000, login_uid=1000)
    assert pids(walked(ada, ada._replace(uid=0), ada._replace(uid=0))) == [2, 1]
    assert pids(walked(process(0, "0::/\n", uid=7, login_uid=7), ada)) == []
    assert tenancy_of(process(0, "0::/\n", uid=5)) == tenancy_of(process(0, "0::/\n", uid=0, login_uid=5))


def test_a_pid_that_was_used_again_is_no_parent() -> None:
    """A parent cannot have started after its child."""
    assert pids(walked(process(0, start_us=T0), process(0, start_us=T0 - 1))) == []


def test_a_parent_that_has_ended_ends_the_walk() -> None:
    """A process that was given to init has lost who started it."""
    orphan = process(9)._replace(ppid=8)
    assert ancestry(orphan, InMemoryProcesses({9: orphan})) == Ancestry()


def test_the_walk_has_an_end() -> None:
    """However deep processes nest."""
    assert len(walked(*[process(0)] * 40).chain) == MAX_DEPTH


def test_an_ancestor_that_may_not_be_read_is_said() -> None:
    """What is known up to there is kept, and that something is missing is known as well."""

    class Closed(InMemoryProcesses):
        def facts(self, pid: int) -> ProcessFacts | None:
            if pid == 1:
                raise HolderError("no right")
            return super().facts(pid)

    parent, child = process(2)._replace(ppid=1), process(3)._replace(ppid=2)
    found = ancestry(child, Closed({2: parent, 3: child}))
    assert (pids(found), found.complete) == ([2], False)


def test_a_real_grandchild_knows_where_it_comes_from() -> None:
    """On a live proc filesystem this process is found above its child's child."""
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import os; print(os.getpid(), flush=True); input()'])"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        grandchild = int(child.stdout.readline())
        processes = ProcFs(boot_us=boot_instant_us())
        facts = processes.facts(grandchild)
        assert facts is not None
        assert pids(ancestry(facts, processes))[:2] == [child.pid, os.getpid()]
    finally:
        child.communicate("\n")


def test_the_constant_is_what_the_paths_use() -> None:
    """The other container is not the pod's own."""
    assert CONTAINER in POD_CGROUP
    assert CONTAINER not in OTHER
