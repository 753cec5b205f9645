"""`price contracts` and `price list` at a terminal: what was committed and short, and whom a price is for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.cli.main import main
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, prices

PERIOD = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"
BOOK = f"""
currency = "EUR"
[[price]]
model = "*"
rate = "3"
from = {iso(START_US + US_PER_SECOND)}
[[price]]
model = "*"
contract = "lease-a"
team = "vision"
rate = "2"
[[contract]]
name = "lease-a"
cluster = "c1"
gpus = 3
rate = "1.90"
from = {iso(START_US)}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a ledger of one GPU under a contract over three."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR))])
        prices(ledger, BOOK)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_contracts_of_a_period_are_shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line a contract, and as JSON every figure of it."""
    where = ("price", "contracts", "--ledger", str(folder), "--period", PERIOD, "--format")
    shown = run(capsys, *where, "table")
    assert all(word in shown for word in ("lease-a", "5.70", "3.80"))
    [row] = json.loads(run(capsys, *where, "json"))["rows"]
    assert (row["committed_gpu_hours"], row["covered_gpu_hours"], row["short_gpu_hours"]) == (3.0, 1.0, 2.0)


def test_the_listed_book_says_whom_a_price_is_for_and_to_the_second_since_when(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A column for what any entry names, and none for a pool that no entry names."""
    shown = run(capsys, "price", "list", "--ledger", str(folder), "--format", "table")
    assert "contract" in shown
    assert "vision" in shown
    assert "Pool" not in shown
    assert iso(START_US + US_PER_SECOND)[11:19] in shown
