"""Processes too short for a reading to meet: accounting mode, and the driver's buffer of utilisation samples."""

from __future__ import annotations

import ctypes

import pynvml
import pytest

from agent.devices.base import EndedProcess
from agent.devices.nvml import codes
from agent.devices.nvml.processes import entry_layout
from agent.devices.simulated.world import BoardState, EndedState, ProcessState
from tests.agent.device_worlds import GIB, SECOND_US, START_US, board, mig_slice, process
from tests.agent.driven import Driven

T = START_US


def _at(seconds: float) -> int:
    return T + int(seconds * SECOND_US)


def _ended(pid: int, start_s: float, end_s: float, percent: int = 40) -> EndedState:
    return EndedState(pid, _at(start_s), _at(end_s), GIB, percent)


def _accounted(**settings: bool) -> Driven:
    return Driven(board(0)._replace(accounting=True), **settings)


def test_a_process_between_two_readings_is_in_the_record() -> None:
    """Accounting mode has its start, end, memory and use, exactly and once."""
    node = _accounted()
    node.show(BoardState())
    node.show(BoardState(ended=(_ended(7, 2.5, 4.25),)), after_s=10)
    node.show(BoardState(), after_s=20)
    assert [node.at(seconds).ended for seconds in (0, 10, 20, 30)] == [
        (),
        (EndedProcess(7, _at(2.5), _at(4.25), GIB, 400_000),),
        (),
        (),
    ]


def test_what_ended_before_the_first_reading_is_not_new() -> None:
    """The record is older than the agent: what it holds at the start was somebody else's to count."""
    node = _accounted()
    node.show(BoardState(ended=(_ended(7, -50, -40),)))
    assert [node.at(seconds).ended for seconds in (0, 10)] == [(), ()]


def test_a_process_that_was_listed_is_told_of_when_it_ends() -> None:
    """While it runs its time is 0; once it has ended the record has all of it."""
    node = _accounted()
    node.show(BoardState(processes=(process(7),)))
    node.show(BoardState(ended=(_ended(7, -5, 14),)), after_s=20)
    assert [len(node.at(seconds).ended) for seconds in (0, 10, 20, 30)] == [0, 0, 1, 0]


def test_a_number_that_is_used_again_is_another_process() -> None:
    """A pid whose earlier process was told of is told of again when it worked since and starts at another time."""
    node = _accounted()
    node.show(BoardState())
    node.show(BoardState(ended=(_ended(7, 1, 2),)), after_s=10)
    again = ProcessState(7, GIB, 300_000, came_us=_at(13), left_us=_at(15))
    node.show(BoardState(finished=(again,), ended=(_ended(7, 13, 15),)), after_s=20)
    node.show(BoardState(), after_s=30)
    starts = [[entry.start_us for entry in node.at(seconds).ended] for seconds in (0, 10, 20, 30)]
    assert starts == [[], [_at(1)], [_at(13)], []]


def test_a_crowd_is_told_of_completely() -> None:
    """More processes than one reading asks about are in the readings after it, each once."""
    node = _accounted()
    node.show(BoardState())
    node.show(BoardState(ended=tuple(_ended(1_000 + pid, 1, 2) for pid in range(1_234))), after_s=10)
    node.show(BoardState(), after_s=11)
    node.at(0)
    told = [entry.pid for seconds in (10, 20, 30, 40) for entry in node.at(seconds).ended]
    assert sorted(told) == list(range(1_000, 2_234))


def test_an_opening_anew_tells_nobody_twice() -> None:
    """What was told before the driver was opened again is not told again; what ended meanwhile is."""
    node = _accounted()
    node.show(BoardState())
    node.show(BoardState(ended=(_ended(7, 1, 2),)), after_s=10)
    node.at(0)
    assert len(node.at(10).ended) == 1
    node.world.specs = (*node.world.specs, board(1))
    node.driver.fail("nvmlDeviceGetUtilizationRates", codes.UNKNOWN, board=0)
    node.node_at(20)
    node.driver.mend("nvmlDeviceGetUtilizationRates")
    assert (node.at(90).ended, node.source.openings) == ((), 2)


