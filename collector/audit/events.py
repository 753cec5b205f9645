"""Audit events, and the chain that links each to the one before. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, NamedTuple, Self

import msgspec

from collector.audit.canonical import Value, canonical, parse_canonical
from collector.audit.merkle import leaf_hash
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.errors import AuditError, ConfigError

FIRST_LINK: Final = bytes(32)
_HASH: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_NAMES: Final = {"act", "actor", "at", "details", "previous", "sequence", "subject"}


class Act(NamedTuple):
    """Something that was done: what, by whom, to what, and what there is to say of it."""

    act: str  # price.import, period.close, ...
    actor: str
    subject: str = ""
    details: Mapping[str, Value] = {}


class Link(NamedTuple):
    """One event of the log, as it is kept: numbered from 0, with the hash of the link before in it."""

    sequence: int
    at_us: int
    act: str
    actor: str
    subject: str
    entry: bytes  # canonical JSON, all of the above in it

    @property
    def hash(self) -> bytes:
        """Return what the next link names as the one before."""
        return sha256(self.entry).digest()

    @property
    def leaf(self) -> bytes:
        """Return the leaf of the Merkle tree."""
        return leaf_hash(self.entry)

    @property
    def previous(self) -> bytes:
        """Return the hash of the link before."""
        found: str = msgspec.json.decode(self.entry)["previous"]  # it was canonical when the link was made or parsed
        return bytes.fromhex(found)

    @classmethod
    def parse(cls, entry: bytes) -> Self:
        """Return the link that a line of an exported log is. Raises AuditError where it is not one."""
        found = parse_canonical(entry)
        if found.keys() != _NAMES:
            raise AuditError(
                f"not an event: {', '.join(sorted(found.keys() ^ _NAMES)) or 'nothing'} missing or strange"
            )
        sequence, at, previous = found["sequence"], found["at"], found["previous"]
        texts = [found[name] for name in ("act", "actor", "subject")]
        if not isinstance(sequence, int) or not all(isinstance(each, str) for each in (*texts, at, previous)):
            raise AuditError("not an event: a field is not what it should be")
        if not _HASH.fullmatch(previous):
            raise AuditError("not an event: previous is no hash")
        try:
            return cls(sequence, parse_instant(at), texts[0], texts[1], texts[2], entry)
        except ConfigError as error:
            raise AuditError(f"not an event: {error.message}") from error


def link(acts: Sequence[Act], at_us: int, sequence: int, previous: bytes) -> list[Link]:
    """Return acts of one instant as links that follow the one whose hash is `previous`, the first being `sequence`."""
    made: list[Link] = []
    at = iso(at_us)
    for number, each in enumerate(acts, start=sequence):
        entry = canonical({
            "act": each.act,
            "actor": each.actor,
            "at": at,
            "details": dict(each.details),
            "previous": previous.hex(),
            "sequence": number,
            "subject": each.subject,
        })  # fmt: skip
        made.append(Link(number, at_us, each.act, each.actor, each.subject, entry))
        previous = made[-1].hash
    return made
