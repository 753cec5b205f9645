"""NvmlSource over the whole of pynvml, on the simulated driver: what it reads, and what fails."""

from __future__ import annotations

from collections.abc import Iterator

import pynvml
import pytest

from agent.devices.base import NodeReading
from agent.devices.nvml import NvmlSource, codes
from agent.devices.simulated.driver import SimulatedDriver
from agent.devices.simulated.world import BoardState
from gpuledger.clock import VirtualClock
from gpuledger.errors import DeviceError
from tests.agent.device_worlds import GIB, SECOND_US, START_US, ScriptedWorld, board, process


class Node:
    """A scripted node whose driver stands behind pynvml while a test runs."""

    def __init__(self, world: ScriptedWorld) -> None:
        self.world = world
        self.clock = VirtualClock(START_US)
        self.driver = SimulatedDriver(world, self.clock)
        self.source = NvmlSource(clock=self.clock, epoch=lambda: world.load)

    def read_after(self, seconds: float) -> NodeReading:
        self.clock.advance_to(START_US + int(seconds * SECOND_US))
        return self.source.read()


@pytest.fixture
def node() -> Iterator[Node]:
    made = Node(ScriptedWorld(board(0), board(1)))
    with made.driver.install():
        yield made


def test_reads_every_figure_of_a_healthy_board(node: Node) -> None:
    """Energy, power, utilisation, memory, temperature and processes come out as the driver holds them."""
    state = BoardState(
        energy_mj=123_456_789_012,
        power_mw=350_250,
        utilization_ppm=870_000,
        memory_used_bytes=7 * GIB,
        temperature_c=61,
        processes=(process(41), process(42, memory_bytes=3 * GIB)),
    )
    node.world.show(state)
    reading = node.source.read()
    first = reading.boards[0]
    assert reading.driver_version == "580.105.08"
    assert (first.device.key, first.device.model, first.device.index) == ("GPU-0000", "NVIDIA H100 80GB HBM3", 0)
    assert (first.device.memory_bytes, first.device.pci_bus_id) == (81_559 << 20, "00000000:01:00.0")
    assert (first.fault, first.mig, first.energy_mj, first.power_mw) == ("", False, 123_456_789_012, 350_250)
    assert (first.utilization_ppm, first.memory_used_bytes, first.temperature_c) == (870_000, 7 * GIB, 61)
    assert [(entry.pid, entry.memory_bytes) for entry in first.processes] == [(41, GIB), (42, 3 * GIB)]


def test_asks_the_world_once_per_board_and_instant(node: Node) -> None:
    """However many calls a reading takes, a world computes a board once per instant."""
    node.source.read()
    node.read_after(60)
    assert [entry for entry in node.world.asked if entry[1] > START_US] == [
        (0, START_US + 60 * SECOND_US, START_US),
        (1, START_US + 60 * SECOND_US, START_US),
    ]


def test_static_facts_are_asked_once(node: Node) -> None:
    """After the first reading the driver is no longer asked for names, identities and modes."""
    node.source.read()
    for function in ("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo_v3", "nvmlDeviceGetMigMode"):
        node.driver.fail(function, codes.UNKNOWN)
    assert node.read_after(1).boards[0].device.model == "NVIDIA H100 80GB HBM3"
    assert node.source.openings == 1


def test_without_gauges_only_what_metering_needs_is_read(node: Node) -> None:
    """A source without gauges asks for neither temperature, memory in use nor power, and still meters."""
    for function in ("nvmlDeviceGetTemperatureV", "nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage"):
        node.driver.fail(function, codes.UNKNOWN)
    node.world.show(BoardState(energy_mj=77, utilization_ppm=500_000, processes=(process(9),)))
    reading = NvmlSource(clock=node.clock, gauges=False, epoch=str).read().boards[0]
    assert (reading.fault, reading.energy_mj, reading.utilization_ppm) == ("", 77, 500_000)
    assert (reading.power_mw, reading.temperature_c, reading.memory_used_bytes) == (None, None, None)


def test_energy_is_exact_and_a_counter_reset_is_shown_as_it_is(node: Node) -> None:
    """The source passes counters through to the millijoule, also downwards: the meter decides about epochs."""
    node.world.show(BoardState(energy_mj=9_007_199_254_740_993))
    node.world.show(BoardState(energy_mj=12), after_s=60)
    assert node.source.read().boards[0].energy_mj == 9_007_199_254_740_993
    assert node.read_after(60).boards[0].energy_mj == 12


def test_a_board_before_volta_has_no_energy_counter_but_power() -> None:
    """Where neither field 83 nor the older call is supported energy is unknown, and power is still read."""
    world = ScriptedWorld(board(0, "p2000"))
    world.show(BoardState(energy_mj=5, power_mw=4_610, temperature_c=33))
    made = Node(world)
    with made.driver.install():
        for seconds in (0, 1):
            reading = made.read_after(seconds).boards[0]
            assert (reading.energy_mj, reading.power_mw, reading.temperature_c) == (None, 4_610, 33)


