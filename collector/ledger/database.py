"""The DuckDB file of a ledger: how it is opened, locked against a second process, and asked."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal, Protocol, Self

import duckdb
import pyarrow as pa

from collector.ledger.statements import statement
from gpuledger.errors import LedgerError, Terminal

FILE: Final = "ledger.duckdb"
LOCK: Final = "ledger.lock"
SUM_HINT: Final = (
    "a sum is over the most that the ledger counts to (of money: 9,223,372,036 of its currency); are the prices right, "
    "and is the period a month?"
)
DISK_HINT: Final = (
    "see the space on the ledger's disk and the collector's log; a damaged file has to come back from a copy"
)
Tables = Mapping[str, pa.Table]
Parameters = Mapping[str, Any]
Target = Literal["charges", "restated_charges"]  # tables that one query fills, each for its own hours

_SETTINGS: Final[dict[str, str | int | float | list[str]]] = {
    "wal_autocheckpoint": "1GB",  # a checkpoint stops commits: seldom, and at close
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a statement never reads a Python variable by accident
    # a LEFT JOIN turned into a RIGHT JOIN under another join's build side ends DuckDB 2.0.0 with an internal error
    # ("dict-surviving join ... not single-source", kin of duckdb#24807) that invalidates the whole database
    "disabled_optimizers": "build_side_probe_side",
}


class UnfitError(LedgerError, Terminal):
    """Values that the ledger's columns cannot hold: the same statement will fail again."""


class Seen(Protocol):
    """What a session sees that does not see everything."""

    def owner(self, organisation: str, department: str, team: str) -> bool:
        """Tell whether an owner's rows are seen."""
        ...

    def told(self, words: str) -> str:
        """Return a text, or what stands in its place where it names owners who are not seen."""
        ...


class DirectoryLock:
    """One writer per ledger, or several readers, across processes; the kernel drops it when its process dies."""

    def __init__(self, directory: Path, *, shared: bool) -> None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise LedgerError(
                f"{directory} cannot hold a ledger: {error.strerror}", hint="name a folder that this user may write"
            ) from error
        try:
            fcntl.flock(self._descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise LedgerError(
                f"the ledger in {directory} is in use by process {holder}",
                hint="ask the collector that has it open: use --url instead of --ledger",
            ) from error
        if not shared:
            os.truncate(self._descriptor, 0)
            os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others in."""
        os.close(self._descriptor)


class Session:
    """A connection that runs statements by name: inside a transaction, or on its own."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self.whole = self  # a session that sees everything: another one where this one is limited,
        self.seen: Seen | None = None  # to this
        self.remembered: dict[str, Any] = {}  # what this session has read or written, forgotten where a write fails

    def execute(self, name: str, params: Parameters | None = None, tables: Tables | None = None) -> pa.Table:
        """Run `statements/<name>.sql` with `$named` parameters and Arrow tables to read by name; return its rows.

        A statement that changes something returns one row, `count`. Raises LedgerError with the statement's name and
        the database's words.
        """
        sql = statement(name)
        run = self._rows if is_query(sql) else self._count
        with self._naming(f"statement {name}", hint=DISK_HINT), self._staged(tables or {}):
            return run(sql, dict(params) if params else None)

    def insert(self, target: Target, name: str, params: Parameters | None = None, tables: Tables | None = None) -> int:
        """Insert the rows of the query `statements/<name>.sql` into a table; return how many there were."""
        sql = f"INSERT INTO {target} BY NAME\n{statement(name)}"
        with self._naming(f"statement {name} into {target}", hint=DISK_HINT), self._staged(tables or {}):
            return int(self._count(sql, dict(params) if params else None).column(0)[0].as_py())

    def script(self, sql: str, *, label: str) -> None:
        """Run the statements of one of the project's own files."""
        with self._naming(label):
            self._connection.execute(sql)

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Commit at the end, or roll everything back where an exception passes."""
        self._call("BEGIN TRANSACTION")
        try:
            yield self
        except BaseException as error:
            self.remembered.clear()
            self._roll_back(error)
            raise
        try:
            self._call("COMMIT")
        except BaseException:
            self.remembered.clear()
            raise

    def close(self) -> None:
        """Close this connection; the database stays open for the others."""
        self._connection.close()

    def another(self) -> Session:
        """Return a second connection to the same database."""
        return Session(self._connection.cursor())

    def copy_to(self, path: Path) -> None:
        """Write the whole database, as it is now, into a new file."""
        quoted = str(path).replace("'", "''")
        self._call(f"ATTACH '{quoted}' AS replica")
        try:
            with self.transaction(), self._naming("copy of the ledger", hint=DISK_HINT):
                [[name]] = self._connection.execute("SELECT current_database()").fetchall()
                self._connection.execute(f'COPY FROM DATABASE "{name}" TO replica')
        finally:
            self._call("DETACH replica")

    def checkpoint(self) -> None:
        """Write the log of changes into the database file."""
        self._call("CHECKPOINT")

    def _rows(self, sql: str, params: dict[str, Any] | None) -> pa.Table:
        return self._connection.sql(sql, params=params).to_arrow_table()

    def _count(self, sql: str, params: dict[str, Any] | None) -> pa.Table:
        return pa.table({"count": [row[0] for row in self._connection.execute(sql, params).fetchall()]})

    @contextmanager
    def _staged(self, tables: Tables) -> Iterator[None]:
        try:
            for name, rows in tables.items():
                self._connection.register(name, rows)
            yield
        finally:
            for name in tables:
                with suppress(duckdb.TransactionException):  # a statement that failed has given the transaction up
                    self._connection.unregister(name)

    @contextmanager
    def _naming(self, label: str, hint: str = "") -> Iterator[None]:
        try:
            yield
        except duckdb.DataError as error:
            raise UnfitError(f"{label}: {error}", hint=SUM_HINT if "INT64" in str(error) else "") from error
        except duckdb.Error as error:
            raise LedgerError(f"{label}: {error}", hint=hint) from error

    def _roll_back(self, cause: BaseException) -> None:
        try:
            self._call("ROLLBACK")
        except LedgerError as error:  # the database gave the transaction up by itself; the cause is what matters
            cause.add_note(str(error))

    def _call(self, sql: str) -> None:
        with self._naming(sql.lower(), hint=DISK_HINT):
            self._connection.execute(sql)


@cache
def is_query(sql: str) -> bool:
    """Return whether a statement only reads. Raises LedgerError where there is not exactly one."""
    found = duckdb.extract_statements(sql)
    if len(found) != 1:
        raise LedgerError(f"a statement file holds one statement, this one {len(found)}: {sql[:80]}")
    return found[0].type == duckdb.StatementType.SELECT


def connect(directory: Path, *, read_only: bool, threads: int) -> Session:
    """Open the ledger's file. Raises LedgerError where another process holds it or it is not a ledger."""
    try:
        return Session(
            duckdb.connect(str(directory / FILE), read_only=read_only, config={**_SETTINGS, "threads": threads})
        )
    except duckdb.Error as error:
        busy = "Could not set lock" in str(error)
        raise LedgerError(
            f"cannot open {directory / FILE}: {error}",
            hint="ask the collector that has it open: use --url instead of --ledger"
            if busy
            else "is this the folder of a ledger, and may this user write it?",
        ) from error
