"""The whole agent over a simulated node: its history arrives once, whatever happens to the process."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from agent import app
from agent.config import AgentSettings
from agent.devices.simulated.scenario import load as load_scenario
from agent.holders.pods import InMemoryPods
from agent.holders.processes import InMemoryProcesses
from agent.shipper import Shipper
from agent.spool import Spool
from gpuledger import wire
from gpuledger.client import CollectorClient
from gpuledger.clock import VirtualClock
from gpuledger.config import load_config
from gpuledger.model import State, UsageRecord
from tests.agent.nodes import MINUTE, T0, GivenSource, board, node
from tests.agent.scripted_server import Answer, Request, ScriptedServer, accept_all, problem, serving
from tests.waiting import until

START_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
END_US = START_US + 4 * 3_600_000_000
ROOT = Path(__file__).parents[2]


def settings_file(directory: Path, url: str, *, node: str = "lab-1", seal_s: int = 60, extra: str = "") -> Path:
    path = directory / "agent.toml"
    path.write_text(
        f"""
        [agent]
        cluster = "lab"
        shutdown_s = 2.0
        [sampling]
        interval_ms = 60000
        [spool]
        directory = "{directory / "spool"}"
        seal_interval_s = {seal_s}
        [collector]
        url = "{url}"
        [exporter]
        port = 0
        [simulation]
        scenario = "small"
        node = "{node}"
        from = 2026-01-01T00:00:00Z
        until = 2026-01-01T04:00:00Z
        {extra}
        """
    )
    return path


def load(path: Path) -> AgentSettings:
    return load_config(AgentSettings, path, {})


def batches_of(server: ScriptedServer) -> list[wire.Batch]:
    """Return what arrived, each batch once, in order; two that share an identity must be the same bytes."""
    frames: dict[int, bytes] = {}
    for request in server.requests:
        sequence = wire.decode(request.body).sequence
        assert frames.setdefault(sequence, request.body) == request.body
    batches = [wire.decode(frames[sequence]) for sequence in sorted(frames)]
    for batch in batches:
        wire.check(batch, now_us=END_US)
    return batches


def records_of(server: ScriptedServer) -> list[UsageRecord]:
    records = [record for batch in batches_of(server) for record in wire.unpack_usage(batch)]
    return sorted(records, key=lambda record: (record.device, record.start_us, record.holder or ""))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[UsageRecord]:
    with serving(accept_all) as server:
        path = settings_file(tmp_path_factory.mktemp("whole"), server.url)
        assert app.run(load(path), stop=threading.Event()) == app.DONE
    return records_of(server)


def test_history_is_delivered_as_contiguous_batches(tmp_path: Path) -> None:
    """A simulated node's past goes out in order, without gap or overlap, and the agent ends with success."""
    with serving(accept_all) as server:
        assert app.run(load(settings_file(tmp_path, server.url, seal_s=600)), stop=threading.Event()) == app.DONE
    batches = batches_of(server)
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
    edges = [START_US, *(batch.until_us for batch in batches)]
    assert [batch.from_us for batch in batches] == edges[:-1]
    assert edges[-1] == END_US
    assert {batch.node for batch in batches} == {"lab-1"}


def test_every_device_is_accounted_for_all_the_time(undisturbed: list[UsageRecord]) -> None:
    """The rows of each device cover the whole history, and their shares sum to it."""
    held: dict[str, int] = {}
    for record in undisturbed:
        held[record.device] = held.get(record.device, 0) + record.held_us
    assert held
    assert set(held.values()) == {END_US - START_US}


def test_running_again_after_the_end_changes_nothing(tmp_path: Path) -> None:
    """History that was delivered is not made twice."""
    with serving(accept_all) as server:
        path = settings_file(tmp_path, server.url)
        app.run(load(path), stop=threading.Event())
        count = len(server.requests)
        assert app.run(load(path), stop=threading.Event()) == app.DONE
        assert len(server.requests) == count


def test_a_stop_in_the_middle_flushes_and_the_next_start_continues(
    tmp_path: Path, undisturbed: list[UsageRecord]
) -> None:
    """Told to stop, the agent seals and delivers up to its last sample; the rest follows after the next start."""
    stop = threading.Event()

    def stop_after_ten(request: Request) -> Answer:
        if len(server.requests) == 10:
            stop.set()
        return accept_all(request)

    with serving(stop_after_ten) as server:
        path = settings_file(tmp_path, server.url, extra="speed = 36000")
        assert app.run(load(path), stop=stop) == app.DONE
        assert batches_of(server)[-1].until_us < END_US
        assert app.run(load(path), stop=threading.Event()) == app.DONE
    assert records_of(server) == undisturbed


def test_without_a_collector_history_waits_in_the_spool(tmp_path: Path, undisturbed: list[UsageRecord]) -> None:
    """A collector that is away for the whole history gets it all when it comes."""
    stop = threading.Event()

    def away(_: Request) -> Answer:
        stop.set()
        return problem(503, "starting")

    with serving(away) as server:
        path = settings_file(tmp_path, server.url)
        assert app.run(load(path), stop=stop) == app.DONE
        server.requests.clear()
        server.answer = accept_all
        assert app.run(load(path), stop=threading.Event()) == app.DONE
    assert records_of(server) == undisturbed


