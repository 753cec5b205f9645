"""Changes of a board's condition are events from what to what, and not more of them than anybody can read."""

from __future__ import annotations

from agent.devices.base import BoardHealth, BoardReading, DriverEvent
from agent.health.changes import COUNTERS, FLAGS, ChangeWatch
from tests.agent.nodes import gpu

MINUTE = 60_000_000


class Watched:
    """A board whose condition is told minute by minute."""

    def __init__(self) -> None:
        self.watch = ChangeWatch()
        self.minute = 0

    def tell(self, health: BoardHealth | None, *, slow: bool = True, minutes: int = 1) -> list[DriverEvent]:
        self.minute += minutes
        at_us = self.minute * MINUTE
        if health is not None:
            health = health._replace(slow_at_us=at_us if slow else 1)
        return self.watch.events(BoardReading(gpu(), health=health), at_us)


def test_a_counter_that_grows_is_an_event_with_both_figures() -> None:
    """Errors that cannot be corrected are told of each time there are more."""
    board = Watched()
    assert board.tell(BoardHealth(ecc_uncorrected_volatile=2)) == []  # how it was found is no event
    assert board.tell(BoardHealth(ecc_uncorrected_volatile=2)) == []
    event, *more = board.tell(BoardHealth(ecc_uncorrected_volatile=5))
    assert more == []
    assert (event.kind, event.board, event.code, event.severity) == ("ecc_uncorrected", "GPU-0", 5, "error")
    assert event.details == {"field": "ecc_uncorrected_volatile", "from": "2", "to": "5"}
    assert len(board.tell(BoardHealth(ecc_uncorrected_volatile=6))) == 1


def test_a_counter_that_starts_again_is_none() -> None:
    """Counts begin anew with the driver: what went down is the new beginning, not a negative number of errors."""
    board = Watched()
    board.tell(BoardHealth(ecc_uncorrected_volatile=9))
    assert board.tell(BoardHealth(ecc_uncorrected_volatile=0)) == []
    assert [event.details for event in board.tell(BoardHealth(ecc_uncorrected_volatile=1))] == [
        {"field": "ecc_uncorrected_volatile", "from": "0", "to": "1"}
    ]


def test_what_could_not_be_read_changes_nothing() -> None:
    """A figure that is missing for a while is compared with the last one that was known."""
    board = Watched()
    board.tell(BoardHealth(rows_remapped_uncorrectable=1, row_remap_pending=1))
    assert board.tell(BoardHealth()) == []
    assert board.tell(None) == []
    assert board.tell(BoardHealth(rows_remapped_uncorrectable=1, row_remap_pending=1)) == []


def test_corrected_errors_are_told_once_an_hour() -> None:
    """A memory that is corrected every minute is one event an hour, with all that came in between."""
    board = Watched()
    told = [event for count in range(125) for event in board.tell(BoardHealth(ecc_corrected_volatile=count))]
    assert [(event.kind, (event.details or {})["from"], (event.details or {})["to"]) for event in told] == [
        ("ecc_corrected", "0", "1"),
        ("ecc_corrected", "1", "61"),
        ("ecc_corrected", "61", "121"),
    ]


def test_a_flag_is_told_when_it_rises_and_when_it_falls() -> None:
    """A row that waits for a reset is a warning; after the reset it is over."""
    board = Watched()
    board.tell(BoardHealth(row_remap_pending=0))
    up, down = board.tell(BoardHealth(row_remap_pending=1)), board.tell(BoardHealth(row_remap_pending=0))
    assert [(event.kind, event.code, event.severity) for event in (*up, *down)] == [
        ("row_remap_pending", 1, "warning"),
        ("row_remap_pending", 0, "info"),
    ]


