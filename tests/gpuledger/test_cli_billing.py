"""`period` and `invoice`: a month is closed from the command line, and its invoices are read there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.queries.facts import charges
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

PERIOD = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a ledger with one hour of one held GPU."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, "pod:uid-1/c"))])
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.495"\n')
        owners(ledger, '[[owner]]\nteam = "vision"\nproject = "captions"\nmatch.namespace = "*"\n')
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_a_period_is_closed_and_its_invoice_read(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is listed as closing, closed by whom one says, and the invoice is a table with its exact amount below."""
    where = ("--ledger", str(folder))
    assert "closing" in run(capsys, "period", "list", *where, "--format", "table")
    said = run(capsys, "period", "close", PERIOD, "--by", "ann", *where, "--format", "table")
    assert "is closed: 1 charges, 0 corrections, 0 adjustments." in said
    assert "1 invoices come to €2.50" in said
    assert ", ann" in run(capsys, "period", "list", *where, "--format", "table")
    listed = json.loads(run(capsys, "invoice", "list", *where, "--format", "json"))["rows"]
    assert [(row["number"], row["team"], row["payable"]) for row in listed] == [(1, "vision", "2.50")]
    shown = run(capsys, "invoice", "show", "1", *where, "--format", "table")
    assert "Invoice 1 to Vision" in shown
    assert "captions" in shown
    assert "Exact amount: 2.495 EUR" in shown
    assert "Vision" in run(capsys, "invoice", "list", *where, "--format", "table")


def test_an_invoice_is_printed_as_a_page(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The page goes to a file, or to standard output."""
    where = ("--ledger", str(folder))
    run(capsys, "period", "close", PERIOD, "--by", "ann", *where)
    assert "<h1>Invoice 1</h1>" in run(capsys, "invoice", "print", "1", *where)
    assert run(capsys, "invoice", "print", "1", "--output", str(folder / "one.html"), *where) == ""
    assert "Captions" in (folder / "one.html").read_text()


def test_a_charge_is_explained(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The name in the charges leads to the steps from usage records to money."""
    with open_ledger(folder) as ledger:
        rate_dirty(ledger)
        [charge] = charges(ledger, parse_period(PERIOD)).rows
    shown = run(capsys, "explain", charge.charge, "--ledger", str(folder), "--format", "table")
    assert "cost 2.495 EUR" in shown
    assert "1. pod:uid-1/c had GPU-0001 active" in shown
    assert "provisional" in shown


def test_closing_twice_is_a_failure_that_says_since_when(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second attempt changes nothing and says what happens to what is learned later."""
    assert main(["period", "close", PERIOD, "--by", "ann", "--ledger", str(folder)]) == 0
    capsys.readouterr()
    assert main(["period", "close", PERIOD, "--by", "ben", "--ledger", str(folder)]) == 1
    error, hint = capsys.readouterr().err.strip().splitlines()
    assert "is closed since" in error
    assert "corrected on the next one" in hint


def test_an_invoice_that_is_none(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number that is no number is bad usage."""
    assert main(["invoice", "show", "x", "--ledger", str(folder)]) == 2
    assert "hint:" in capsys.readouterr().err
