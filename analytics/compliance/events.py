"""What the compliance report is made from: events of an audit log, and what its verification found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from gpuledger.accounting.periods import from_us, parse_instant
from gpuledger.errors import AuditError, ConfigError

TEXTS = ("act", "actor", "subject", "at")


class Event(NamedTuple):
    """One event. `sequence` is its place in the log, from 0: where the log holds, that is the number it bears."""

    sequence: int
    at_us: int
    act: str
    actor: str
    subject: str
    details: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a detail as text; nothing where it is not there."""
        return words(self.details.get(name))

    def whole(self, name: str, default: int = 0) -> int:
        """Return a detail that is a whole number; `default` where it is anything else."""
        found = self.details.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else default

    def instant(self, name: str) -> int | None:
        """Return a detail that is an instant; None where it is none."""
        try:
            return parse_instant(self.text(name))
        except ConfigError:
            return None


class Head(NamedTuple):
    """One checkpoint: `holds` where a given key signed it and the log fits it; else `why` not."""

    size: int
    at_us: int
    key: str
    holds: bool
    why: str = ""
    elsewhere: bool = False  # given beside the log, as somebody kept it


class Proof(NamedTuple):
    """What verifying a log found. `bad` is the first event that does not hold; events before `covered` are signed for.

    `keys` are the SHA-256 fingerprints of the public keys that it was verified with.
    """

    origin: str
    events: int
    root: str
    bad: int | None
    detail: str
    covered: int
    heads: Sequence[Head]
    keys: Sequence[str]

    def ref(self, first: int, last: int | None = None, count: int = 1) -> str:
        """Return where a line of the report is in the log.

        Where the log does not hold, all after the last checkpoint that does is suspect, and marked.
        """
        shown = str(first) if last in (None, first) else f"{first} to {last} ({count})"
        end = first if last is None else last
        return f"{shown} \N{BALLOT X}" if self.bad is not None and end >= self.covered else shown


def parse_event(line: bytes, place: int) -> Event:
    """Return the event that stands at a place of a log. Raises AuditError where it is none; proves nothing."""
    try:
        found = msgspec.json.decode(line, type=dict[str, Any])
        act, actor, subject, at = (found[name] for name in TEXTS)
        if not all(isinstance(text, str) for text in (act, actor, subject, at)) or not isinstance(
            found["details"], dict
        ):
            raise AuditError(f"line {place} of the log is no event")
        return Event(place, parse_instant(at), act, actor, subject, found["details"])
    except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, ConfigError) as error:
        raise AuditError(f"line {place} of the log is no event: {error}") from error


def words(value: object) -> str:
    """Return a detail as people read it."""
    if value is None or value == "":
        return ""
    if isinstance(value, Mapping):
        return " ".join(f"{name} {words(each)}" for name, each in value.items())
    if isinstance(value, list):
        return ", ".join(words(each) for each in value)
    return str(value)


def moment(at_us: int) -> str:
    """Return an instant to the minute, in UTC."""
    return f"{from_us(at_us):%Y-%m-%d %H:%M}"


def counted(number: int, what: str) -> str:
    """Return `1 event`, `2 events`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"