def test_a_refused_batch_is_kept_and_makes_the_run_fail(tmp_path: Path) -> None:
    """What the collector refuses for good is kept aside, the rest arrives, and the exit code tells."""
    refuse = {3}
    with serving(lambda r: problem(422, "no") if wire.decode(r.body).sequence in refuse else accept_all(r)) as server:
        assert app.run(load(settings_file(tmp_path, server.url)), stop=threading.Event()) == app.FAILED
    assert len(list((tmp_path / "spool" / "refused").glob("*.frame"))) == 1
    assert batches_of(server)[-1].until_us == END_US


def test_an_outage_of_the_agent_is_unobserved_time(tmp_path: Path, undisturbed: list[UsageRecord]) -> None:
    """Where the scenario says that the agent was away, every device is unobserved, because of the agent."""
    outages = {node.name: node.outages for node in load_scenario("small").at(START_US).nodes}
    assert any(outages.values())
    for name, expected in outages.items():
        with serving(accept_all) as server:
            directory = tmp_path / name
            directory.mkdir()
            app.run(load(settings_file(directory, server.url, node=name)), stop=threading.Event())
        away = [r for r in records_of(server) if r.state is State.UNOBSERVED and r.reason == "agent_down"]
        devices = {record.device for record in records_of(server)}
        assert sum(record.held_us for record in away) == len(devices) * sum(outage.length_us for outage in expected)
        assert all(any(o.start_us <= r.start_us and r.end_us <= o.end_us for o in expected) for r in away)


def run_agent(path: Path) -> subprocess.Popen[bytes]:
    program = (
        "import sys; from pathlib import Path; from agent import app; from agent.config import AgentSettings;"
        "from gpuledger.config import load_config;"
        "sys.exit(app.run(load_config(AgentSettings, Path(sys.argv[1]), {})))"
    )
    return subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stderr=subprocess.DEVNULL)


def test_killed_at_random_moments_the_usage_is_the_same(tmp_path: Path, undisturbed: list[UsageRecord]) -> None:
    """Kill -9 while sampling, sealing or delivering changes nothing in what the collector gets."""
    chance = random.Random(20260101)
    with serving(accept_all) as server:
        path = settings_file(tmp_path, server.url, extra="speed = 14400")
        for _ in range(5):
            agent = run_agent(path)
            seen = len(server.requests)
            until(partial(moved_on, server, agent, seen))
            time.sleep(chance.random() * 0.15)  # any moment is a moment to die in
            agent.kill()
            agent.wait()
        last = run_agent(settings_file(tmp_path, server.url))
        assert last.wait(60) == 0
    assert records_of(server) == undisturbed


def test_sigterm_ends_the_process_cleanly(tmp_path: Path) -> None:
    """SIGTERM flushes, delivers and exits with 0."""
    with serving(accept_all) as server:
        agent = run_agent(settings_file(tmp_path, server.url, extra="speed = 3600"))
        until(lambda: len(server.requests) > 2 or agent.poll() is not None)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(20) == 0
    last = batches_of(server)[-1]
    assert START_US < last.until_us < END_US


def moved_on(server: ScriptedServer, agent: subprocess.Popen[bytes], seen: int) -> bool:
    """Tell whether the agent has delivered more than was seen, or has ended."""
    return len(server.requests) > seen or agent.poll() is not None


def test_a_new_run_starts_from_the_spool_and_not_from_what_it_did_not_take(tmp_path: Path) -> None:
    """What a full spool refused at the end of a run is unobserved in the next, never counted beside that."""
    settings = load_config(AgentSettings, None, {"GPULEDGER_EXPORTER_ENABLED": "false"})
    clock = VirtualClock(T0)
    source = GivenSource(lambda: node(board(0, energy_mj=(clock.now_us() - T0) // 1_000)))
    never = threading.Event()
    with ExitStack() as closing:
        spool = closing.enter_context(Spool(tmp_path, max_bytes=1_500))
        shipper = Shipper(spool, CollectorClient())
        inputs = app.NodeInputs(source, InMemoryProcesses({}), InMemoryPods({}), "")
        agent = app.Agent(settings, inputs, clock, spool=spool, shipper=shipper, closing=closing)
        agent.run(never, from_us=T0, until_us=T0 + 3 * MINUTE)
        assert agent.finish() is False
        found = drain(spool)
        for minute in (4, 5, 6):
            agent.restart()
            agent.run(never, from_us=T0 + minute * MINUTE, until_us=T0 + (minute + 1) * MINUTE)
            agent.finish()
            found += drain(spool)
    for batch in found:
        wire.check(batch, now_us=batch.sealed_at_us)
    assert [batch.from_us for batch in found[1:]] == [batch.until_us for batch in found[:-1]]


def drain(spool: Spool) -> list[wire.Batch]:
    found = []
    while (record := spool.oldest()) is not None:
        found.append(wire.decode(record.frame))
        spool.acknowledge(record.sequence)
    return found
