"""The driver in a process of its own: what hangs, dies or is replaced there costs time and nothing else."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from agent.devices.child_readers import MOST_ABANDONED
from gpuledger.errors import DeviceError
from gpuledger.model import State
from tests.agent.driver_node import LINES, SECOND, STEP, T0, DriverNode, Ledger, has_ended
from tests.agent.test_devices_library import readings_of
from tests.driver.build import VERSION, require
from tests.driver.control import WORLD
from tests.waiting import until

COUNT = "nvmlDeviceGetCount_v2"  # asked at every reading
HUNG_S = 0.2


@pytest.fixture(scope="module")
def library() -> Path:
    return require()


class Nodes:
    """Makes nodes, and ends their processes when the test is over."""

    def __init__(self, directory: Path, library: Path) -> None:
        self._directory = directory
        self._library = library
        self._made: list[DriverNode] = []

    def __call__(self, *lines: str, library: Path | None = None, **given: object) -> DriverNode:
        directory = self._directory / str(len(self._made))
        directory.mkdir()
        made = DriverNode(directory, library or self._library, *lines, **given)  # type: ignore[arg-type]
        self._made.append(made)
        return made

    def close(self) -> None:
        for node in self._made:
            node.world.say(*LINES)
            node.source.close()


@pytest.fixture
def make(tmp_path: Path, library: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nodes]:
    monkeypatch.setenv(WORLD, "")
    nodes = Nodes(tmp_path, library)
    yield nodes
    nodes.close()


@pytest.fixture
def undisturbed(make: Nodes) -> Ledger:
    return make().ledger(60)


def kill_after(seconds: float, pid: int) -> threading.Thread:
    """Kill a process a moment later, unless it is gone by then (the server may have taken note of its end)."""

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    return timer


def kinds(events: object) -> list[str]:
    return [event.kind for event in events]  # type: ignore[attr-defined]


def test_a_reading_crosses_whole(make: Nodes, library: Path, tmp_path: Path) -> None:
    """The child's readings are those of a source in one's own process, field by field."""
    node = make()
    through = json.loads(msgspec.json.encode([node.read(0), node.read(10)]))
    directory = tmp_path / "alone"
    directory.mkdir()
    alone = readings_of(library, directory, [*LINES], [], clock_us=T0)
    # The first field is the machine's own epoch; what follows the events is how long samplers took.
    assert [reading[1:4] for reading in through] == [reading[1:4] for reading in alone]
    assert {int(pid) for pid in through[1][2][0][9]} == {11, 12}


def test_a_hanging_driver_costs_the_time_that_it_hangs(make: Nodes, undisturbed: Ledger) -> None:
    """A minute in which every call hangs is unobserved up to the first new reading; its energy is still there."""
    node = make(timeout_s=HUNG_S)
    good = []

    def before(step: int) -> None:
        if step == 12:
            node.world.add(f"hang {COUNT}")
        if step == 18:
            node.world.drop("hang")
        good.append(node.source.stats.hangs)

    ledger = node.ledger(60, before)
    gaps = {(r.start_us, r.end_us) for r in ledger.records if r.state is State.UNOBSERVED}
    lost_from, lost_until = min(start for start, _ in gaps), max(end for _, end in gaps)
    assert lost_from == T0 + 11 * STEP
    assert T0 + 18 * STEP <= lost_until <= T0 + 25 * STEP
    assert ledger.sum("held_us", device=ledger.records[0].device) == undisturbed.sum(
        "held_us", device=ledger.records[0].device
    )
    assert ledger.sum("energy_mj") == undisturbed.sum("energy_mj")
    outside = [
        r for r in ledger.records if r.end_us <= lost_from - 60 * SECOND or r.start_us >= lost_until + 60 * SECOND
    ]
    assert outside
    assert all(record in undisturbed.records for record in outside)
    assert node.source.stats.hangs == good[-1] >= 1
    assert {"driver_hung", "driver_restarted"} <= set(kinds(ledger.events))


def test_killed_between_and_during_readings_nothing_is_lost(make: Nodes, undisturbed: Ledger) -> None:
    """A child that dies now and then is replaced within the reading that finds it dead: the ledger is the same."""
    node, chance = make(), random.Random(9)
    killing: list[threading.Thread] = []

    def before(step: int) -> None:
        while killing:
            killing.pop().join()
        if step % 9 == 3 and node.source.pid:
            pid = node.source.pid
            killing.append(kill_after(chance.random() * 0.002, pid))
            if step % 2:
                until(lambda: has_ended(pid))

    ledger = node.ledger(60, before)
    assert node.source.stats.crashes == 7
    assert ledger.records == undisturbed.records
    assert kinds(ledger.events).count("driver_restarted") == node.source.stats.crashes


def test_killed_all_the_time_only_readings_are_lost(make: Nodes, undisturbed: Ledger) -> None:
    """Whatever dies when, time and energy add up, and the sharers' work is that of the samples that were read."""
    node, chance = make(), random.Random(4)

    def before(step: int) -> None:
        if node.source.pid and step < 45 and chance.random() < 0.3:
            kill_after(chance.random() * 0.001, node.source.pid)

    ledger = node.ledger(60, before)
    assert node.source.stats.crashes >= 5
    for device in {record.device for record in undisturbed.records}:
        for field in ("held_us", "energy_mj"):
            assert ledger.sum(field, device=device) == undisturbed.sum(field, device=device)
    if not any(record.state is State.UNOBSERVED for record in ledger.records):
        for holder in {record.holder for record in undisturbed.records}:
            worked, expected = (found.sum("active_us", holder=holder) for found in (ledger, undisturbed))
            assert worked == pytest.approx(expected, rel=1e-4)