def test_energy_comes_from_the_older_call_where_the_field_is_not_supported(node: Node) -> None:
    """A driver without nvmlDeviceGetFieldValues still has nvmlDeviceGetTotalEnergyConsumption."""
    node.world.show(BoardState(energy_mj=31, power_mw=32))
    node.driver.remove("nvmlDeviceGetFieldValues")
    first = node.source.read().boards[0]
    assert (first.energy_mj, first.power_mw) == (31, 32)


def test_memory_falls_back_to_the_first_version_of_the_struct(node: Node) -> None:
    """An older driver has no versioned memory call; its figure counts what the driver reserves as used."""
    node.world.show(BoardState(memory_used_bytes=GIB))
    node.driver.remove("nvmlDeviceGetMemoryInfo_v2")
    assert node.source.read().boards[0].memory_used_bytes == GIB + (480 << 20)


@pytest.mark.parametrize(
    ("code", "fault"),
    [(codes.GPU_IS_LOST, "gpu_lost"), (codes.RESET_REQUIRED, "reset_required"), (codes.UNKNOWN, "unreadable")],
)
def test_a_failing_board_is_a_fault_and_the_others_go_on(node: Node, code: int, fault: str) -> None:
    """One board's failure names its kind; the other board reads as ever."""
    node.world.show(BoardState(energy_mj=8, utilization_ppm=10_000), board=1)
    node.source.read()
    node.driver.fail("nvmlDeviceGetUtilizationRates", code, board=0)
    failing, healthy = node.read_after(1).boards
    assert (failing.fault, failing.device.key, failing.energy_mj) == (fault, "GPU-0000", None)
    assert (healthy.fault, healthy.energy_mj, healthy.utilization_ppm) == ("", 8, 10_000)


def test_no_list_of_processes_is_not_the_same_as_nobody(node: Node) -> None:
    """A board whose processes may not be listed is unreadable: an empty list would pass it off as idle."""
    node.driver.fail("nvmlDeviceGetComputeRunningProcesses_v3", codes.NO_PERMISSION, board=0)
    assert [reading.fault for reading in node.source.read().boards] == ["unreadable", ""]


def test_a_lost_board_comes_back_when_it_answers_again(node: Node) -> None:
    """A fault lasts as long as the driver reports it."""
    node.world.show(BoardState(lost=True), after_s=60)
    node.world.show(BoardState(energy_mj=3), after_s=120)
    faults = [node.read_after(seconds).boards[0].fault for seconds in (0, 60, 120)]
    assert faults == ["", "gpu_lost", ""]


def test_a_lost_board_is_searched_anew_but_stays_known(node: Node) -> None:
    """While a board is lost NVML is opened again every minute; the board keeps its identity and its fault."""
    node.world.show(BoardState(lost=True), after_s=30)
    node.world.show(BoardState(), after_s=1_000)
    readings = [node.read_after(seconds) for seconds in (0, 30, 59, 61)]
    assert [[b.device.key for b in reading.boards] for reading in readings] == [["GPU-0000", "GPU-0001"]] * 4
    assert [reading.boards[0].fault for reading in readings] == ["", "gpu_lost", "gpu_lost", "gpu_lost"]
    assert node.source.openings == 2
    assert node.read_after(1_000).boards[0].fault == ""


def test_a_board_that_was_lost_before_the_first_reading_is_an_event() -> None:
    """A GPU that never told its identity has no reading, and is reported once."""
    world = ScriptedWorld(board(0), board(1))
    world.show(BoardState(lost=True))
    made = Node(world)
    with made.driver.install():
        first, second = made.read_after(0), made.read_after(1)
    assert [entry.device.key for entry in first.boards] == ["GPU-0001"]
    assert [(event.kind, event.board, event.code) for event in first.events] == [("gpu_unidentified", "", 15)]
    assert second.events == ()


def test_a_new_driver_load_is_opened_again_within_one_reading(node: Node) -> None:
    """A driver that was loaded anew answers UNINITIALIZED; the reading opens it again and shows the new epoch."""
    assert node.source.read().epoch == "first"
    node.world.load = "second"
    node.world.show(BoardState(energy_mj=1), after_s=60)
    reading = node.read_after(60)
    assert (reading.epoch, reading.boards[0].energy_mj, node.source.openings) == ("second", 1, 2)


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (codes.DRIVER_NOT_LOADED, "modprobe"),
        (codes.LIB_RM_VERSION_MISMATCH, "restart the agent"),
        (codes.NO_PERMISSION, "/dev/nvidiactl"),
        (codes.UNKNOWN, "nvidia-smi"),
    ],
)
def test_a_driver_that_does_not_open_is_an_error_with_the_next_step(node: Node, code: int, hint: str) -> None:
    """What stops the whole driver raises DeviceError, with a hint for its cause; a later reading may succeed."""
    node.driver.fail("nvmlInitWithFlags", code)
    with pytest.raises(DeviceError, match=rf"NVML error {code}") as caught:
        node.source.read()
    assert hint in caught.value.hint
    node.driver.mend("nvmlInitWithFlags")
    assert len(node.source.read().boards) == 2


