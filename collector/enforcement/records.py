"""Keeping what schedulers were told: a bounded queue in memory, written to the ledger and its audit log in batches.

An answer never waits for the ledger. Where the queue is full the newest record is dropped and counted, and the next
batch says in the audit log how many are missing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

import pyarrow as pa

from collector.audit.events import Act
from collector.audit.log import append
from collector.ledger.store import Ledger
from gpuledger.errors import LedgerError

BATCH: Final = 5_000  # rows of one transaction: ingest waits for no more
LOST: Final = "admission.lost"
_log: Final = logging.getLogger(__name__)
_SCHEMA: Final = pa.schema([
    ("at_us", pa.int64()),
    *((name, pa.string()) for name in (
        "source", "cluster", "uid", "operation", "kind", "namespace", "name", "user_name", "owner", "models",
    )),
    ("parts", pa.int64()),
    *((name, pa.string()) for name in ("mode", "result", "answered", "rule", "reasons")),
    ("times", pa.int64()),
])  # fmt: skip


class Record(NamedTuple):
    """One ask and its answer, as the ledger keeps it; `series` is what its like have in common, and is not kept."""

    at_us: int
    source: str
    cluster: str
    uid: str
    operation: str
    kind: str
    namespace: str
    name: str
    user_name: str
    owner: str
    models: str
    parts: int
    mode: str
    result: str
    answered: str
    rule: str
    reasons: str
    times: int
    series: str

    @property
    def like(self) -> tuple[object, ...]:
        """Return what two records share that are told as one: all but the instant, the uid and the name."""
        return (*self[1:3], *self[4:7], *self[8:17], self.series)


class Records:
    """The queue. `add` is for the event loop, `write` for one thread beside it."""

    def __init__(self, ledger: Ledger, most: int) -> None:
        self._ledger = ledger
        self._most = most
        self._waiting: deque[Record] = deque()
        self._missing = 0  # since the last batch
        self.lost = 0  # since the process began
        self._one = threading.Lock()

    @property
    def waiting(self) -> int:
        """Return how many are not in the ledger yet."""
        return len(self._waiting)

    def add(self, record: Record) -> None:
        """Keep a record; where there is no room it is lost, and that is counted."""
        with self._one:
            if len(self._waiting) >= self._most:
                self._missing += 1
                self.lost += 1
            else:
                self._waiting.append(record)

    def write(self) -> int:
        """Write what waits; return how many rows that were. What the ledger does not take stays for the next time."""
        written = 0
        while True:
            with self._one:
                taken = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                missing, self._missing = self._missing, 0
            if not taken and not missing:
                return written
            try:
                written += self._store(_together(taken), missing)
            except LedgerError as error:
                self._give_back(taken, missing)
                _log.warning("answers to schedulers are not in the ledger yet: %s", error)
                return written

    def _store(self, rows: list[Record], missing: int) -> int:
        acts = [_act(row) for row in rows if row.result != "allow"]
        if missing:
            acts.append(Act(LOST, "collector", "answers to schedulers", {"count": missing}))
        kept = [{name: value for name, value in row._asdict().items() if name != "series"} for row in rows]
        with self._ledger.transaction() as session:
            if kept:
                session.execute(
                    "admission_insert", tables={"new_admissions": pa.Table.from_pylist(kept, schema=_SCHEMA)}
                )
            append(session, self._ledger.now_us(), acts)
        return len(rows)

    def _give_back(self, taken: list[Record], missing: int) -> None:
        with self._one:
            room = max(0, self._most - len(self._waiting))
            self._waiting.extendleft(reversed(taken[:room]))
            self._missing += missing + len(taken[room:])
            self.lost += len(taken[room:])


def _together(records: Iterable[Record]) -> list[Record]:
    """Return like records as one, at the instant of the first: a controller asks again and again."""
    found: dict[tuple[object, ...], Record] = {}
    for each in records:
        first = found.get(each.like)
        found[each.like] = each if first is None else first._replace(times=first.times + each.times)
    return list(found.values())


def _act(row: Record) -> Act:
    """Return the audit event of an answer that was not to let work start."""
    place = f"{row.namespace}/{row.name}" if row.namespace else row.name
    return Act(
        f"admission.{row.result}",
        row.user_name or row.source,
        f"{row.kind} {place}".strip(),
        {
            "answered": row.answered,
            "mode": row.mode,
            "owner": row.owner,
            "parts": row.parts,
            "reasons": row.reasons,
            "rule": row.rule,
            "source": row.source,
            "times": row.times,
            "uid": row.uid,
        },
    )