def test_trouble_that_stands_from_the_start_is_told() -> None:
    """An agent that starts on a board in trouble says so once."""
    board = Watched()
    events = board.tell(BoardHealth(row_remap_failure=1, recovery_action=2))
    assert [(event.kind, event.severity) for event in events] == [
        ("row_remap_failure", "error"),
        ("recovery_action", "error"),
    ]
    assert board.tell(BoardHealth(row_remap_failure=1, recovery_action=2)) == []


def test_recovery_actions_have_names() -> None:
    """What the driver wants is said in words, from what to what."""
    board = Watched()
    board.tell(BoardHealth(recovery_action=0))
    details = [event.details for action in (4, 1, 0) for event in board.tell(BoardHealth(recovery_action=action))]
    assert details == [
        {"from": "none", "to": "drain_and_reset"},
        {"from": "drain_and_reset", "to": "gpu_reset"},
        {"from": "gpu_reset", "to": "none"},
    ]


def test_throttling_has_a_beginning_an_end_and_the_time_that_it_took() -> None:
    """Clocks held down by heat are told of, and afterwards for how long and how many nanoseconds by cause."""
    board = Watched()
    board.tell(BoardHealth(throttle_reasons=0x1, hardware_thermal_slowdown_ns=10, power_violation_ns=7))
    begun = board.tell(BoardHealth(throttle_reasons=0x44, hardware_thermal_slowdown_ns=10, power_violation_ns=7))
    assert [(event.kind, event.severity, event.details) for event in begun] == [
        ("throttling", "warning", {"reasons": "software_power_cap,hardware_thermal"})
    ]
    assert board.tell(BoardHealth(throttle_reasons=0x48, hardware_thermal_slowdown_ns=99)) == []
    ended = board.tell(BoardHealth(throttle_reasons=0x4, hardware_thermal_slowdown_ns=150, power_violation_ns=7))
    assert [(event.kind, event.severity, event.details) for event in ended] == [
        ("throttling_ended", "info", {"seconds": "120", "hardware_thermal_slowdown_ns": "140"})
    ]


def test_clocks_that_go_up_and_down_are_told_now_and_then() -> None:
    """A board on the edge is not told of at every reading."""
    board = Watched()
    told = [event.kind for n in range(40) for event in board.tell(BoardHealth(throttle_reasons=0x40 * (n % 2)))]
    assert told == ["throttling", "throttling_ended"] * 4


def test_power_caps_and_idle_clocks_are_no_trouble() -> None:
    """What somebody chose, or what saves power, is no event."""
    board = Watched()
    assert [event for bits in (0x1, 0x4, 0x102, 0x10) for event in board.tell(BoardHealth(throttle_reasons=bits))] == []


def test_boards_are_compared_with_themselves() -> None:
    """Each board has its own history."""
    watch = ChangeWatch()
    for number, count in ((0, 5), (1, 7)):
        health = BoardHealth(ecc_uncorrected_volatile=count, slow_at_us=1)
        assert watch.events(BoardReading(gpu(number), health=health), 1) == []
    grown = BoardHealth(ecc_uncorrected_volatile=6, slow_at_us=2)
    assert len(watch.events(BoardReading(gpu(0), health=grown), 2)) == 1
    assert watch.events(BoardReading(gpu(1), health=grown._replace(ecc_uncorrected_volatile=7)), 2) == []


def test_slow_figures_are_compared_when_they_were_read() -> None:
    """Between two rounds of the slow families only throttling can change."""
    board = Watched()
    board.tell(BoardHealth(ecc_uncorrected_volatile=1), slow=False)
    assert board.tell(BoardHealth(ecc_uncorrected_volatile=2), slow=False) == []
    assert len(board.tell(BoardHealth(ecc_uncorrected_volatile=2))) == 1


def test_rules_name_figures_that_exist() -> None:
    """Every rule is about a figure of BoardHealth, and none about one twice."""
    fields = [rule.field for rule in (*COUNTERS, *FLAGS)]
    assert set(fields) <= set(BoardHealth._fields)
    assert len(fields) == len(set(fields))
