"""Processes on a board: the list, and how much each of them worked since the previous reading."""

from __future__ import annotations

from collections.abc import Iterator

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.devices.base import BoardReading
from agent.devices.nvml import NvmlSource, codes
from agent.devices.nvml.activity import Sample, decide_process_activity
from agent.devices.simulated.driver import SimulatedDriver
from agent.devices.simulated.world import BoardState
from gpuledger.clock import VirtualClock
from tests.agent.device_worlds import GIB, SECOND_US, START_US, ScriptedWorld, board, process


class Shared:
    """An L40S that several processes share."""

    def __init__(self) -> None:
        self.world = ScriptedWorld(board(0, "l40s"))
        self.clock = VirtualClock(START_US)
        self.driver = SimulatedDriver(self.world, self.clock)
        self.source = NvmlSource(clock=self.clock, epoch=str)

    def read_at(self, seconds: float) -> BoardReading:
        self.clock.advance_to(START_US + int(seconds * SECOND_US))
        return self.source.read().boards[0]


@pytest.fixture
def shared() -> Iterator[Shared]:
    made = Shared()
    with made.driver.install():
        yield made


def test_activity_is_of_the_period_since_the_previous_reading(shared: Shared) -> None:
    """Each reading tells what each process did since the one before; the driver's older samples do not count."""
    for second, percents in enumerate(((90, 10), (20, 30), (0, 40))):
        shared.world.show(BoardState(processes=(process(1, percents[0]), process(2, percents[1]))), after_s=second)
    assert shared.read_at(0).process_activity_ppm is None  # the period before the first reading has no beginning
    assert shared.read_at(1).process_activity_ppm == {1: 200_000, 2: 300_000}
    assert shared.read_at(2).process_activity_ppm == {2: 400_000}


def test_old_samples_do_not_count_when_a_board_becomes_shared(shared: Shared) -> None:
    """The driver is not asked about a process that is alone; when a second one comes, only the new period counts."""
    for second in range(5):
        shared.world.show(BoardState(processes=(process(1, 100),)), after_s=second)
    shared.world.show(BoardState(processes=(process(1, 30), process(2, 50))), after_s=5)
    for second in range(5):
        assert shared.read_at(second).process_activity_ppm is None
    assert shared.read_at(5).process_activity_ppm == {1: 300_000, 2: 500_000}


def test_samples_between_two_readings_are_averaged(shared: Shared) -> None:
    """When the driver sampled three times since the previous reading, a process's mean counts."""
    for second, percent in enumerate((100, 30, 60, 90)):
        shared.world.show(BoardState(processes=(process(1, percent), process(2, 10))), after_s=second)
    shared.read_at(0)
    for second in (1, 2):  # somebody else makes the driver sample
        shared.clock.advance_to(START_US + second * SECOND_US)
        pynvml.nvmlDeviceGetPowerUsage(pynvml.nvmlDeviceGetHandleByIndex(0))
    assert shared.read_at(3).process_activity_ppm == {1: 600_000, 2: 100_000}


def test_a_process_that_left_is_still_accounted_for(shared: Shared) -> None:
    """What a process did before it left the board is in the reading after, which lists only those who stayed."""
    shared.world.show(BoardState(processes=(process(1, 10), process(2, 80))))
    shared.world.show(BoardState(processes=(process(1, 10),), finished=(process(2, 40),)), after_s=1)
    shared.read_at(0)
    reading = shared.read_at(1)
    assert [entry.pid for entry in reading.processes] == [1]
    assert reading.process_activity_ppm == {1: 100_000, 2: 400_000}


def test_nobody_worked_is_an_answer(shared: Shared) -> None:
    """NOT_FOUND means that no process worked, which is known: an empty answer, not an unknown one."""
    shared.world.show(BoardState(processes=(process(1), process(2))))
    shared.read_at(0)
    assert shared.read_at(1).process_activity_ppm == {}


def test_an_unsupported_call_is_unknown_and_not_asked_again(shared: Shared) -> None:
    """Where the driver cannot tell processes apart their activity is unknown."""
    shared.world.show(BoardState(processes=(process(1, 5), process(2, 5))))
    calls = ("nvmlDeviceGetProcessUtilization", "nvmlDeviceGetProcessesUtilizationInfo")
    for call in calls:
        shared.driver.fail(call, codes.NOT_SUPPORTED)
    shared.read_at(0)
    reading = shared.read_at(1)
    assert (reading.process_activity_ppm, reading.process_seen_us) == (None, None)
    for call in calls:
        shared.driver.mend(call)
    assert shared.read_at(2).process_activity_ppm is None


