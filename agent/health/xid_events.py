"""One event for each XID, whichever of the two sources tells of it first: the driver's event, or the kernel's log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from agent.devices.base import DriverEvent
from agent.health.kernel_log import XidLine
from agent.health.xids import classify

MOST_AT_ONCE: Final = 20  # events about one XID of one board; the rest of a storm is a number on the last of them
WINDOW_US: Final = 60_000_000  # both sources tell of an XID within this time
_Key = tuple[str, int]  # board (or PCI address where the driver shows no such board) and code


class _Seen(NamedTuple):
    """How often each source told of a board's XID lately."""

    driver: int
    log: int
    last_us: int


class XidLedger:
    """Joins the two sources. `boards` maps PCI addresses to keys of boards."""

    def __init__(self, window_us: int = WINDOW_US) -> None:
        self._window_us = window_us
        self._seen: dict[_Key, _Seen] = {}

    def join(
        self,
        reported: Iterable[DriverEvent],
        logged: Iterable[XidLine],
        boards: Mapping[tuple[int, int, int], str],
        at_us: int,
    ) -> list[DriverEvent]:
        """Return the XIDs that are new at `at_us`.

        Lines of one process about one XID of a board are one event, for the kernel writes many about a single fault.
        What the other source told already within the window is no new event; where both tell at once, the event has
        what either knows.
        """
        self._forget(at_us)
        groups: dict[tuple[_Key, int | None], list[XidLine]] = {}
        for line in logged:
            key = boards.get(line.pci) or _address(line.pci), line.code
            if self._is_new(key, at_us, from_log=True):
                groups.setdefault((key, line.pid), []).append(line)
        events = [_logged(key, lines) for (key, _), lines in groups.items()]
        for event in reported:
            key = event.board, event.code
            if self._is_new(key, at_us, from_log=False):
                events.append(_classified(event))
            else:
                events = [_completed(known, event) for known in events]
        return _bounded(events)

    def _is_new(self, key: _Key, at_us: int, *, from_log: bool) -> bool:
        """Count one more telling of `key`, and return whether the other source has not told as often."""
        driver, log, _ = self._seen.get(key, _Seen(0, 0, at_us))
        driver, log = (driver, log + 1) if from_log else (driver + 1, log)
        self._seen[key] = _Seen(driver, log, at_us)
        return log > driver if from_log else driver > log

    def _forget(self, at_us: int) -> None:
        self._seen = {key: seen for key, seen in self._seen.items() if 0 <= at_us - seen.last_us <= self._window_us}


def _address(pci: tuple[int, int, int]) -> str:
    return f"pci:{pci[0]:04x}:{pci[1]:02x}:{pci[2]:02x}"


def _facts(code: int) -> dict[str, str]:
    xid = classify(code)
    return {"class": xid.kind, "action": xid.action}


def _classified(event: DriverEvent) -> DriverEvent:
    xid = classify(event.code)
    details = {**_facts(event.code), **(event.details or {})}
    return event._replace(message=f"{event.message}: {xid.words}", severity=xid.severity, details=details)


def _logged(key: _Key, lines: list[XidLine]) -> DriverEvent:
    """Return the event that lines about one fault are."""
    board, code = key
    first, xid = lines[0], classify(code)
    details = _facts(code)
    details["log"] = first.text[:200]
    if first.process:
        details["process"] = first.process
    if len(lines) > 1:
        details["lines"] = str(len(lines))
    for name, number in (("gpu_instance", first.gpu_instance), ("compute_instance", first.compute_instance)):
        if number is not None:
            details[name] = str(number)
    known = not board.startswith("pci:")
    message = f"XID {code} on {board if known else f'a GPU that the driver does not show ({board})'}: {xid.words}"
    return DriverEvent("xid", board if known else "", code, message, xid.severity, first.at_us, first.pid, details)


def _bounded(events: list[DriverEvent]) -> list[DriverEvent]:
    """Return the events without those of a storm that are too many, which the last one that is kept counts."""
    if len(events) <= MOST_AT_ONCE:
        return events
    kept: dict[_Key, list[DriverEvent]] = {}
    left_out: Counter[_Key] = Counter()
    for event in events:
        of_xid = kept.setdefault((event.board, event.code), [])
        if len(of_xid) < MOST_AT_ONCE:
            of_xid.append(event)
        else:
            left_out[event.board, event.code] += 1
    for key, count in left_out.items():
        last = kept[key][-1]
        kept[key][-1] = last._replace(details={**(last.details or {}), "more": str(count)})
    return [event for of_xid in kept.values() for event in of_xid]


def _completed(known: DriverEvent, other: DriverEvent) -> DriverEvent:
    """Return `known` with the details that only `other` has, where both are about the same XID of the same board."""
    if (known.board, known.code) != (other.board, other.code) or not other.details:
        return known
    return known._replace(details={**other.details, **(known.details or {})})