def test_a_crash_within_the_driver_is_survived(make: Nodes) -> None:
    """A library that crashes takes its process with it; the reading comes from the next, and an event says so."""
    node = make(*LINES, f"crash {COUNT} 4")
    readings = [node.read() for _ in range(5)]
    assert [len(reading.boards) for reading in readings] == [2] * 5
    assert node.source.stats.crashes == 1
    events = [event for reading in readings for event in reading.events]
    assert kinds(events) == ["driver_restarted"]
    assert "SIGSEGV" in events[0].message


def test_sharers_samples_are_read_once_across_a_restart(make: Nodes) -> None:
    """The next child asks from where the last one had read: activity is the mean of exactly the time between."""
    node, other = make(), make()
    for each in (node, other):
        each.read(0)
        each.read(10)
    assert node.source.pid
    os.kill(node.source.pid, signal.SIGKILL)
    assert node.read(30).boards[0].process_activity_ppm == other.read(30).boards[0].process_activity_ppm is not None


def test_the_slow_figures_keep_their_pace_across_a_restart(make: Nodes) -> None:
    """The next child knows what was read of a board's condition, and when: it looks again when it is time."""
    node = make()
    node.world.add("board 0 recovery_action 4")
    first = node.read(0).boards[0].health
    assert node.source.pid
    os.kill(node.source.pid, signal.SIGKILL)
    second, later = (node.read(seconds).boards[0].health for seconds in (10, 50))
    assert first is not None
    assert second == first
    assert (first.recovery_action, later) == (4, first._replace(slow_at_us=(first.slow_at_us or 0) + 60 * SECOND))


def test_a_board_that_is_lost_while_the_child_is_replaced_keeps_its_name(make: Nodes) -> None:
    """A new child knows the boards of the last one: one that does not answer any more is a fault under its own key."""
    node = make()
    whole = node.read()
    assert node.source.pid
    node.world.add("board 1 lost 1")
    os.kill(node.source.pid, signal.SIGKILL)
    reading = node.read()
    assert [board.device.key for board in reading.boards] == [board.device.key for board in whole.boards]
    assert [board.fault for board in reading.boards] == ["", "gpu_lost"]


def test_the_killed_child_is_gone_and_the_next_waits_longer_each_time(make: Nodes) -> None:
    """Each hang ends its process; the second start comes at once, later ones after a pause that grows."""
    node = make(timeout_s=HUNG_S)
    node.read()
    first = node.source.pid
    assert first
    node.world.add(f"hang {COUNT}")
    with pytest.raises(DeviceError, match="did not answer within"):
        node.read()
    assert has_ended(first)
    with pytest.raises(DeviceError, match="did not answer within"):
        node.read(0)
    with pytest.raises(DeviceError, match="next start in 1 s"):
        node.read(0)
    assert node.source.stats[:2] == (2, 2)
    with pytest.raises(DeviceError, match="did not answer within"):
        node.read(2)
    node.world.drop("hang")
    with pytest.raises(DeviceError, match="next start"):
        node.read(1)
    assert kinds(node.read(2).events) == ["driver_hung"] * 3 + ["driver_restarted"]


