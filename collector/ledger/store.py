"""The ledger: one folder, one writer, batches in and rows out."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Self

import pyarrow as pa

from collector.ledger import intake, migrate
from collector.ledger.calendar import Calendar, CalendarChange, apply_change, stored_calendar
from collector.ledger.database import FILE, DirectoryLock, Parameters, Session, Tables, connect
from collector.ledger.intake import BatchResult, Intake
from collector.ledger.posting import Posting, identities
from collector.ledger.quarantine import DEFAULT_LIMITS, QuarantineLimits
from collector.ledger.stages import staged
from collector.ledger.state import State
from gpuledger.clock import Clock, WallClock
from gpuledger.errors import LedgerError
from gpuledger.wire import BatchId

Limit = Callable[[Session, Session], None]  # prepares a session, given one that sees everything


class LedgerOptions(NamedTuple):
    """How an open ledger behaves."""

    threads: int = 2  # of the database
    quarantine: QuarantineLimits = DEFAULT_LIMITS
    calendar: CalendarChange = CalendarChange()


class Ledger:
    """What a folder holds of one ledger. Made by `open`; safe to use from several threads."""

    def __init__(
        self,
        directory: Path,
        writer: Session,
        lock: DirectoryLock,
        clock: Clock,
        options: LedgerOptions,
        *,
        read_only: bool,
    ) -> None:
        self.directory = directory
        self.read_only = read_only
        self._writer = writer
        self._lock = lock
        self._clock = clock
        self._options = options
        self.commits = 0  # of batches, since it was opened
        self._writing = threading.RLock()
        self._opening = threading.Lock()
        self._state: State | None = None
        self._calendar = Calendar()
        self._limit: Limit | None = None

    @classmethod
    def open(
        cls,
        directory: Path,
        *,
        read_only: bool = False,
        clock: Clock | None = None,
        options: LedgerOptions | None = None,
    ) -> Self:
        """Open the ledger in `directory`, creating and migrating it where needed.

        Raises LedgerError where another process has it, where it was written by a newer version, or where it is not
        there to be read.
        """
        if read_only and not (directory / FILE).is_file():
            raise LedgerError(f"there is no ledger in {directory}", hint="give the folder that holds ledger.duckdb")
        lock = DirectoryLock(directory, shared=read_only)
        clock, options = clock or WallClock(), options or LedgerOptions()
        try:
            writer = connect(directory, read_only=read_only, threads=options.threads)
            ledger = cls(directory, writer, lock, clock, options, read_only=read_only)
            ledger._prepare()
        except BaseException:
            lock.release()
            raise
        return ledger

    def close(self) -> None:
        """Write what is pending into the file and let others in."""
        with self._writing:
            if not self.read_only:
                self._writer.checkpoint()
            self._writer.close()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def execute(self, name: str, params: Parameters | None = None, tables: Tables | None = None) -> pa.Table:
        """Return the rows of `statements/<name>.sql`, read beside the writer."""
        with self.snapshot() as session:
            return session.execute(name, params, tables)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        """Give a session whose statements all see the ledger as it was at the first of them."""
        with self._opening:
            session = self._writer.another()
        try:
            with session.transaction():
                if self._limit:
                    with self._whole() as whole:
                        self._limit(session, whole)
                        yield session
                else:
                    yield session
        finally:
            session.close()

    def limited(self, limit: Limit) -> Self:
        """Return this ledger as somebody sees it: `limit` prepares each session that reads. It is not to be written."""
        seen = copy.copy(self)
        seen.read_only = True
        seen._limit = limit  # noqa: SLF001 - of this class
        return seen

    @contextmanager
    def _whole(self) -> Iterator[Session]:
        """Give a session that sees everything, beside one that does not."""
        with self._opening:
            session = self._writer.another()
        try:
            with session.transaction():
                yield session
        finally:
            session.close()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give the writer's session: commit at the end, roll back where an exception passes."""
        if self.read_only:
            raise LedgerError(f"the ledger in {self.directory} is open for reading only")
        with self._writing, self._writer.transaction() as session:
            yield session

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other writers out while a decision that rests on the ledger's contents is made and stored."""
        with self._writing:
            yield

    @property
    def calendar(self) -> Calendar:
        """Return by which days it is billed."""
        return self._calendar

    def change_calendar(self, change: CalendarChange) -> None:
        """Keep a new billing calendar. Raises ConfigError where it is none that charges by the hour can follow."""
        with self.transaction() as session:
            self._calendar = apply_change(session, change, self.now_us())

    def now_us(self) -> int:
        """Return the collector's clock: nothing that it books lies after it."""
        return self._clock.now_us()

    def read(self, frame: bytes) -> Intake:
        """Decode and check one frame, without touching the ledger: for any thread."""
        return intake.read(frame, self._clock.now_us())

    def ingest(self, frames: Sequence[bytes]) -> list[BatchResult]:
        """Store the frames in one transaction and return what became of each, once it is durable."""
        return self.store([self.read(frame) for frame in frames])

    def store(self, intakes: Sequence[Intake], *, also: Callable[[Session], None] | None = None) -> list[BatchResult]:
        """Store frames that were read before; all of them, or (with a LedgerError) none.

        `also` writes more in the same transaction: what has to be true exactly when the frames are stored.
        """
        with self._writing:
            state = self._state or self._load_state()
            try:
                posting = Posting(state, self._stored_digests(intakes, state), self.now_us(), self._options.quarantine)
                results = [posting.add(each) for each in intakes]
                if also or not posting.empty:
                    with self.transaction() as session:
                        posting.write(session)
                        if also:
                            also(session)
                    self.commits += 1
            except BaseException:
                self._state = None  # it ran ahead of the database: read it again before the next batch
                raise
            return results

    def copy_to(self, path: Path) -> None:
        """Write the whole ledger, as it is now, into a new database file; nobody waits for that."""
        with self._opening:
            session = self._writer.another()
        try:
            session.copy_to(path)
        finally:
            session.close()

    def probe(self) -> None:
        """Raise LedgerError where a transaction would not commit."""
        with self._writing, self._writer.transaction() as session:
            session.execute("update_probe", {"at_us": self.now_us()})

    def checkpoint(self) -> None:
        """Fold the log of changes into the file; stops commits meanwhile, so call it when idle."""
        with self._writing:
            self._writer.checkpoint()

    def _prepare(self) -> None:
        steps = migrate.load()
        if not self.read_only:
            migrate.migrate(self._writer, steps, self._clock.now_us())
            self._load_state()
            self.change_calendar(self._options.calendar)
            return
        if migrate.pending(self._writer, steps):
            raise LedgerError(
                f"the ledger in {self.directory} was made by an older version",
                hint="open it once for writing (gpuledger collector) to bring it up to date",
            )
        self._calendar = stored_calendar(self._writer)

    def _load_state(self) -> State:
        self._state = State(self._writer)
        return self._state

    def _stored_digests(self, intakes: Sequence[Intake], state: State) -> dict[BatchId, bytes]:
        rows = identities(intakes, state)
        if not rows:
            return {}
        found = self._writer.execute(
            "select_digests", tables={"incoming_identities": staged("incoming_identities", rows)}
        )
        return {BatchId(row["agent"], row["boot"], row["sequence"]): row["digest"] for row in found.to_pylist()}
