"""Opening a ledger: one process at a time, migrations forward only, and nothing acknowledged is ever lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from collector import cut_usage, rated_prices, rating
from collector.audit import log
from collector.enforcement import records
from collector.ledger import migrate, scope
from collector.ledger.database import connect
from collector.ledger.migrate import Migration
from collector.ledger.scope import limit
from collector.ledger.stages import STAGES
from collector.ledger.statements import names, statement
from collector.ledger.store import Ledger
from collector.periods import adjusting, closing, late_prices, lending, manual, question
from collector.policies import adjusters
from collector.policies import stored as policies
from collector.pricing import carbon, shares, stored, stored_contracts
from collector.queries import advice, checks, drift, owner_moves
from collector.queries.timeline import STEPS
from collector.queries.waste import GROUPS
from collector.queries.week import WEEK_STEPS
from collector.queries.workloads import SHOWN
from gpuledger.errors import LedgerError
from tests.collector.ask import RAW_HOURLY, ask, contents
from tests.collector.batches import minutes

REPOSITORY = Path(__file__).parents[2]


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a second process over the same code."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("read_only", [False, True])
def test_a_second_process_is_told_who_has_the_ledger(tmp_path: Path, *, read_only: bool) -> None:
    """Another process, even one that only reads, gets a LedgerError with the holder's number and the way out."""
    code = """if True:
        import sys
        from pathlib import Path
        from collector.ledger.store import Ledger
        from gpuledger.errors import LedgerError
        try:
            Ledger.open(Path(sys.argv[1]), read_only=sys.argv[2] == "True")
        except LedgerError as error:
            print(error)
    """
    with Ledger.open(tmp_path):
        said, failed = python(code, tmp_path, read_only).communicate(timeout=60)
    assert f"is in use by process {os.getpid()}" in said, failed
    assert "--url" in said


def test_a_second_ledger_in_the_same_process_is_refused(tmp_path: Path) -> None:
    """Two writers never share a folder, not even in one process; once closed it opens again."""
    with Ledger.open(tmp_path), pytest.raises(LedgerError, match="in use"):
        Ledger.open(tmp_path)
    Ledger.open(tmp_path).close()


def test_readers_share_a_ledger_that_nobody_writes(tmp_path: Path) -> None:
    """Read-only ledgers answer side by side, and refuse to write."""
    with Ledger.open(tmp_path) as ledger:
        ledger.ingest([minutes(0)])
    with Ledger.open(tmp_path, read_only=True) as one, Ledger.open(tmp_path, read_only=True) as other:
        assert one.execute("select_devices") == other.execute("select_devices")
        with pytest.raises(LedgerError, match="reading only"):
            one.ingest([minutes(1)])


def test_a_folder_without_a_ledger_is_not_made_by_reading(tmp_path: Path) -> None:
    """Reading where nothing is says so, with the next step."""
    with pytest.raises(LedgerError, match="no ledger in") as caught:
        Ledger.open(tmp_path / "nothing", read_only=True)
    assert caught.value.hint
    assert not (tmp_path / "nothing").exists()


def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path) -> None:
    """Something else under the ledger's name is left alone, and the lock with it is free again."""
    (tmp_path / "ledger.duckdb").write_text("not a database at all" * 100)
    for _ in range(2):
        with pytest.raises(LedgerError, match="cannot open"):
            Ledger.open(tmp_path)


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    """What was applied is recorded and not applied again; a new step is."""
    first = Migration(1, "one", "CREATE TABLE one (a INTEGER)")
    second = Migration(2, "two", "ALTER TABLE one ADD COLUMN b INTEGER")
    session = connect(tmp_path, read_only=False, threads=1)
    assert migrate.migrate(session, [first], 5) == [first]
    assert migrate.migrate(session, [first, second], 6) == [second]
    assert migrate.migrate(session, [first, second], 7) == []
    session.close()


def test_a_migration_that_fails_leaves_the_one_before(tmp_path: Path) -> None:
    """A step that breaks in its middle is rolled back whole and not recorded."""
    first = Migration(1, "one", "CREATE TABLE one (a INTEGER)")
    broken = Migration(2, "two", "CREATE TABLE two (a INTEGER); SELECT nonsense")
    session = connect(tmp_path, read_only=False, threads=1)
    with pytest.raises(LedgerError, match="0002_two"):
        migrate.migrate(session, [first, broken], 5)
    assert migrate.migrate(session, [first, Migration(2, "two", "CREATE TABLE two (a INTEGER)")], 6)
    session.close()


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([Migration(1, "one", "CREATE TABLE one (a BIGINT)")], "not the one that made this ledger"),
        ([], "does not know"),
    ],
)
def test_a_changed_or_a_newer_migration_is_refused(tmp_path: Path, steps: list[Migration], words: str) -> None:
    """A ledger that another version made is refused, not guessed at."""
    session = connect(tmp_path, read_only=False, threads=1)
    migrate.migrate(session, [Migration(1, "one", "CREATE TABLE one (a INTEGER)")], 5)
    with pytest.raises(LedgerError, match=words) as caught:
        migrate.migrate(session, steps, 6)
    assert caught.value.hint
    session.close()