def test_accounting_is_off_unless_somebody_switched_it_on() -> None:
    """A board without the mode, one that is cut, and settings that leave it out have no record, and no failure."""
    off = Driven()
    cut = Driven(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2))._replace(accounting=True))
    unwanted = _accounted(accounting=False)
    for node in (off, cut, unwanted):
        node.show(BoardState())
        node.show(BoardState(ended=(_ended(7, 1, 2),)), after_s=10)
        node.at(0)
        reading = node.node_at(10)
        assert reading.boards[0].ended == ()
        assert all(not entry.failures for entry in reading.samplers)


def test_accounting_that_is_switched_on_later_is_noticed() -> None:
    """The mode is asked for again with the slow families."""
    node = Driven(board(0))
    node.show(BoardState())
    node.at(0)
    node.world.specs = (board(0)._replace(accounting=True),)
    node.driver.recut()
    node.driver._mig_changes.clear()
    node.show(BoardState(ended=(_ended(7, 61, 62),)), after_s=70)
    assert [len(node.at(seconds).ended) for seconds in (10, 60, 61, 70)] == [0, 0, 0, 1]


def test_a_process_that_only_the_samples_saw_is_named_with_its_instants() -> None:
    """First and last sample of each process since the previous reading, by the CPU's clock; its work counts, too."""
    node = Driven(board(0, "l40s"))
    node.show(BoardState(processes=(process(1, 30),)))
    brief = ProcessState(2, GIB, 600_000, came_us=_at(3), left_us=_at(5))
    node.show(BoardState(processes=(process(1, 30),), finished=(brief,)), after_s=10)
    node.show(BoardState(processes=(process(1, 30),)), after_s=20)
    assert node.at(0).process_seen_us is None
    reading = node.at(10)
    assert [entry.pid for entry in reading.processes] == [1]
    assert reading.process_seen_us == {1: (_at(10), _at(10)), 2: (_at(3) + 1, _at(5))}
    assert reading.process_activity_ppm == {1: 300_000, 2: 600_000}
    after = node.at(20)
    assert (after.process_seen_us, after.process_activity_ppm) == ({1: (_at(20), _at(20))}, None)


@pytest.mark.parametrize("gone", ["missing", "not supported"])
def test_the_newer_call_is_used_where_the_older_is_gone(gone: str) -> None:
    """R550 and newer tell the same by nvmlDeviceGetProcessesUtilizationInfo; from more samples than fit at first, too."""
    node = Driven(board(0, "l40s"))
    if gone == "missing":
        node.driver.remove("nvmlDeviceGetProcessUtilization")
    else:
        node.driver.fail("nvmlDeviceGetProcessUtilization", codes.NOT_SUPPORTED)
    crowd = tuple(process(pid, pid % 100 + 1) for pid in range(1, 400))
    node.show(BoardState(processes=crowd))
    node.at(0)
    reading = node.at(10)
    assert reading.process_activity_ppm == {entry.pid: entry.sm_ppm for entry in crowd}
    node.show(BoardState(), after_s=20)
    assert node.at(20).process_activity_ppm == {}


def test_samples_that_fail_leave_the_board_unreadable_only_if_it_is_itself() -> None:
    """A board that is lost in this call is a fault like in any other."""
    node = Driven()
    node.at(0)
    node.driver.fail("nvmlDeviceGetProcessUtilization", codes.GPU_IS_LOST)
    assert node.at(10).fault == "gpu_lost"


def test_clients_of_mps_are_processes_and_their_server_is_marked() -> None:
    """Clients stand in a list of their own; the server is listed beside them, and holds nothing itself."""
    node = Driven()
    node.show(
        BoardState(
            processes=(
                process(10)._replace(kind="mps_server", memory_bytes=30 << 20),
                process(11)._replace(kind="mps_client"),
                process(12, memory_bytes=2 * GIB)._replace(kind="mps_client"),
                process(13),
            )
        )
    )
    assert [tuple(entry) for entry in node.at(0).processes] == [
        (10, 30 << 20, "mps_server"),
        (13, GIB, ""),
        (11, GIB, "mps_client"),
        (12, 2 * GIB, "mps_client"),
    ]


