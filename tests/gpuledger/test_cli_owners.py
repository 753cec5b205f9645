"""`owner explain`, `owner test` and `owner directory`, on a ledger in a folder and through a collector."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from tests.collector.batches import START_US, frame, holder, records
from tests.collector.fleet import open_ledger, owners, prices

PERIOD = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"
RULES = '[[owner]]\nteam = "vision"\nmatch.namespace = "*"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a ledger with one hour of a GPU that ana's pod held."""
    with open_ledger(tmp_path) as ledger:
        pod = holder(1, user="ana")
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, pod.key), holders=[pod])])
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\n')
        owners(ledger, RULES)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def test_a_holder_is_explained_by_the_ledger_and_by_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of the rules with their verdicts; a file is tried without becoming the mapping."""
    where = ("--ledger", str(folder), "--format", "table")
    shown = run(capsys, "owner", "explain", "pod:uid-1/c", *where)
    assert "by version 1 of the owner mapping" in shown
    assert "applies" in shown
    new = folder / "new.toml"
    new.write_text(RULES.replace('"*"', '"x"'))
    tried = run(capsys, "owner", "explain", "pod:uid-1/c", "--at", iso(START_US), "--file", str(new), *where)
    assert "by the file" in tried
    assert "Unattributed, by no rule matches" in tried
    assert 'does not match "x"' in tried


def test_a_mapping_is_tested_before_it_is_imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would move, in GPU-hours and money, and that nothing was stored."""
    new = folder / "new.toml"
    new.write_text(RULES.replace("vision", "language"))
    where = ("--ledger", str(folder), "--period", PERIOD)
    shown = run(capsys, "owner", "test", str(new), *where, "--format", "table")
    assert "1.00 of 1.00 GPU-hours would move" in shown
    assert "language" in shown
    assert "Nothing was stored." in shown
    answer = json.loads(run(capsys, "owner", "test", str(new), *where, "--format", "json"))
    assert [(row["from_team"], row["to_team"], row["cost"]) for row in answer["rows"]] == [
        ("vision", "language", "2.00")
    ]


def test_a_directory_is_imported_and_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People become a version of their own, and the list has them."""
    people = folder / "people.csv"
    people.write_text("user,team,from\nana,vision,2026-01-01T00:00:00Z\n")
    where = ("--ledger", str(folder), "--format", "table")
    said = run(capsys, "owner", "directory", "import", str(people), *where)
    assert "Directory of people is now version 1 (1 memberships)" in said
    assert "ana" in run(capsys, "owner", "directory", "list", *where)


def test_an_import_prints_its_warnings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What may be a mistake stands below what was done."""
    new = folder / "new.toml"
    new.write_text(RULES.replace('"*"', '"x"'))
    said = run(capsys, "owner", "import", str(new), "--ledger", str(folder), "--format", "table")
    assert "is now version 2" in said
    assert "! owner rule 1 (team vision) matches no holder" in said