def test_unbelievable_values_are_dropped_and_counted(shared: Shared) -> None:
    """A value above 100 % is no measurement: with nothing else about that process the answer is unknown."""
    shared.world.show(BoardState(processes=(process(1, 20), process(2, 4_000))), after_s=1)
    shared.world.show(BoardState(processes=(process(1, 20), process(2, 30))), after_s=2)
    shared.read_at(0)
    assert shared.read_at(1).process_activity_ppm is None
    assert shared.source.dropped_samples == 1
    assert shared.read_at(2).process_activity_ppm == {1: 200_000, 2: 300_000}


def test_a_clock_that_was_set_back_makes_one_period_unknown(shared: Shared) -> None:
    """After the clock went back the period has no beginning: unknown once, right from then on."""
    shared.world.show(BoardState(processes=(process(1, 20), process(2, 30))), after_s=-1_000)
    shared.read_at(0)
    assert shared.read_at(10).process_activity_ppm == {1: 200_000, 2: 300_000}
    assert shared.read_at(-600).process_activity_ppm is None
    assert shared.read_at(-590).process_activity_ppm == {1: 200_000, 2: 300_000}


def test_a_list_longer_than_the_buffer_is_read_whole(shared: Shared) -> None:
    """The list grows to whatever length the driver asks for, and stays right when it shrinks."""
    shared.world.show(BoardState(processes=tuple(process(pid) for pid in range(1, 101))))
    shared.world.show(BoardState(processes=(process(7),)), after_s=1)
    assert [entry.pid for entry in shared.read_at(0).processes] == list(range(1, 101))
    assert [entry.pid for entry in shared.read_at(1).processes] == [7]


def test_a_driver_that_is_never_content_with_the_room_is_a_fault(shared: Shared) -> None:
    """A list that cannot be had in any buffer leaves the board unreadable instead of the agent without memory."""
    shared.driver.fail("nvmlDeviceGetComputeRunningProcesses_v3", codes.INSUFFICIENT_SIZE)
    assert shared.read_at(0).fault == "unreadable"


def test_memory_that_is_not_available_is_unknown(shared: Shared) -> None:
    """All bits set in usedGpuMemory mean that the driver may not tell, not 16 EiB."""
    shared.world.show(BoardState(processes=(process(1, memory_bytes=2**64 - 1), process(2))))
    assert [entry.memory_bytes for entry in shared.read_at(0).processes] == [None, GIB]


def test_pynvml_learns_the_length_of_a_list_by_asking_without_a_buffer(shared: Shared) -> None:
    """The driver answers a size probe as the real one does, so that pynvml's own wrappers see the list."""
    shared.world.show(BoardState(processes=(process(5, 10), process(6, 20))))
    shared.read_at(0)
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    assert [(entry.pid, entry.usedGpuMemory, entry.gpuInstanceId) for entry in listed] == [
        (5, GIB, 0xFFFFFFFF),
        (6, GIB, 0xFFFFFFFF),
    ]
    assert pynvml.nvmlDeviceGetGraphicsRunningProcesses(handle) == []
    samples = pynvml.nvmlDeviceGetProcessUtilization(handle, 0)
    assert [(sample.pid, sample.smUtil, sample.timeStamp) for sample in samples] == [
        (5, 10, START_US),
        (6, 20, START_US),
    ]
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetProcessUtilization(handle, START_US)


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(0, 100), st.integers(0, 130)), max_size=30), st.integers(0, 100)
)
def test_activity_is_bounded_and_forgets_what_was_seen(samples: list[tuple[int, int, int]], last_seen: int) -> None:
    """No process exceeds the whole period, nothing seen before counts, and the last time stamp never goes back."""
    made = [Sample(*sample) for sample in samples]
    answer = decide_process_activity(made, last_seen)
    fresh = [entry for entry in made if entry.at_us > last_seen]
    assert answer.last_seen_us == max([last_seen, *(e.at_us for e in fresh if e.percent <= 100)])
    assert answer.dropped == sum(entry.percent > 100 for entry in fresh)
    if answer.ppm is not None:
        assert answer.ppm.keys() == {entry.pid for entry in fresh}
        assert all(0 <= ppm <= 1_000_000 for ppm in answer.ppm.values())
