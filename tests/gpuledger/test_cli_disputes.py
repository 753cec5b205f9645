"""`dispute` and `adjustment`: entered, decided and read at the command line, with a ledger in a folder."""

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

FIRST, SECOND = (f"{iso(START_US + n * US_PER_HOUR)}..{iso(START_US + (n + 1) * US_PER_HOUR)}" for n in range(2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a ledger with two hours of a GPU that vision held."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + 2 * US_PER_HOUR, "pod:uid-1/c"))])
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n')
        owners(ledger, '[[owner]]\nteam = "vision"\nproject = "captions"\nmatch.namespace = "*"\n')
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def test_from_a_dispute_to_the_bill(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Opened about a charge, decided by another person, on the next bill; the charge and the invoice say so."""
    where = ("--ledger", str(folder), "--format", "table")
    with open_ledger(folder) as ledger:
        rate_dirty(ledger)
        name = charges(ledger, parse_period(FIRST)).rows[0].charge
    run(capsys, "period", "close", FIRST, "--by", "ann", *where)
    opened = run(capsys, "dispute", "open", name, "--by", "vic", "--why", "a test job", *where)
    assert "2.50 EUR in question" in opened
    assert "rounded once" in opened, "as explain has it"
    how = ("--decision", "upheld", "--why", "it was ops")
    assert "another person decides it" in run(capsys, "dispute", "resolve", "1", *how, "--by", "Vic", *where, code=1)
    decided = run(capsys, "dispute", "resolve", "1", *how, "--by", "bob", *where)
    assert "paid by platform instead" in decided
    assert "the next one has 2.50" in decided
    assert "already" in run(capsys, "dispute", "resolve", "1", *how, "--by", "bob", *where, code=1)
    assert "2 adjustments" in run(capsys, "period", "close", SECOND, "--by", "ann", *where)
    assert "On closed bills: 2.50" in run(capsys, "dispute", "show", "1", *where)
    assert "on a bill" in run(capsys, "dispute", "list", *where)
    assert "! dispute 1 by vic (upheld): a test job" in run(capsys, "explain", name, *where)
    assert "! dispute 1 upheld" in run(capsys, "invoice", "show", "1", *where)
    rows = json.loads(run(capsys, "dispute", "list", "--ledger", str(folder), "--format", "json"))["rows"]
    assert [(row["dispute"], row["state"], row["billed"]) for row in rows] == [(1, "settled", "2.50")]
    assert "dispute" not in run(capsys, "invoice", "print", "1", "--ledger", str(folder)), "an invoice never changes"


def test_an_adjustment_is_entered_listed_and_withdrawn(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The amount, for whom and why is shown; a wrong currency is bad usage."""
    where = ("--ledger", str(folder), "--format", "table")
    entry = ("--owner", "vision", "--amount=-12.50", "--by", "ann", "--why", "agreed in OPS-7")
    assert "EUR" in run(capsys, "adjustment", "add", *entry, "--currency", "USD", *where, code=2)
    assert "-12.50" in run(capsys, "adjustment", "add", *entry, "--currency", "EUR", *where)
    assert "waiting" in run(capsys, "adjustment", "list", "--entered", *where)
    assert "agreed" in run(capsys, "adjustment", "list", "--period", "2026-05", *where)
    assert "withdrawn" in run(capsys, "adjustment", "withdraw", "1", "--by", "bob", "--why", "twice", *where)
    why = ("--by", "ann", "--why", "signed")
    assert "is not closed" in run(capsys, "adjustment", "price", FIRST, *why, *where, code=2)
    run(capsys, "period", "close", FIRST, "--by", "ann", *where)
    assert "waits for a price" in run(capsys, "adjustment", "price", FIRST, *why, *where, code=1)


@pytest.mark.parametrize("number", ["0", "x", "-1", "1.5", "1/2"])
def test_a_number_that_is_none_is_bad_usage(folder: Path, capsys: pytest.CaptureFixture[str], number: str) -> None:
    """It never becomes a part of a path."""
    asked = ("--by", "bob", "--why", "so it is", "--ledger", str(folder), f"{number}" if number != "-1" else "00")
    assert "not the number of a dispute" in run(capsys, "dispute", "withdraw", *asked, code=2)