def test_a_driver_that_goes_away_while_reading_is_an_error_after_one_new_opening(node: Node) -> None:
    """A driver error in the middle of a reading leads to one new opening, then to DeviceError."""
    node.source.read()
    node.driver.fail("nvmlDeviceGetUtilizationRates", codes.DRIVER_NOT_LOADED)
    with pytest.raises(DeviceError, match="failed at reading"):
        node.read_after(1)
    assert node.source.openings == 2


def test_a_board_that_was_added_or_removed_is_found(node: Node) -> None:
    """A count that changed leads to a new enumeration within the same reading."""
    node.source.read()
    node.world.specs = (board(1),)
    node.driver.recut()
    assert [entry.device.key for entry in node.read_after(1).boards] == ["GPU-0001"]


def test_an_xid_is_reported_once(node: Node) -> None:
    """An XID comes with the board that had it, in the reading after it, and never again."""
    node.source.read()
    node.world.show(BoardState(xids=(79, 48)), board=1, after_s=60)
    node.world.show(BoardState(), board=1, after_s=61)
    reading = node.read_after(60)
    assert [(event.kind, event.board, event.code) for event in reading.events] == [
        ("xid", "GPU-0001", 79),
        ("xid", "GPU-0001", 48),
    ]
    assert node.read_after(61).events == ()


def test_a_driver_without_events_says_so_and_reads_on(node: Node) -> None:
    """Where events cannot be heard the reading says it once; boards are read all the same."""
    node.driver.fail("nvmlEventSetCreate", codes.NOT_SUPPORTED)
    first, second = node.source.read(), node.read_after(1)
    assert [event.kind for event in first.events] == ["events_unavailable"]
    assert (second.events, len(second.boards)) == ((), 2)


def test_a_board_whose_events_cannot_be_heard_is_read_all_the_same(node: Node) -> None:
    """Registering for events fails on one board: it is said once, both boards are read, the other one is heard."""
    node.driver.fail("nvmlDeviceRegisterEvents", codes.UNKNOWN, board=0)
    node.world.show(BoardState(xids=(31,)), board=1, after_s=1)
    first, second = node.source.read(), node.read_after(1)
    assert [(event.kind, event.board) for event in first.events] == [("events_unavailable", "GPU-0000")]
    assert [reading.fault for reading in first.boards] == ["", ""]
    assert [(event.kind, event.board) for event in second.events] == [("xid", "GPU-0001")]


def test_a_lost_board_stays_known_when_the_driver_cannot_be_opened_for_a_while(node: Node) -> None:
    """The identity of a lost board outlives an opening that failed."""
    node.world.show(BoardState(lost=True), after_s=60)
    node.read_after(0)
    node.read_after(60)
    node.driver.fail("nvmlInitWithFlags", codes.UNKNOWN)
    with pytest.raises(DeviceError):
        node.read_after(400)
    node.driver.mend("nvmlInitWithFlags")
    assert [(entry.device.key, entry.fault) for entry in node.read_after(401).boards] == [
        ("GPU-0000", "gpu_lost"),
        ("GPU-0001", ""),
    ]


def test_close_releases_the_driver_and_a_later_reading_opens_it_again(node: Node) -> None:
    """A closed source leaves NVML uninitialised; closing twice does nothing."""
    node.source.read()
    node.source.close()
    node.source.close()
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    assert len(node.source.read().boards) == 2


def test_what_the_driver_reported_outlives_a_reading_that_failed(node: Node) -> None:
    """The XID that comes with the fall of a driver is in the next reading that succeeds."""
    node.source.read()
    node.world.show(BoardState(xids=(79,)), board=1, after_s=60)
    node.world.show(BoardState(), board=1, after_s=61)
    node.driver.fail("nvmlDeviceGetUtilizationRates", codes.DRIVER_NOT_LOADED)
    with pytest.raises(DeviceError):
        node.read_after(60)
    node.driver.mend("nvmlDeviceGetUtilizationRates")
    assert [(event.kind, event.board, event.code) for event in node.read_after(61).events] == [("xid", "GPU-0001", 79)]


def test_an_opening_that_finds_no_boards_is_undone(node: Node) -> None:
    """NVML counts openings: one that failed half-way is closed, or no later one would begin anew."""
    node.driver.fail("nvmlDeviceGetCount_v2", codes.UNKNOWN)
    with pytest.raises(DeviceError, match="listing"):
        node.source.read()
    node.driver.mend("nvmlDeviceGetCount_v2")
    with pytest.raises(pynvml.NVMLError_Uninitialized):
        pynvml.nvmlDeviceGetCount()
    assert len(node.source.read().boards) == 2


def test_a_counter_of_all_ones_is_not_energy(node: Node) -> None:
    """A driver's word for "not available" is unknown energy: counted, it would fit into no batch."""
    node.world.show(BoardState(energy_mj=2**64 - 1))
    assert node.source.read().boards[0].energy_mj is None