def test_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    """A folder with a hole in its numbers is refused before anything runs."""
    (tmp_path / "0001_a.sql").touch()
    (tmp_path / "0003_c.sql").touch()
    with pytest.raises(LedgerError, match="without a gap"):
        migrate.load(tmp_path)


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with Ledger.open(tmp_path_factory.mktemp("migrated")) as ledger:
        yield ledger


RATING_STAGES: dict[str, pa.Schema] = {
    "rate_pass": pa.schema([("cluster", pa.string()), ("hour_us", pa.int64())]),
    "rate_prices": rated_prices.PRICE_SCHEMA,
    "rate_payers": rated_prices.PAYER_SCHEMA,
    "rate_segments": rated_prices.SEGMENT_SCHEMA,
    "rate_pieces": cut_usage.PIECE_SCHEMA,
    "new_contracts": stored_contracts.CONTRACT_SCHEMA,
    "rate_owners": rating._OWNER_SCHEMA,
    "new_owners": rating._NEW_OWNER_SCHEMA,
    "new_entries": stored._ENTRY_SCHEMA,
    "new_rules": stored._RULE_SCHEMA,
    "new_memberships": stored._MEMBERSHIP_SCHEMA,
    "new_hours": carbon._SCHEMA,
    "owner_spells": owner_moves._SPELLS,
    "timeline_steps": STEPS,
    "week_steps": WEEK_STEPS,
    "waste_groups": GROUPS,
    "shown_workloads": SHOWN,
    "new_invoices": closing._INVOICES,
    "new_lines": closing._LINES,
    "new_corrections": closing._CORRECTIONS,
    "new_adjustments": adjusting._SCHEMA,
    **checks.STAGES,
    "asked_disputes": question.ASKED,
    "new_manual_lines": manual.LINES,
    "new_late_prices": late_prices.ROWS,
    "new_shares": shares.SHARE_SCHEMA,
    "loan_scopes": lending.SCOPE_SCHEMA,
    "new_events": log._SCHEMA,
    "new_nodes": scope._SCHEMA,
    "new_policies": policies.SCHEMA,
    "new_drift": drift.RESULTS,
    "new_advice": advice.ADVICE,
    "new_advice_results": advice.RESULTS,
    "new_admissions": records._SCHEMA,
    "policy_spells": adjusters.SPELLS,
    "fault_spans": adjusters.SPANS,
}


@pytest.mark.parametrize("name", names())
def test_every_statement_fits_the_schema(migrated: Ledger, name: str) -> None:
    """Each file holds one statement that the database plans against the migrated schema and the staged tables."""
    [parsed] = duckdb.extract_statements(statement(name))
    with migrated.snapshot() as session:
        if name.startswith("scope_"):
            limit(session, [("acme", "", "")], session)
        for stage, schema in {**STAGES, **RATING_STAGES}.items():
            session._connection.register(stage, schema.empty_table())
        plan = session._connection.execute(f"EXPLAIN {statement(name)}", dict.fromkeys(parsed.named_parameters))
        assert plan.fetchall()


WRITER = """if True:
    import sys
    from pathlib import Path
    from collector.ledger.store import Ledger
    from tests.collector.batches import minutes
    with Ledger.open(Path(sys.argv[1])) as ledger:
        for sequence in range(int(sys.argv[2]), 10_000):
            result, = ledger.ingest([minutes(sequence, gpus=4, length=7)])
            print(sequence, int(result.duplicate), flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """A writer killed in the middle of its work loses nothing that it acknowledged, and counts nothing twice."""
    acknowledged = -1
    for round_ in range(5):
        process = python(WRITER, tmp_path, max(0, acknowledged - 2))
        assert process.stdout is not None
        killer = threading.Timer(60, process.kill)
        killer.start()
        for _ in range(6 + 7 * round_):
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            sequence, duplicate = map(int, line.split())
            assert duplicate == (sequence <= acknowledged) or sequence == acknowledged + 1
            acknowledged = max(acknowledged, sequence)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killer.cancel()
        with Ledger.open(tmp_path) as ledger:
            assert ask(ledger, "SELECT min(sequence), count(*), count(DISTINCT sequence) FROM batches")[0][0] == 0
            newest, count = ask(ledger, "SELECT max(sequence), count(*) FROM batches")[0]
            assert count == newest + 1, "each once, none missing"
            assert acknowledged <= newest <= acknowledged + 1, "at most one more than was acknowledged"
            assert ask(ledger, "SELECT count(*) FROM usage") == [(count * 28,)]
            assert contents(ledger)["hourly"] == ask(ledger, RAW_HOURLY)
            acknowledged = newest
