"""The whole agent on a driver library: it serves and delivers while the driver hangs, and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from gpuledger import wire
from tests.agent.driver_node import LINES, has_ended
from tests.agent.scripted_server import ScriptedServer, accept_all, problem, serving
from tests.driver.build import require
from tests.driver.control import World
from tests.waiting import until

ROOT = Path(__file__).parents[2]
COUNT = "nvmlDeviceGetCount_v2"
SUCCESS = 'gpuledger_sampler_success{{sampler="devices"}} {}\n'


class RunningAgent:
    """An agent in its own process, whose library comes from the environment."""

    def __init__(self, directory: Path, library: Path, url: str, extra: str = "") -> None:
        self.world = World(directory, *LINES)
        path = directory / "agent.toml"
        path.write_text(
            f"""
            [agent]
            shutdown_s = 2.0
            [sampling]
            interval_ms = 100
            [spool]
            directory = "{directory / "spool"}"
            seal_interval_s = 1
            [collector]
            url = "{url}"
            [exporter]
            port = 0
            [nvml]
            {extra}
            """
        )
        self._path = path
        self.log = directory / "log"
        self._environment = {**os.environ, **self.world.environment, "GPULEDGER_NVML_LIBRARY": str(library)}
        self.start()

    def start(self) -> None:
        """Start the agent, and wait until it serves."""
        command = [Path(sys.executable).with_name("gpuledger"), "agent", "--config", str(self._path)]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stderr=log)
        until(lambda: b"metrics at" in self.log.read_bytes() or self.process.poll() is not None)

    def stop(self) -> None:
        """End the agent and wait for it."""
        self.process.terminate()
        assert self.process.wait(20) == 0, self.log.read_text()

    @property
    def metrics(self) -> str:
        """Return the page at /metrics."""
        found = re.search(r"metrics at (http://\S+)", self.log.read_text())
        assert found, self.log.read_text()
        with urllib.request.urlopen(found[1], timeout=2) as answer:
            return answer.read().decode()

    def sample(self) -> None:
        """Wait for a few readings."""
        until(lambda: SUCCESS.format(1) in self.metrics)
        seen = self.world.calls
        until(lambda: self.world.calls > seen + 100)

    def children(self) -> list[int]:
        """Return the pids of the processes that the agent has started."""
        return [pid for pid in all_pids() if parent_of(pid) == self.process.pid]


def all_pids() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def parent_of(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    with serving(accept_all) as made:
        yield made


@pytest.fixture
def agent(tmp_path: Path, server: ScriptedServer) -> Iterator[RunningAgent]:
    made = RunningAgent(tmp_path, require(), server.url)
    yield made
    if made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def test_it_serves_and_delivers_while_the_driver_hangs(agent: RunningAgent, server: ScriptedServer) -> None:
    """Metrics answer, and batches go out, while a call of the driver does not come back; then sampling goes on."""
    server.answer = lambda _: problem(503, "starting")
    agent.sample()
    agent.stop()  # what it metered waits in the spool
    agent.world.add(f"hang {COUNT}")
    agent.start()
    until(lambda: agent.world.hanging)
    assert SUCCESS.format(0) in agent.metrics
    server.answer = accept_all
    server.requests.clear()
    until(lambda: server.requests)
    assert agent.world.hanging
    assert "gpuledger_device_power_watts{" not in agent.metrics
    agent.world.drop("hang")
    until(lambda: SUCCESS.format(1) in agent.metrics)
    assert "gpuledger_device_power_watts{" in agent.metrics


def test_told_to_end_it_flushes_and_leaves_no_process(agent: RunningAgent, server: ScriptedServer) -> None:
    """SIGTERM to every process at once: the agent delivers up to its last sample and exits 0, its children with it."""
    agent.sample()
    children = agent.children()
    assert len(children) == 1
    for pid in (*children, agent.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert agent.process.wait(20) == 0
    until(lambda: all(map(has_ended, children)))
    last = wire.decode(server.requests[-1].body)
    assert last.until_us > last.from_us
    assert "driver_restarted" not in {event.kind for event in last.events}


@pytest.mark.parametrize("hanging", [False, True])
def test_killed_it_takes_its_processes_with_it(agent: RunningAgent, *, hanging: bool) -> None:
    """No orphan stays after kill -9, not even one that hangs in the driver."""
    until(lambda: len(agent.children()) == 1)
    children = agent.children()
    if hanging:
        agent.world.add(f"hang {COUNT}")
        until(lambda: agent.world.hanging)
    agent.process.kill()
    agent.process.wait()
    until(lambda: all(map(has_ended, children)))


def test_a_child_that_was_forked_is_followed_by_programs(agent: RunningAgent) -> None:
    """The first reader comes from the agent's own start; when it is killed a new program takes over, unnoticed."""
    agent.sample()
    (first,) = agent.children()
    assert b"child_main" not in Path(f"/proc/{first}/cmdline").read_bytes()
    os.kill(first, signal.SIGKILL)
    agent.sample()
    (second,) = agent.children()
    assert b"child_main" in Path(f"/proc/{second}/cmdline").read_bytes()


def test_without_a_child_the_driver_is_read_in_the_agent(tmp_path: Path, server: ScriptedServer) -> None:
    """[nvml] child = false: one process, as before."""
    agent = RunningAgent(tmp_path, require(), server.url, "child = false")
    try:
        until(lambda: SUCCESS.format(1) in agent.metrics)
        assert agent.children() == []
    finally:
        agent.stop()
