"""SQL by name: `statements/<name>.sql` holds one statement, and nothing else builds SQL."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from gpuledger.errors import LedgerError

STATEMENTS: Final = Path(__file__).parent / "statements"


@cache
def statement(name: str) -> str:
    """Return the SQL of one statement. Raises LedgerError where there is none of that name."""
    path = STATEMENTS / f"{name}.sql"
    if not path.is_file():
        raise LedgerError(f"there is no statement {name!r}", hint=f"write {path}")
    return path.read_text(encoding="utf-8")


def names() -> list[str]:
    """Return the names of all statements."""
    return sorted(path.stem for path in STATEMENTS.glob("*.sql"))
