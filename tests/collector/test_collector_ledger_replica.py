"""Replicas: a copy beside a ledger that goes on being written, one at a time, and nothing of it stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector.ledger.replica import PREFIX, SCRIPT, known_at, replica
from collector.ledger.store import Ledger
from gpuledger.errors import LedgerError
from tests.collector.ask import ask, contents
from tests.collector.batches import minutes
from tests.collector.fleet import NOW_US, open_ledger


def copies(ledger: Ledger) -> list[Path]:
    return list(ledger.directory.glob(f"{PREFIX}*"))


def test_a_replica_of_all_that_is_known_is_the_same_ledger(tmp_path: Path) -> None:
    """Roll-up, lives and first sights are made again and come out as batch after batch had made them."""
    with open_ledger(tmp_path) as ledger:
        for sequence in range(4):
            assert ledger.ingest([minutes(sequence, length=25)])[0].taken
        expected = contents(ledger)
        with replica(ledger, known_at(ledger, NOW_US)) as found:
            assert contents(found) | {"dirty": []} == expected | {"dirty": []}
            assert found.ingest([minutes(4, length=25)])[0].taken, "it is a ledger of its own"
        assert contents(ledger) == expected
        assert not copies(ledger)


def test_a_ledger_is_written_while_it_is_copied(tmp_path: Path) -> None:
    """What is not committed when the copy begins is not in it, and is committed nevertheless."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([minutes(0)])
        with ledger.transaction() as session:
            session.script("DELETE FROM usage", label="in the middle of a transaction")
            ledger.copy_to(tmp_path / "copy.duckdb")
        assert ask(ledger, "SELECT count(*) FROM usage") == [(0,)]
        assert ledger.ingest([minutes(1)])[0].taken
        (tmp_path / "other").mkdir()
        (tmp_path / "copy.duckdb").rename(tmp_path / "other" / "ledger.duckdb")
        with open_ledger(tmp_path / "other") as copy:
            assert ask(copy, "SELECT count(*) FROM usage") == [(10,)]


def test_one_replica_at_a_time(tmp_path: Path) -> None:
    """The second is refused, as each takes the ledger's disk again; afterwards there may be another."""
    with open_ledger(tmp_path) as ledger:
        known = known_at(ledger, NOW_US)
        with replica(ledger, known), pytest.raises(LedgerError, match="in use already"), replica(ledger, known):
            pass
        with replica(ledger, known):
            assert len(copies(ledger)) == 1


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    """A copy as large as the ledger does not lie there for ever."""
    with open_ledger(tmp_path) as ledger:
        (tmp_path / f"{PREFIX}left").mkdir()
        (tmp_path / f"{PREFIX}left" / "ledger.duckdb").write_bytes(b"x")
        with replica(ledger, known_at(ledger, NOW_US)):
            pass
        assert not copies(ledger)


# What names something that facts and bills refer to, and what nothing on a bill follows from.
KEPT = {"evidence", "holders", "imported_jobs", "migrations", "owners", "probe", "reasons"}


def test_every_table_is_forgotten_or_kept_on_purpose(tmp_path: Path) -> None:
    """A new table with inputs of its own needs its line in the script, or a replica knows too much."""
    with open_ledger(tmp_path) as ledger:
        tables = {name for (name,) in ask(ledger, "SELECT table_name FROM duckdb_tables() WHERE NOT temporary")}
    forgotten = set(re.findall(r"DELETE FROM (\w+)", SCRIPT.read_text("utf-8")))
    assert tables == forgotten | KEPT
    assert not forgotten & KEPT
