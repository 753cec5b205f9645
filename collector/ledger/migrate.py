"""Forward-only migrations: each file is applied once, in order, and may never change afterwards."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final, NamedTuple

from collector.ledger.database import Session
from gpuledger.errors import LedgerError

MIGRATIONS: Final = Path(__file__).parent / "migrations"


class Migration(NamedTuple):
    """One step of the schema: `NNNN_name.sql`."""

    number: int
    name: str
    sql: str

    @property
    def digest(self) -> str:
        """Return the SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def load(directory: Path = MIGRATIONS) -> list[Migration]:
    """Return the migrations of a folder in order. Raises LedgerError where numbers are not 1, 2, 3, ..."""
    found = []
    for path in sorted(directory.glob("*.sql")):
        number, _, name = path.stem.partition("_")
        found.append(Migration(int(number), name, path.read_text(encoding="utf-8")))
    if [step.number for step in found] != list(range(1, len(found) + 1)):
        raise LedgerError(f"migrations in {directory} are not numbered 0001, 0002, ... without a gap")
    return found


def migrate(session: Session, steps: list[Migration], now_us: int) -> list[Migration]:
    """Apply what is missing, each step in its own transaction; return what was applied."""
    session.execute("create_migrations")
    applied = pending(session, steps)
    for step in applied:
        with session.transaction():
            session.script(step.sql, label=f"migration {step.number:04d}_{step.name}")
            session.execute(
                "insert_migration",
                {"number": step.number, "name": step.name, "digest": step.digest, "applied_us": now_us},
            )
    return applied


def pending(session: Session, steps: list[Migration]) -> list[Migration]:
    """Return the steps that the ledger has not seen. Raises LedgerError on a changed or a newer one."""
    known = {step.number: step for step in steps}
    recorded: set[int] = set()
    for row in session.execute("select_migrations").to_pylist():
        step = known.get(row["number"])
        label = f"{row['number']:04d}_{row['name']}"
        if step is None:
            raise LedgerError(
                f"the ledger has migration {label}, which this version does not know",
                hint="it was written by a newer gpuledger: upgrade this one, or restore a copy from before",
            )
        if step.digest != row["digest"]:
            raise LedgerError(
                f"migration {label} is not the one that made this ledger",
                hint="a migration never changes once released: install the released package again",
            )
        recorded.add(step.number)
    return [step for step in steps if step.number not in recorded]
