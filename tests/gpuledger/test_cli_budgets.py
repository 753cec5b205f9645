"""`gpuledger budget`: a book goes in, is tried, shown and evaluated, and reads in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuledger.cli.main import main
from tests.collector.test_collector_governance_budgets import EXAMPLE, Site, book


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    site = Site(tmp_path / "ledger")
    site.hold(1, 1, 0, 4)
    site.ledger.close()
    return tmp_path / "ledger"


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert main(["budget", *words]) == 0
    return capsys.readouterr().out


def test_a_book_from_its_file_to_the_notices(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A dry run keeps nothing; each table says what a reader has to know."""
    path, where = tmp_path / "budgets.toml", ("--ledger", str(ledger))
    path.write_bytes(book(("acme/ml", "8"), period="2026-01-01..2027-01-01"))
    tried = run(capsys, "import", str(path), "--dry-run", *where, "--format", "table")
    assert "Nothing was stored." in tried
    assert "At once: acme/ml, 2026-01-01..2027-01-01: block at 120 % of actual" in tried
    assert "Nobody has a budget yet" in run(capsys, "status", *where, "--format", "table")
    assert "1 budgets" in run(capsys, "import", str(path), *where, "--format", "table")
    [row] = json.loads(run(capsys, "status", *where, "--format", "json"))["rows"]
    assert (row["spent"], row["percent"], row["action"]) == ("10.00", "125.0", "block")
    status = run(capsys, "status", *where, "--format", "table")
    assert "125.0 %" in status
    assert len(json.loads(run(capsys, "evaluate", *where, "--format", "json"))["rows"]) == 4
    assert "No stage was reached" in run(capsys, "evaluate", *where, "--format", "table")
    assert "ann" in run(capsys, "notices", *where, "--format", "table")
    assert "hold at 100 % of actual" in run(capsys, "list", *where, "--format", "table")


def test_the_example_can_be_imported(ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands in the documentation."""
    found = json.loads(run(capsys, "import", str(EXAMPLE), "--ledger", str(ledger), "--format", "json"))
    assert (found["version"], found["entries"]) == (1, 4)
