"""A collector verifies its own log, all of it, when it starts and once a day, and says in its metrics whether it holds.

That is how one hears of it early, and no proof: who changes a ledger may change its collector, too. The proof is
`gpuledger audit verify`, offline, with a checkpoint that somebody keeps elsewhere.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.checkpoints import Checkpoint, key_id, open_note, read_note
from collector.audit.heads import kept_notes, notes
from collector.audit.log import entries
from collector.audit.verify import verify
from collector.ledger.store import Ledger
from gpuledger.errors import AuditError, LedgerError

EVERY_S: Final = 86_400.0
_AT_ONCE: Final = 250  # events, after which others have a turn: a pod that asks to start waits for no audit
_REST_S: Final = 0.005
_log: Final = logging.getLogger(__name__)


class LogState(NamedTuple):
    """Whether the log held when it was last verified, and how many of its events; `at_us` None: not yet."""

    at_us: int | None = None
    holds: bool = True
    events: int = 0


class LogWatch:
    """What the last verification found. `key` signs the checkpoints, `place` is the second place that keeps them."""

    def __init__(self, ledger: Ledger, key: Ed25519PrivateKey | None, place: Path) -> None:
        self._ledger = ledger
        self._key = key
        self._place = place
        self.state = LogState()

    def look(self) -> None:
        """Verify the log against the checkpoints of this key, in the ledger and in the second place. Slow."""
        at_us = self._ledger.now_us()
        try:
            elsewhere = kept_notes(self._place)  # before the ledger is read: no note there is ahead of it
            with self._ledger.snapshot() as session:
                heads = self._heads([*notes(session), *elsewhere])
                verdict = verify(_gently(entries(session)), heads)
        except AuditError as error:
            self.state = LogState(at_us, holds=False)
            _log.error("a checkpoint of the audit log does not hold: %s", error)
            return
        self.state = LogState(at_us, verdict.ok, verdict.events)
        if not verdict.ok:
            _log.error("the audit log does not verify at event %s: %s", verdict.bad_sequence, verdict.detail)

    def _heads(self, found: Iterable[str]) -> list[Checkpoint]:
        """Return the checkpoints that this key signed; those of keys before it take their public keys."""
        if self._key is None:
            return []
        public = self._key.public_key()
        heads = []
        for note in dict.fromkeys(found):
            said, signatures = read_note(note)
            own = key_id(said.origin, public.public_bytes_raw())
            if any(signature.startswith(own) for signature in signatures):
                heads.append(open_note(note, [public]))
        return heads


async def watch_log(watch: LogWatch, every_s: float = EVERY_S) -> None:
    """Verify now and every `every_s` seconds."""
    while True:
        try:
            await asyncio.to_thread(watch.look)
        except LedgerError as error:
            _log.error("the audit log could not be read: %s", error)
        await asyncio.sleep(every_s)


def _gently(log: Iterable[bytes]) -> Iterator[bytes]:
    for number, entry in enumerate(log, 1):
        yield entry
        if number % _AT_ONCE == 0:
            time.sleep(_REST_S)
