"""A collector that verifies its own log: what it says where the log holds, was edited, was cut, or was put back."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry, generate_latest

from collector.api.metrics import LogCollector
from collector.audit.heads import make_checkpoint
from collector.audit.log import record
from collector.audit.watching import LogState, LogWatch
from collector.ledger.store import Ledger
from gpuledger.clock import VirtualClock
from tests.collector.batches import START_US

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OLD_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
EVENTS = 600  # more than are read without a rest


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Leave a ledger whose log two keys have signed, one after the other."""
    with opened(tmp_path) as ledger:
        with ledger.transaction() as session:
            for number in range(EVENTS):
                record(session, START_US, "adjustment.add", f"adjustment {number}", {"amount": "12.50"})
        for key in (OLD_KEY, KEY):
            make_checkpoint(ledger, "gpuledger", key, tmp_path / "elsewhere")
    return tmp_path


def opened(folder: Path) -> Ledger:
    """Open its ledger."""
    return Ledger.open(folder / "ledger", clock=VirtualClock(START_US))


def looked(folder: Path, key: Ed25519PrivateKey | None = KEY) -> LogState:
    """Return what a collector finds that starts on it."""
    with opened(folder) as ledger:
        watch = LogWatch(ledger, key, folder / "elsewhere")
        watch.look()
        return watch.state


def damage(folder: Path, statement: str) -> None:
    """Write to the database file past the collector."""
    with duckdb.connect(str(folder / "ledger" / "ledger.duckdb")) as database:
        database.execute(statement)


def families(state: LogState) -> Iterator[str]:
    """Yield the lines that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(LogCollector(state))
    yield from generate_latest(registry).decode().splitlines()


def test_a_log_that_holds_is_said_to_with_its_size(folder: Path) -> None:
    """Checkpoints of a key before this one are left to those who have its public key."""
    state = looked(folder)
    assert state == LogState(START_US, holds=True, events=EVENTS + 2)
    assert "gpuledger_audit_log_verified 1.0" in families(state)
    assert looked(folder, key=None) == state


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_events SET entry = replace(entry, '12.50', '92.50') WHERE sequence = 7",
        "DELETE FROM audit_events WHERE sequence = 7",
        "DELETE FROM audit_events WHERE sequence > 590",
    ],
)
def test_a_log_that_was_written_to_past_the_collector_does_not_hold(folder: Path, statement: str) -> None:
    """Edited, thinned or cut."""
    damage(folder, statement)
    state = looked(folder)
    assert not state.holds
    assert "gpuledger_audit_log_verified 0.0" in families(state)


def test_a_ledger_that_was_put_back_is_older_than_the_second_place_knows(folder: Path) -> None:
    """All of it holds by itself: only the checkpoint elsewhere saw more."""
    shutil.copytree(folder / "ledger", folder / "backup")
    with opened(folder) as ledger:
        with ledger.transaction() as session:
            record(session, START_US, "adjustment.add", "the last", {"amount": "1.00"})
        make_checkpoint(ledger, "gpuledger", KEY, folder / "elsewhere")
    shutil.rmtree(folder / "ledger")
    (folder / "backup").rename(folder / "ledger")
    assert not looked(folder).holds


def test_a_checkpoint_that_somebody_changed_does_not_hold(folder: Path) -> None:
    """It still names the key, and that did not sign it."""
    newest = max((folder / "elsewhere").iterdir())
    newest.write_text(newest.read_text("utf-8").replace(f"\n{EVENTS + 2}\n", "\n5\n"), "utf-8")
    assert not looked(folder).holds


def test_before_the_first_time_nothing_is_said() -> None:
    """No figure, rather than one that stands for nothing."""
    assert list(families(LogState())) == []
