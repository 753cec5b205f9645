"""The demo's bill, its first day closed, leaves as FOCUS: it adds up, and both public validators accept it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from gpuledger.cli.demo_plan import MARKER
from gpuledger.cli.main import main
from tests.analytics.focus_checks import check_cost_and_usage, read
from tests.analytics.ledgers import export
from tests.analytics.official_validator import needs_validator, validate
from tests.analytics.toolkit import DATASETS, toolkit


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """Return the ledger of a two-day demo with one closed period, that one, and the months that the demo lies in.

    A demo over the end of a month closes that month itself; else its first day is closed.
    """
    folder = tmp_path_factory.mktemp("demo") / "data"
    assert main(["demo", "--once", "--data-dir", str(folder), "--days", "2", "--nodes", "3"]) == 0
    plan = json.loads((folder / MARKER).read_text())
    start, end = (datetime.fromisoformat(plan[name]) for name in ("from_", "until"))
    months = f"{start:%Y-%m}-01..{end.replace(day=1) + timedelta(days=32):%Y-%m}-01"
    if start.month != end.month:
        return folder, f"{start:%Y-%m}", months
    first = f"{start:%F}..{start + timedelta(days=1):%F}"
    assert main(["period", "close", first, "--by", "ann", "--ledger", str(folder)]) == 0
    return folder, first, months


@pytest.mark.slow
def test_the_demo_s_bill_is_valid_focus_1_4(
    demo: tuple[Path, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One closed day with invoices and one open, MIG and shared cards in them: every gate of ours and theirs is passed."""
    folder, _, everything = demo
    found = export(capsys, "focus", "--ledger", str(folder), "--period", everything, "--out", str(tmp_path))
    assert "closed" in {row["status"] for row in found["rows"]}
    check_cost_and_usage(read(tmp_path / DATASETS["cost-and-usage"]), "1.4")
    for dataset, file in DATASETS.items():
        done = toolkit("validate", "--dataset", dataset, str(tmp_path / file))
        assert done.returncode == 0, done.stdout + done.stderr
    bundle = toolkit("validate-bundle", "--directory", str(tmp_path))
    assert (bundle.returncode, "bundle validation: OK" in bundle.stdout) == (0, True), bundle.stdout


@needs_validator
@pytest.mark.slow
def test_the_demo_s_closed_bill_is_valid_focus_1_2(
    demo: tuple[Path, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The official validator objects to nothing but the rule that no invoiced file can meet."""
    folder, first, _ = demo
    export(capsys, "focus", "--spec", "1.2", "--ledger", str(folder), "--period", first, "--out", str(tmp_path))
    check_cost_and_usage(read(tmp_path / "focus_1_2_cost_and_usage.csv"), "1.2")
    assert validate(tmp_path / "focus_1_2_cost_and_usage.csv").failed == ["InvoiceId-C-004-C"]
