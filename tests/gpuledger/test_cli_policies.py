"""`policy`, `gap` and imports with `--dry-run`, on a ledger in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

PERIOD = f"{iso(START_US)}..{iso(START_US + US_PER_HOUR)}"
PRICES = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3.00"\n'
POLICY = '[[policy]]\nbasis = "usage"\n[[policy]]\nteam = "sales"\nfree = { gpu_hours = "5" }\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder of a ledger with one hour of a GPU that vision held and used for twenty minutes."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, "pod:uid-1/c"))])
        prices(ledger, PRICES)
        owners(ledger, '[[owner]]\nteam = "vision"\nmatch.namespace = "*"\n')
    (tmp_path / "policies.toml").write_text(POLICY)
    (tmp_path / "prices.toml").write_text(PRICES.replace("3.00", "4.00"))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: object, code: int = 0) -> str:
    assert main([str(each) for each in arguments]) == code
    said = capsys.readouterr()
    return said.err if code else said.out


def test_a_policy_is_tried_imported_and_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """First what it would change and that nothing was stored, then what it is; the bill follows it."""
    where = ("--ledger", folder, "--format", "table")
    tried = run(capsys, "policy", "import", folder / "policies.toml", "--dry-run", *where)
    assert "2 of 2 open bills would change" in tried
    assert "-2.00" in tried
    assert '! policy entry 2 (team "sales") applies to nothing' in tried
    assert "Nothing was stored" in tried
    assert "none imported yet" in run(capsys, "policy", "list", *where)
    assert "Policy book is now version 1 (2 entries)." in run(
        capsys, "policy", "import", folder / "policies.toml", *where
    )
    listed = run(capsys, "policy", "list", *where)
    assert "basis: usage" in listed
    assert "team sales" in listed
    shown = run(capsys, "adjustment", "list", "--ledger", folder, "--period", "2026-05", "--format", "table")
    assert "billing basis: billed by usage: 0.3 GPU-hours active" in shown
    assert "policy 1" in shown
    assert "unchanged" in run(capsys, "policy", "import", folder / "policies.toml", *where)


def test_a_price_is_tried_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, with each bill that would change."""
    answer = json.loads(run(capsys, "price", "import", folder / "prices.toml", "--dry-run", "--ledger", folder))
    assert [(row["team"], row["cost_before"], row["cost_after"], row["change"]) for row in answer["rows"]] == [
        ("vision", "3.00", "4.00", "1.00")
    ]
    assert json.loads(run(capsys, "price", "list", "--ledger", folder))["version"] == 1


def test_the_gap_is_drawn_with_its_causes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Held, used, the gap, and a column for each cause; in CSV as well."""
    where = ("--ledger", folder, "--period", PERIOD)
    shown = run(capsys, "gap", *where, "--format", "table")
    assert "partly active" in shown
    assert "2.00" in shown
    assert "parts.partly_active" in run(capsys, "gap", *where, "--format", "csv").splitlines()[0]


def test_a_bad_policy_changes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The mistake, its place, the next step; with and without --dry-run."""
    (folder / "bad.toml").write_text('[[policy]]\nbasis = "usgae"\n')
    for more in ([], ["--dry-run"]):
        said = run(capsys, "policy", "import", folder / "bad.toml", "--ledger", folder, *more, code=1)
        assert "bad.toml: entry 1: basis 'usgae' is not known" in said
        assert 'did you mean "usage"' in said
    assert json.loads(run(capsys, "policy", "list", "--ledger", folder))["version"] is None
