"""Health over the whole of pynvml on the simulated driver: planted trouble becomes events and faults, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from agent.devices.base import NodeReading
from agent.devices.nvml import codes
from agent.devices.simulated.driver import SimulatedSource
from agent.devices.simulated.world import BoardSpec, BoardState, Condition
from agent.health.driver_state import DriverState
from agent.health.kernel_log import KernelLog, XidLine
from agent.health.source import HealthSource, kernel_log_at
from agent.observe import driver_events
from gpuledger.errors import DeviceError
from tests.agent.device_worlds import SECOND_US, START_US, board, mig_slice
from tests.agent.driven import Driven


class GivenLog(KernelLog):
    """A kernel log whose lines are given."""

    def __init__(self) -> None:
        self.lines: list[XidLine] = []
        self.fails = False
        self.closed = False

    def read(self) -> list[XidLine]:
        if self.fails:
            raise DeviceError("the kernel's log cannot be read")
        lines, self.lines = self.lines, []
        return lines

    def close(self) -> None:
        self.closed = True


class Node(Driven):
    """A driven node with its health."""

    def __init__(self, *specs: BoardSpec, proc: Path | None = None, **settings: Callable[[], KernelLog]) -> None:
        super().__init__(*specs)
        self.log = GivenLog()
        self.health = HealthSource(
            SimulatedSource(self.driver, self.source),
            self.clock,
            kernel_log=settings.get("kernel_log", lambda: self.log),
            driver_state=None if proc is None else DriverState(proc),
        )

    def node_at(self, seconds: float) -> NodeReading:
        self.clock.advance_to(START_US + int(seconds * SECOND_US))
        return self.health.read()


def _kinds(reading: NodeReading) -> list[tuple[str, str]]:
    return [(event.kind, event.severity) for event in reading.events]


@pytest.mark.parametrize(
    ("fields", "fault"), [({230: 1}, "reset_required"), ({230: 2}, "reboot_required"), ({145: 1}, "row_remap_failure")]
)
def test_a_condition_makes_a_board_unavailable_until_it_is_over(fields: dict[int, int], fault: str) -> None:
    """The reading keeps its figures and has the fault as long as the driver says so; both ends are events."""
    node = Node(board(0), board(1))
    node.show(BoardState(energy_mj=10))
    node.show(BoardState(energy_mj=20, condition=Condition(fields=fields)), after_s=60)
    node.show(BoardState(energy_mj=30), after_s=120)
    readings = [node.node_at(seconds) for seconds in (0, 60, 70, 120)]
    assert [[entry.fault for entry in reading.boards] for reading in readings] == [
        ["", ""], [fault, ""], [fault, ""], ["", ""],
    ]  # fmt: skip
    assert [reading.boards[0].energy_mj for reading in readings] == [10, 20, 20, 30]
    assert [[severity for _, severity in _kinds(reading)] for reading in readings] == [[], ["error"], [], ["info"]]


def test_a_question_that_fails_makes_no_board_available_again() -> None:
    """While the driver does not say whether it still wants a reset, it does."""
    node = Node()
    node.show(BoardState(condition=Condition(fields={230: 1})))
    assert node.at(0).fault == "reset_required"
    real = node.driver._functions["nvmlDeviceGetFieldValues"]
    node.driver._replace(
        "nvmlDeviceGetFieldValues", lambda handle, count, out: codes.TIMEOUT if count > 2 else real(handle, count, out)
    )
    assert node.at(60).fault == "reset_required"
    node.driver.mend("nvmlDeviceGetFieldValues")
    node.show(BoardState(), after_s=100)
    assert node.at(120).fault == ""


@pytest.mark.parametrize("code", [13, 31, 43, 45, 94])
def test_an_xid_of_an_application_leaves_the_board_available(code: int) -> None:
    """What a process did is an event with its class; the time of the board goes on."""
    node = Node()
    node.show(BoardState())
    node.show(BoardState(xids=(code,)), after_s=10)
    node.at(0)
    reading = node.node_at(10)
    assert reading.boards[0].fault == ""
    assert _kinds(reading) == [("xid", "warning")]


def test_events_of_the_ledger_have_class_severity_instant_and_process() -> None:
    """What the driver and the kernel told becomes an event that says whose fault it is, and since when."""
    node = Node(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2)))
    node.show(BoardState())
    node.show(BoardState(xids=((94, 2, 0),)), after_s=10)
    node.at(0)
    node.log.lines = [XidLine((0, 1, 0), 94, "Contained", 321, "python3", 2, 0, START_US + 7 * SECOND_US)]
    reading = node.node_at(10)
    (event,) = driver_events(reading.events, START_US + 10 * SECOND_US)
    assert (event.kind, event.device, event.severity) == ("xid", "GPU-0000", "warning")
    assert event.at_us == START_US + 7 * SECOND_US
    assert event.details == {
        "xid": "94", "class": "memory", "action": "restart_application", "log": "Contained", "process": "python3",
        "gpu_instance": "2", "compute_instance": "0", "pid": "321",
    }  # fmt: skip


def test_a_lost_board_stays_lost_whatever_its_condition_was() -> None:
    """A board that does not answer has no condition: its fault is that it is lost."""
    node = Node()
    node.show(BoardState(condition=Condition(fields={230: 1})))
    node.show(BoardState(lost=True, xids=(79,)), after_s=10)
    assert [node.at(seconds).fault for seconds in (0, 10)] == ["reset_required", "gpu_lost"]


def test_what_the_kernel_logged_while_the_driver_was_gone_comes_with_the_next_reading() -> None:
    """A driver that fell cannot tell why; the log can."""
    node = Node()
    node.at(0)
    node.driver.fail("nvmlDeviceGetCount_v2", codes.UNKNOWN)
    node.log.lines = [XidLine((0, 1, 0), 119, "Timeout", None, "", at_us=START_US + 9 * SECOND_US)]
    with pytest.raises(DeviceError):
        node.node_at(10)
    node.driver.mend("nvmlDeviceGetCount_v2")
    reading = node.node_at(100)
    assert [(event.kind, event.code, event.at_us) for event in reading.events] == [
        ("xid", 119, START_US + 9 * SECOND_US)
    ]


def test_a_log_that_fails_is_counted_and_hides_nothing() -> None:
    """Without the kernel's log the driver's own events are told; the failing family says so."""
    node = Node()
    node.show(BoardState())
    node.show(BoardState(xids=(48,)), after_s=10)
    node.at(0)
    node.log.fails = True
    reading = node.node_at(10)
    assert _kinds(reading) == [("xid", "error")]
    stats = {entry.name: entry for entry in reading.samplers}
    assert (stats["kernel_log"].successes, stats["kernel_log"].failures) == (1, 1)
    node.health.close()
    assert node.log.closed


def test_a_log_that_may_not_be_read_is_said_once(tmp_path: Path) -> None:
    """An agent without that permission goes on, and its ledger says what it could not hear."""
    opening = kernel_log_at(str(tmp_path / "kmsg"))
    assert opening is not None
    node = Node(kernel_log=opening)
    assert _kinds(node.node_at(0)) == [("kernel_log_unavailable", "info")]
    assert _kinds(node.node_at(10)) == []
    assert kernel_log_at("") is None


def _proc(root: Path, *gpus: str, version: str = "580.105.08") -> Path:
    (root / "gpus").mkdir(parents=True, exist_ok=True)
    for name in gpus:
        (root / "gpus" / name).mkdir(exist_ok=True)
    line = f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (user@host)\n"
    (root / "version").write_text(line)
    return root


def test_gpus_that_the_kernel_has_and_the_driver_does_not_show_are_an_event(tmp_path: Path) -> None:
    """The difference is told once, by address, and again when it is gone."""
    proc = _proc(tmp_path, "0000:01:00.0", "0000:02:00.0", "0000:03:00.0")
    node = Node(board(0), board(1), proc=proc)
    reading = node.node_at(0)
    assert _kinds(reading) == [("gpu_count_mismatch", "error")]
    assert reading.events[0].details == {"expected": "3", "shown": "2", "difference": "missing 0000:03:00.0"}
    assert _kinds(node.node_at(120)) == []
    (proc / "gpus" / "0000:03:00.0").rmdir()
    assert _kinds(node.node_at(180)) == [("gpu_count_mismatch", "info")]


def test_a_node_without_the_modules_folder_has_nothing_to_compare(tmp_path: Path) -> None:
    """Where there is no /proc/driver/nvidia nothing is known, and nothing is wrong."""
    reading = Node(proc=tmp_path / "none").node_at(0)
    assert reading.events == ()
    assert {entry.name: entry.failures for entry in reading.samplers}["driver_state"] == 0


def test_a_library_that_does_not_fit_the_module_is_an_event_and_a_clear_error(tmp_path: Path) -> None:
    """While they differ each reading fails with the next step; the ledger learns of it when they agree again."""
    node = Node(proc=_proc(tmp_path, "0000:01:00.0", version="590.48.01"))
    node.at(0)
    node.world.load = "second"
    node.driver.fail("nvmlInitWithFlags", codes.LIB_RM_VERSION_MISMATCH)
    for seconds in (10, 100, 200):
        with pytest.raises(DeviceError, match="NVML error 18") as caught:
            node.node_at(seconds)
        assert "restart the agent" in caught.value.hint
    node.driver.mend("nvmlInitWithFlags")
    reading = node.node_at(300)
    assert [(event.kind, event.at_us, event.details) for event in reading.events] == [
        ("driver_version_mismatch", START_US + 10 * SECOND_US, {"library": "580.105.08", "module": "590.48.01"})
    ]


def test_a_driver_that_was_upgraded_is_an_event() -> None:
    """From which version to which."""
    node = Node()
    first = node.node_at(0)
    node.health._driver_version = "570.1"
    reading = node.node_at(10)
    assert first.driver_version == "580.105.08"
    assert [(event.kind, event.details) for event in reading.events] == [
        ("driver_version_changed", {"from": "570.1", "to": "580.105.08"})
    ]


def test_a_healthy_node_has_no_events_and_all_families_succeed() -> None:
    """An hour of a board without trouble says nothing."""
    node = Node()
    node.show(BoardState(utilization_ppm=500_000))
    readings = [node.node_at(seconds) for seconds in range(0, 3_600, 10)]
    assert [event for reading in readings for event in reading.events] == []
    assert all(entry.successes and not entry.failures for entry in readings[-1].samplers)


def test_readings_survive_the_way_between_two_processes() -> None:
    """A whole reading with its health is plain data: it can be sent from one process to another and is the same."""
    node = Node(board(0), board(1, "h100-sxm", mig_slice(0, "3g.40gb", 2)))
    node.show(BoardState(xids=(13,), condition=Condition(0x40, {230: 1})))
    node.node_at(0)
    reading = node.node_at(10)
    packed = msgspec.msgpack.encode(reading)
    assert msgspec.msgpack.decode(packed, type=NodeReading) == reading
