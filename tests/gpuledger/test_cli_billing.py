"""`period` and `invoice`: a month is closed from the command line, and its invoices are read there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.queries.facts import charges
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.clock import VirtualClock
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


def test_an_invoice_is_printed_as_pdf(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By the ending of its file, or as --format says; a reprint is the same file; a terminal is no place for one."""
    where = ("--ledger", str(folder))
    run(capsys, "period", "close", PERIOD, "--by", "ann", *where)
    one, other = folder / "one.pdf", folder / "other"
    run(capsys, "invoice", "print", "1", "--output", str(one), *where)
    run(capsys, "invoice", "print", "1", "--output", str(other), "--format", "pdf", *where)
    assert one.read_bytes().startswith(b"%PDF-1.")
    assert one.read_bytes() == other.read_bytes()
    assert main(["invoice", "print", "1", "--format", "pdf", *where]) == 2
    assert "--output FILE.pdf" in capsys.readouterr().err


def test_a_closed_period_is_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is made again is the same; a bill that was changed behind the ledger's back is exit code 3, with the line."""
    where = ("--ledger", str(folder), "--format", "table")
    run(capsys, "period", "close", PERIOD, "--by", "ann", *where)
    assert "the same to the byte" in " ".join(run(capsys, "period", "verify", PERIOD, *where).split())
    with open_ledger(folder) as ledger, ledger.transaction() as session:
        session.script("UPDATE invoice_lines SET payable_cents = 249", label="tampering")
    assert main(["period", "verify", PERIOD, *where]) == 3
    assert "invoice 1, line 1: payable_cents is 249, and comes to 250" in capsys.readouterr().out
    assert main(["period", "verify", "2026-04", *where]) == 2
    assert "2026-04 is not a closed period" in capsys.readouterr().err


def test_the_billing_calendar_is_kept_in_the_ledger(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is set once, and everything that names a month means it."""
    where = ("--ledger", str(folder))
    said = run(
        capsys, "period", "calendar", "--zone", "Europe/Berlin", "--grace-hours", "8784", *where, "--format", "table"
    )
    assert "midnight in Europe/Berlin; it can be closed 8,784 hours after its end" in said.replace("\n", " ")
    listed = run(capsys, "period", "list", *where, "--format", "table")
    assert "Europe/Berlin" in listed
    assert "waits for" in listed
    answer = json.loads(run(capsys, "chargeback", "--period", "2026-05", *where, "--format", "json"))
    assert answer["period"] == {
        "from": "2026-04-30T22:00:00Z", "to": "2026-05-31T22:00:00Z", "label": "2026-05", "zone": "Europe/Berlin",
    }  # fmt: skip


def test_figures_are_found_as_they_were_known(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the price book was imported the same hour had no price; before it was reported there was none."""
    clock = VirtualClock(START_US + US_PER_HOUR)
    with Ledger.open(tmp_path, clock=clock) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, "pod:uid-1/c"))])
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.495"\n', START_US + 2 * US_PER_HOUR)
    found = []
    for hours in (0, 1, 2):
        at = ("--as-known", iso(START_US + hours * US_PER_HOUR))
        text = run(capsys, "chargeback", "--period", PERIOD, "--ledger", str(tmp_path), "--format", "json", *at)
        total = json.loads(text)["total"]
        found.append((total["gpu_hours"], total["cost"]))
    assert found == [(0.0, "0.00"), (1.0, None), (1.0, "2.495")]
    assert main(["chargeback", "--ledger", str(tmp_path), "--as-known", "2999-01-01"]) == 2
    assert "not known yet" in capsys.readouterr().err


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
