"""Two sources tell of XIDs: each XID is one event, whichever comes first."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agent.devices.base import DriverEvent
from agent.health.kernel_log import XidLine
from agent.health.xid_events import MOST_AT_ONCE, WINDOW_US, XidLedger

T = 1_790_000_000_000_000
BOARDS = {(0, 0x3B, 0): "GPU-a", (0, 0x5E, 0): "GPU-b"}


def _told(code: int, board: str = "GPU-a", **details: str) -> DriverEvent:
    return DriverEvent("xid", board, code, f"XID {code} on {board}", details=details or None)


def _line(code: int, bus: int = 0x3B, text: str = "", pid: int | None = None, at_us: int = T - 5) -> XidLine:
    return XidLine((0, bus, 0), code, text, pid, "python3" if pid else "", at_us=at_us)


def test_the_drivers_event_and_the_kernels_line_are_one_event() -> None:
    """Both at once: one event that has the instant and the process of the log, and the instance of the driver."""
    events = XidLedger().join([_told(94, gpu_instance="3")], [_line(94, text="Contained", pid=12)], BOARDS, T)
    assert len(events) == 1
    event = events[0]
    assert (event.board, event.code, event.severity, event.at_us, event.pid) == ("GPU-a", 94, "warning", T - 5, 12)
    assert event.details == {
        "class": "memory", "action": "restart_application", "log": "Contained", "process": "python3", "gpu_instance": "3",
    }  # fmt: skip


def test_either_may_come_first() -> None:
    """The source that comes second within the window tells nothing new."""
    for first, second in (("driver", "log"), ("log", "driver")):
        ledger = XidLedger()
        sources = {"driver": ([_told(79)], []), "log": ([], [_line(79)])}
        told, lines = sources[first]
        assert len(ledger.join(told, lines, BOARDS, T)) == 1  # type: ignore[arg-type]
        told, lines = sources[second]
        assert ledger.join(told, lines, BOARDS, T + WINDOW_US) == []  # type: ignore[arg-type]


def test_the_same_xid_after_the_window_is_another_one() -> None:
    """What happens again later is told again, by either source."""
    ledger = XidLedger()
    ledger.join([_told(31)], [], BOARDS, T)
    assert len(ledger.join([], [_line(31)], BOARDS, T + WINDOW_US + 1)) == 1


def test_one_source_alone_is_enough_and_repeats_are_counted() -> None:
    """Two reports of the same source are two XIDs; the other source telling of both adds nothing."""
    ledger = XidLedger()
    assert len(ledger.join([_told(13), _told(13)], [], BOARDS, T)) == 2
    assert ledger.join([], [_line(13), _line(13)], BOARDS, T + 1) == []
    assert len(ledger.join([], [_line(13)], BOARDS, T + 2)) == 1


def test_boards_and_codes_are_kept_apart() -> None:
    """The same code of another board, and another code of the same board, are other events."""
    events = XidLedger().join([_told(79)], [_line(79, bus=0x5E), _line(154)], BOARDS, T)
    assert [(event.board, event.code) for event in events] == [("GPU-b", 79), ("GPU-a", 154), ("GPU-a", 79)]


def test_many_lines_about_one_fault_are_one_event() -> None:
    """The kernel writes a line for each multiprocessor: one event says how many there were, for each process."""
    lines = [_line(13, text=f"SM {number}", pid=7) for number in range(20)] + [_line(13, pid=8)]
    events = XidLedger().join([], lines, BOARDS, T)
    assert [(event.pid, (event.details or {}).get("lines")) for event in events] == [(7, "20"), (8, None)]


def test_a_gpu_that_the_driver_does_not_show_is_named_by_its_address() -> None:
    """A card that is gone from the driver still has its last words in the kernel's log."""
    events = XidLedger().join([], [_line(79, bus=0xAF)], BOARDS, T)
    assert [(event.board, event.severity) for event in events] == [("", "error")]
    assert "0000:af:00" in events[0].message


def test_an_unknown_xid_is_told_as_unknown() -> None:
    """999 is what NVML says when it does not know the code itself."""
    events = XidLedger().join([_told(999)], [], BOARDS, T)
    assert (events[0].details or {})["class"] == "unknown"


def test_a_storm_is_bounded_and_counted() -> None:
    """A thousand XIDs at once are few events, the last of which says how many more there were; others are untouched."""
    reports = [_told(13)] * 1_000 + [_told(79, board="GPU-b")]
    events = XidLedger().join(reports, [], BOARDS, T)
    assert [(event.board, (event.details or {}).get("more")) for event in events] == [
        *[("GPU-a", None)] * (MOST_AT_ONCE - 1),
        ("GPU-a", str(1_000 - MOST_AT_ONCE)),
        ("GPU-b", None),
    ]


@given(st.lists(st.tuples(st.sampled_from(["driver", "log", "both"]), st.integers(0, 3)), max_size=30))
def test_no_xid_is_lost_and_none_is_told_twice(story: list[tuple[str, int]]) -> None:
    """Whatever the order, within a window each code is told as often as the more talkative source told of it."""
    ledger = XidLedger()
    told = 0
    counts = {"driver": 0, "log": 0}
    for step, (source, number) in enumerate(story):
        reports = [_told(48)] * number if source != "log" else []
        lines = [_line(48, pid=step * 10 + position) for position in range(number)] if source != "driver" else []
        counts["driver"] += len(reports)
        counts["log"] += len(lines)
        told += len(ledger.join(reports, lines, BOARDS, T + step))
    assert told == max(counts.values())
