"""Processes that are still the ones they were, by real descriptors of real processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.holders.pidfds import PidFds
from agent.holders.processes import ProcFs

pytestmark = pytest.mark.skipif(not PidFds.usable("/proc"), reason="/proc is not of this pid namespace")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(("sleep", "60")) as process:
        yield process
        process.kill()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def test_a_process_stays_noted_while_it_runs(sleeper: subprocess.Popen[bytes]) -> None:
    """Once it has ended it is let go at the next reading, though nobody has waited for it: its pid may be another's."""
    before = descriptors()
    held = PidFds()
    assert held.open(sleeper.pid)
    held.note(sleeper.pid, 7)
    held.begin({sleeper.pid})
    assert held.start_us(sleeper.pid) == 7
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    held.begin({sleeper.pid})
    assert (held.start_us(sleeper.pid), len(held), descriptors()) == (None, 0, before)


def test_what_is_not_listed_any_more_is_let_go(sleeper: subprocess.Popen[bytes]) -> None:
    """Descriptors are those of the processes at hand, at most so many, and none is left behind."""
    before = descriptors()
    held = PidFds(most=1)
    assert held.open(sleeper.pid)
    assert not held.open(os.getpid()), "no more than that"
    held.begin(())
    assert (len(held), descriptors()) == (0, before)
    assert held.open(sleeper.pid)
    held.note(sleeper.pid, None)
    assert descriptors() == before, "it had ended"
    assert held.open(sleeper.pid)
    del held
    assert descriptors() == before


def test_a_kernel_that_gives_none_is_asked_no_more(sleeper: subprocess.Popen[bytes]) -> None:
    """What has ended is no reason to give up, a refusal is: then every process is looked up, as before."""
    sleeper.kill()
    sleeper.wait()
    held = PidFds()
    assert not held.open(sleeper.pid)
    assert not held.open(-1)
    assert not held.open(os.getpid())


def test_the_process_table_reads_a_start_once(sleeper: subprocess.Popen[bytes]) -> None:
    """From the second reading on a process that still runs costs no file; one that ended is looked up, and is gone."""
    table = ProcFs(boot_us=1)
    looked_up = table.start_us(sleeper.pid)
    for _ in range(3):
        table.begin_reading({sleeper.pid})
        assert table.start_us(sleeper.pid) == looked_up
    held = table._pidfds
    assert held is not None
    assert held.start_us(sleeper.pid) == looked_up
    sleeper.kill()
    sleeper.wait()
    table.begin_reading({sleeper.pid})
    assert table.start_us(sleeper.pid) is None


def test_another_proc_is_not_trusted_with_pids(tmp_path: Path) -> None:
    """Pids of a proc filesystem that is mounted elsewhere may be another namespace's."""
    assert not PidFds.usable(str(tmp_path))
    table = ProcFs(tmp_path, boot_us=1)
    table.begin_reading(())
    assert table._pidfds is None
