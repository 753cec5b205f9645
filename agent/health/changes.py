"""Events from what changed between two readings of a board's condition: always from what to what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.devices.base import BoardHealth, BoardReading, DriverEvent
from agent.health.conditions import recovery_action
from agent.health.throttling import TROUBLE, reason_names
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE

_THROTTLE_AGAIN_US: Final = 10 * US_PER_MINUTE  # clocks that go up and down all the time are told of this often


class CounterRule(NamedTuple):
    """A counter whose growth is an event of `kind`, told of at most once in `again_us`."""

    field: str
    kind: str
    severity: str
    words: str
    again_us: int = 0


class FlagRule(NamedTuple):
    """A flag whose every change is an event of `kind`; standing from the start, it is one, too."""

    field: str
    kind: str
    severity: str
    words: str


COUNTERS: Final = (
    CounterRule("ecc_uncorrected_volatile", "ecc_uncorrected", "error", "memory errors that cannot be corrected"),
    CounterRule("ecc_corrected_volatile", "ecc_corrected", "info", "memory errors that were corrected", US_PER_HOUR),
    CounterRule("retired_pages_single_bit", "pages_retired", "warning", "pages retired after correctable errors"),
    CounterRule("retired_pages_double_bit", "pages_retired", "warning", "pages retired after an uncorrectable error"),
    CounterRule("rows_remapped_correctable", "rows_remapped", "warning", "rows remapped after correctable errors"),
    CounterRule("rows_remapped_uncorrectable", "rows_remapped", "warning", "rows remapped after uncorrectable errors"),
    CounterRule("pcie_replays", "pcie_replays", "info", "packets sent again over PCIe", US_PER_HOUR),
    CounterRule("nvlink_crc_flit_errors", "nvlink_errors", "warning", "NVLink checksum errors (flits)", US_PER_HOUR),
    CounterRule("nvlink_crc_data_errors", "nvlink_errors", "warning", "NVLink checksum errors (data)", US_PER_HOUR),
    CounterRule("nvlink_replays", "nvlink_errors", "info", "packets sent again over NVLink", US_PER_HOUR),
    CounterRule("nvlink_recoveries", "nvlink_errors", "warning", "NVLinks that had to recover", US_PER_HOUR),
)
FLAGS: Final = (
    FlagRule("retired_pages_pending", "page_retirement_pending", "warning", "a page waits for a reset to be retired"),
    FlagRule("row_remap_pending", "row_remap_pending", "warning", "a row waits for a reset to be remapped"),
    FlagRule("row_remap_failure", "row_remap_failure", "error", "a row of memory could not be remapped"),
)


class _Told(NamedTuple):
    """What was last told about a counter, and when; None: only remembered, not told."""

    value: int
    at_us: int | None = None


class ChangeWatch:
    """Compares each board's condition with what was last told of it."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], _Told] = {}
        self._compared: dict[str, BoardHealth] = {}
        self._throttled: dict[str, tuple[int, BoardHealth]] = {}  # since when, and what counters said then

    def events(self, reading: BoardReading, at_us: int) -> list[DriverEvent]:
        """Return what changed on a board since its last reading; what could not be read changes nothing."""
        health, board = reading.health, reading.device.key
        before = self._compared.get(board)
        if health is None or health == before:
            return []
        found = list(self._throttling(board, health, at_us))
        self._compared[board] = health
        if before is not None and before.slow_at_us == health.slow_at_us:
            return found
        for counter in COUNTERS:
            found.extend(self._counter(counter, board, getattr(health, counter.field), at_us))
        for flag in FLAGS:
            found.extend(self._flag(flag, board, getattr(health, flag.field)))
        found.extend(self._recovery(board, health.recovery_action))
        return found

    def _counter(self, rule: CounterRule, board: str, value: int | None, at_us: int) -> Iterator[DriverEvent]:
        if value is None:
            return
        told = self._told.get((board, rule.field))
        if told is None or value < told.value:  # first seen, or counting began anew with the driver
            self._told[board, rule.field] = _Told(value)
            return
        waits = told.at_us is not None and 0 <= at_us - told.at_us < rule.again_us
        if value > told.value and not waits:
            self._told[board, rule.field] = _Told(value, at_us)
            yield _change(board, rule.kind, rule.severity, rule.words, rule.field, told.value, value)

    def _flag(self, rule: FlagRule, board: str, value: int | None) -> Iterator[DriverEvent]:
        if value is None:
            return
        told = self._told.get((board, rule.field), _Told(0))
        self._told[board, rule.field] = _Told(value)
        if value != told.value:
            words = rule.words if value else f"no longer: {rule.words}"
            severity = rule.severity if value else "info"
            yield _change(board, rule.kind, severity, words, rule.field, told.value, value)

    def _recovery(self, board: str, value: int | None) -> Iterator[DriverEvent]:
        if value is None:
            return
        told = self._told.get((board, "recovery_action"), _Told(0))
        self._told[board, "recovery_action"] = _Told(value)
        if value != told.value:
            names = {"from": recovery_action(told.value).name, "to": recovery_action(value).name}
            message = f"{board}: recovery action {names['from']} -> {names['to']}"
            severity = "error" if value else "info"
            yield DriverEvent("recovery_action", board, value, message, severity, details=names)

    def _throttling(self, board: str, health: BoardHealth, at_us: int) -> Iterator[DriverEvent]:
        """Yield the beginning and the end of throttling that nobody chose."""
        bits = health.throttle_reasons
        if bits is None:
            return
        since = self._throttled.get(board)
        if bits & TROUBLE and since is None:
            told = self._told.get((board, "throttle_reasons"))
            if told is not None and told.at_us is not None and 0 <= at_us - told.at_us < _THROTTLE_AGAIN_US:
                return
            self._told[board, "throttle_reasons"] = _Told(bits, at_us)
            self._throttled[board] = at_us, health
            reasons = ",".join(reason_names(bits))
            message = f"{board}: clocks are held down ({reasons})"
            yield DriverEvent("throttling", board, bits, message, "warning", details={"reasons": reasons})
        elif not bits & TROUBLE and since is not None:
            del self._throttled[board]
            seconds = (at_us - since[0]) / 1e6
            details = {"seconds": f"{seconds:.0f}", **_grown(since[1], health)}
            yield DriverEvent(
                "throttling_ended", board, bits, f"{board}: clocks are free again", "info", details=details
            )


def _grown(before: BoardHealth, after: BoardHealth) -> dict[str, str]:
    """Return how much each time counter of held-down clocks grew."""
    grown = {}
    for field in BoardHealth._fields:
        earlier, later = getattr(before, field), getattr(after, field)
        if field.endswith("_ns") and earlier is not None and later is not None and later > earlier:
            grown[field] = str(later - earlier)
    return grown


def _change(board: str, kind: str, severity: str, words: str, field: str, before: int, after: int) -> DriverEvent:  # noqa: PLR0917 - the facts of an event
    details = {"field": field, "from": str(before), "to": str(after)}
    return DriverEvent(kind, board, after, f"{board}: {words} ({before} -> {after})", severity, details=details)
