"""`import jobs`: a scheduler's log into a new ledger, once however often it is imported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuledger.cli.main import main

LOG = """\
JobID|User|Account|Partition|State|Submit|Start|End|AllocTRES
1|ada|vision|gpu|COMPLETED|2026-03-01T00:00:00|2026-03-01T01:00:00|2026-03-01T03:00:00|cpu=4,gres/gpu=2
1.0|ada|vision|gpu|COMPLETED|2026-03-01T00:00:00|2026-03-01T01:00:00|2026-03-01T03:00:00|cpu=4,gres/gpu=2
2|bo|speech|gpu|COMPLETED|2026-03-01T00:00:00|2026-03-01T02:00:00|2026-03-01T02:30:00|cpu=4,gres/gpu=1
broken line
"""


def run_import(log: Path, ledger: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert main(["import", "jobs", str(log), "--source", "sacct", "--ledger", str(ledger), "--format", "json"]) == 0
    answer: dict[str, object] = json.loads(capsys.readouterr().out)
    return answer


def test_jobs_are_booked_once_and_broken_lines_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two jobs of two and one GPU give 4.5 GPU-hours; steps do not count twice; a second import books nothing."""
    log = tmp_path / "jobs.txt"
    log.write_text(LOG)
    ledger = tmp_path / "ledger"
    first = run_import(log, ledger, capsys)
    assert (first["new"], first["gpu_seconds"]) == (2, 4.5 * 3600)
    assert first["problem_count"] == 1
    second = run_import(log, ledger, capsys)
    assert (second["new"], second["unchanged"], second["gpu_seconds"]) == (0, 2, 0)


def test_the_table_shows_teams_and_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees GPU-hours by team, the total, and which line could not be read."""
    log = tmp_path / "jobs.txt"
    log.write_text(LOG)
    where = ["--ledger", str(tmp_path / "ledger"), "--format", "table"]
    assert main(["import", "jobs", str(log), "--source", "sacct", *where]) == 0
    out = capsys.readouterr().out
    assert "2 jobs: 2 new" in out
    assert "4.5" in out
    assert "line 5" in out


def test_a_book_file_that_is_not_there_makes_no_ledger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A typing mistake leaves no empty ledger behind."""
    assert main(["price", "import", str(tmp_path / "none.toml"), "--ledger", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