def test_the_list_of_mps_is_asked_for_only_where_there_may_be_a_server() -> None:
    """Processes whose names are known to be others need no second list; names are asked for once a process."""
    node = Driven()
    node.show(BoardState(processes=(process(10), process(11))))
    node.driver.fail("nvmlDeviceGetMPSComputeRunningProcesses_v3", codes.GPU_IS_LOST)
    assert node.at(0).fault == ""
    node.driver.fail("nvmlSystemGetProcessName", codes.GPU_IS_LOST)
    assert node.at(1).fault == ""


def test_clients_are_found_where_names_may_not_be_asked() -> None:
    """Without a name any process may be the server: the list is asked for, and nobody is marked as one."""
    node = Driven()
    node.driver.fail("nvmlSystemGetProcessName", codes.NO_PERMISSION)
    server, client = process(10)._replace(kind="mps_server"), process(11)._replace(kind="mps_client")
    node.show(BoardState(processes=(server, client)))
    assert [(entry.pid, entry.kind) for entry in node.at(0).processes] == [(10, ""), (11, "mps_client")]


def test_clients_on_an_instance_are_found_there() -> None:
    """MPS within a MIG instance lists its clients under that instance."""
    node = Driven(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2), mig_slice(3, "1g.10gb", 9)))
    server = process(10, gpu_instance=2)._replace(kind="mps_server")
    client = process(11, gpu_instance=2)._replace(kind="mps_client")
    node.show(BoardState(processes=(server, client, process(12, gpu_instance=9))))
    assert [[(entry.pid, entry.kind) for entry in part.processes] for part in node.at(0).instances] == [
        [(10, "mps_server"), (11, "mps_client")],
        [(12, "")],
        [],
    ]


def test_entries_of_the_drivers_with_a_longer_struct_are_read_right() -> None:
    """Drivers 535.43 to 535.86 have 8 bytes more in each entry; they are told by the functions that they have."""
    node = Driven()
    assert _entry_size(node) == ctypes.sizeof(pynvml.c_nvmlProcessInfo_v3_t) == 24
    node.driver._library.nvmlDeviceGetConfComputeMemSizeInfo = object()
    assert _entry_size(node) == 32
    node.driver._library.nvmlDeviceGetRunningProcessDetailList = object()
    assert _entry_size(node) == 24


def _entry_size(node: Driven) -> int:
    with node.driver.install():
        return entry_layout().size


def test_the_minor_number_is_not_the_index() -> None:
    """/dev/nvidia5 may be the first board; MIG instances tell their ids and where they lie."""
    cut = mig_slice(0, "3g.40gb", 2)._replace(placement_start=4)
    node = Driven(board(0)._replace(minor=5), board(1, "h100-sxm", cut)._replace(minor=0))
    reading = node.node_at(0)
    assert [(entry.device.index, entry.minor) for entry in reading.boards] == [(0, 5), (1, 0)]
    first = reading.boards[1].instances[0]
    assert (first.gpu_instance, first.compute_instance, first.placement_start) == (2, 0, 4)


def test_a_placement_that_may_not_be_asked_is_unknown() -> None:
    """Asking where an instance lies takes privilege: without it everything else is read."""
    node = Driven(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2)))
    node.driver.fail("nvmlDeviceGetGpuInstanceById", codes.NO_PERMISSION)
    first = node.at(0).instances[0]
    assert (first.gpu_instance, first.placement_start) == (2, None)


def test_samples_of_unshared_boards_can_be_left_out() -> None:
    """Where nobody wants to know who came and went, only boards that are shared are asked for samples."""
    node = Driven(board(0, "l40s"), all_samples=False)
    node.show(BoardState(processes=(process(1, 30),)))
    node.show(BoardState(processes=(process(1, 30), process(2, 10))), after_s=20)
    assert [node.at(seconds).process_seen_us for seconds in (0, 10)] == [None, None]
    assert node.at(20).process_activity_ppm == {1: 300_000, 2: 100_000}
