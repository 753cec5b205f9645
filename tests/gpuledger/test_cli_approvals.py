"""`approval` and `rules`: an approval flow at the command line, with a ledger in a folder and with a collector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.app import running
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.clock import WallClock
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import owners, prices
from tests.collector.test_collector_api import settings

RULES = Path(__file__).parents[2] / "docs" / "examples" / "rules.toml"
SOON = iso((WallClock().now_us() // US_PER_HOUR + 24) * US_PER_HOUR)
BUDGET = ("budget", "--owner", "research", "--amount", "5000", "--currency", "EUR", "--to", SOON)
WHO = ("--by", "ann", "--why", "the deadline")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a ledger with an hour of a GPU that vision held."""
    with Ledger.open(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, "pod:uid-1/c"))])
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n')
        levels = 'organisation = "acme"\ndepartment = "research"\nteam = "vision"\n'
        owners(ledger, f'[[owner]]\n{levels}match.namespace = "*"\n')
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert main(list(arguments)) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def flow(capsys: pytest.CaptureFixture[str], *where: str) -> None:
    """Ask, be refused, approve with three people, see what holds."""
    table = (*where, "--format", "table")
    assert "now version 1 (7 rules). It decides from now on." in run(capsys, "rules", "import", str(RULES), *table)
    assert "lea: team lead for acme/research" in run(capsys, "rules", "list", *table)
    asked = run(capsys, "approval", "request", *BUDGET, *WHO, *table)
    assert "5000 EUR more to spend, acme/research (waiting)" in asked
    assert "needs 2 of finance and 1 of team lead" in asked
    assert "amount 5000 EUR is over 1000 EUR" in asked
    assert "another person has to approve" in run(capsys, "approval", "approve", "1", "--by", "Ann", *table, code=1)
    assert "joe has no role" in run(capsys, "approval", "approve", "1", "--by", "joe", *table, code=1)
    for who in ("lea", "bob"):
        assert "(waiting)" in run(capsys, "approval", "approve", "1", "--by", who, *table)
    assert "(now)" in run(capsys, "approval", "approve", "1", "--by", "eve", "--why", "fits", *table)
    assert "granted, in force" in run(capsys, "approval", "list", *table)
    assert "by rule large amounts" in run(capsys, "rules", "explain", "1", *table)
    run(capsys, "approval", "request", *BUDGET, *WHO, *table)
    assert "(denied)" in run(capsys, "approval", "deny", "2", "--by", "bob", "--why", "no", *table)
    run(capsys, "approval", "request", "quota", "--owner", "vision", "--gpus", "99", "--to", SOON, *WHO, *table)
    assert "(withdrawn)" in run(capsys, "approval", "withdraw", "3", "--by", "ann", "--why", "no", *table)
    rows = json.loads(run(capsys, "approval", "list", *where, "--format", "json"))["rows"]
    assert [(row["approval"], row["state"]) for row in rows] == [(1, "granted"), (2, "denied"), (3, "withdrawn")]
    assert (
        len(json.loads(run(capsys, "approval", "list", "--state", "denied", *where, "--format", "json"))["rows"]) == 1
    )


def test_a_flow_with_a_ledger_in_a_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the rule book to what holds."""
    flow(capsys, "--ledger", str(folder))


def test_a_flow_with_a_collector(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same over HTTP."""
    with running(settings(folder)) as url:
        flow(capsys, "--url", url)


def test_rules_before_they_decide(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be decided about facts, and what another book would have decided."""
    where = ("--ledger", str(folder), "--format", "table")
    run(capsys, "rules", "import", str(RULES), *where)
    run(capsys, "approval", "request", *BUDGET, *WHO, *where)
    facts = ("kind=workload", "gpus=20", "owner=acme/research/vision", "hour=10", "weekday=mon")
    said = run(capsys, "rules", "explain", *facts, *where)
    assert "allow, because no rule decides" in said
    assert "! With the rules in shadow it would be: hold." in said
    other = tmp_path / "other.toml"
    other.write_text(RULES.read_text().replace("1000 EUR", "9000 EUR"))
    said = run(capsys, "rules", "dry-run", str(other), *where)
    assert "1 of 1 decisions would change" in said
    assert "rules.toml" in run(capsys, "rules", "history", *where)
    assert "approval 1" in run(capsys, "rules", "decisions", *where)
    assert 'did you mean "gpus"' in run(capsys, "rules", "explain", "gpu=8", *where, code=1)
    assert "is given twice" in run(capsys, "rules", "explain", "gpus=8", "gpus=9", *where, code=2)
    assert "is not the number of a decision" in run(capsys, "rules", "explain", "one", *where, code=2)
    assert "is not the number of an approval" in run(capsys, "approval", "show", "one", *where, code=2)


def test_a_price_book_goes_by_request(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The direct way is refused by the rule, the file is kept with the request and imported when it is granted."""
    where = ("--ledger", str(folder), "--format", "table")
    run(capsys, "rules", "import", str(RULES), *where)
    book = tmp_path / "prices.toml"
    book.write_text('currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3.00"\n')
    assert "approval request price" in run(capsys, "price", "import", str(book), *where, code=1)
    asked = run(capsys, "approval", "request", "price", "--file", str(book), *WHO, *where)
    assert "2 of finance" in asked
    assert '-rate = "2.50"' in asked
    assert '+rate = "3.00"' in asked
    run(capsys, "approval", "approve", "1", "--by", "bob", *where)
    assert "It made: prices 2." in run(capsys, "approval", "approve", "1", "--by", "eve", *where)
    assert "prices.toml (approval 1)" in run(capsys, "price", "list", *where)
    assert "is not .toml" in run(capsys, "approval", "request", "price", "--file", "x.csv", *WHO, *where, code=2)
    assert "cannot read" in run(capsys, "approval", "request", "price", "--file", "x.toml", *WHO, *where, code=2)


def test_a_budget_book_that_allows_more_goes_by_request(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a price book does; one that allows less is imported at once."""
    where = ("--ledger", str(folder), "--format", "table")
    run(capsys, "rules", "import", str(RULES), *where)
    book = tmp_path / "budgets.toml"
    text = '[[budget]]\nowner = "acme/research"\nperiod = "month"\ncurrency = "EUR"\namount = "900"\n'
    book.write_text(text)
    refused = run(capsys, "budget", "import", str(book), *where, code=1)
    assert "wants approval of 2 of finance" in refused
    assert "approval request budget_book" in refused
    asked = run(capsys, "approval", "request", "budget_book", "--file", str(book), *WHO, *where)
    assert '+amount = "900"' in asked
    run(capsys, "approval", "approve", "1", "--by", "bob", *where)
    assert "It made: budgets 1." in run(capsys, "approval", "approve", "1", "--by", "eve", *where)
    book.write_text(text.replace("900", "800"))
    assert "1 budgets" in run(capsys, "budget", "import", str(book), *where)