def test_a_process_that_cannot_be_killed_is_left_behind_and_counted(make: Nodes) -> None:
    """At most three are left behind at a time; as soon as one ends, the driver is tried again."""
    node = make(*LINES, f"hang {COUNT}", timeout_s=HUNG_S, kill=lambda pid, number: None)
    for count in range(MOST_ABANDONED):
        with pytest.raises(DeviceError, match="cannot be killed and is left behind"):
            node.read(100)
        assert node.source.stats.abandoned == count + 1
    starts = node.source.stats.starts
    with pytest.raises(DeviceError, match="hang in the driver and cannot be killed"):
        node.read(100)
    assert node.source.stats.starts == starts
    node.world.drop("hang")  # what hung goes on, finds that nobody waits for it, and ends

    def answers() -> bool:
        try:
            return len(node.read(100).boards) == 2
        except DeviceError:
            return False

    until(answers)
    until(lambda: answers() and node.source.stats.abandoned == 0)
    assert node.source.stats.abandonments == MOST_ABANDONED


def test_signals_to_the_group_do_not_end_the_child(make: Nodes) -> None:
    """SIGTERM and SIGINT are the agent's business: its processes go on until it has no more use for them."""
    node = make()
    node.read()
    pid = node.source.pid
    assert pid
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(pid, number)
    assert len(node.read().boards) == 2
    assert node.source.pid == pid


def test_the_child_has_no_file_of_the_agent(make: Nodes, tmp_path: Path) -> None:
    """A child that hangs for ever holds no lock, no socket and no file of the agent."""
    with (tmp_path / "lock").open("w") as lock:
        node = make()
        node.read()
        files = {str(path.readlink()) for path in Path(f"/proc/{node.source.pid}/fd").iterdir()}
        assert lock.name not in files
        assert sum(name.startswith("socket:") for name in files) == 1


def test_closing_ends_every_process(make: Nodes) -> None:
    """After close nothing is left, and a source that is closed can be read again."""
    node = make()
    for _ in range(2):
        node.read()
        assert node.source.pid
        pid = node.source.pid
        node.source.close()
        assert has_ended(pid)


def test_told_to_stop_it_waits_no_longer(make: Nodes) -> None:
    """A driver that hangs does not hold up the end of the agent for the whole of its deadline."""
    stop = threading.Event()
    node = make(timeout_s=60.0, stop=stop)
    node.read()
    node.world.add(f"hang {COUNT}")
    threading.Thread(target=lambda: (until(lambda: node.world.hanging), stop.set())).start()
    began = time.monotonic()
    with pytest.raises(DeviceError, match="told to stop"):
        node.read()
    assert time.monotonic() - began < 30
    assert node.source.pid is None


def test_a_driver_upgrade_brings_another_process(make: Nodes, library: Path, tmp_path: Path) -> None:
    """Whether the old library refuses the new kernel, or was merely replaced on disk: the next reading is the new one's."""
    newer = require("590.44.01")
    installed = tmp_path / "libnvidia-ml.so.1"
    shutil.copy(library, installed)
    node = make(library=installed)
    assert node.read().driver_version == VERSION
    first = node.source.pid
    node.world.add("kernel 590.44.01")
    with pytest.raises(DeviceError, match="version"):
        node.read()
    install(newer, installed)
    reading = node.read()
    assert reading.driver_version == "590.44.01"
    assert kinds(reading.events) == ["driver_restarted"]
    assert node.source.pid != first
    node.world.drop("kernel")
    install(library, installed)
    assert node.read().driver_version == "590.44.01"  # read to the end with what was loaded
    last = node.read()
    assert (last.driver_version, kinds(last.events)) == (VERSION, ["driver_restarted"])
    assert "was replaced" in last.events[0].message
    assert node.source.stats.upgrades >= 2
    assert node.source.stats.crashes == node.source.stats.hangs == 0


def install(library: Path, path: Path) -> None:
    unfinished = path.with_name("unfinished")
    shutil.copy(library, unfinished)
    unfinished.replace(path)


def test_a_library_that_is_not_there_is_said_with_its_setting(make: Nodes, tmp_path: Path) -> None:
    """The child's failures arrive as they would have been raised here, and the process stays."""
    node = make(library=tmp_path / "nowhere.so")
    for _ in range(2):
        with pytest.raises(DeviceError, match="nowhere") as caught:
            node.read()
        assert "nvml.library" in caught.value.hint
    assert node.source.stats.starts == 1
