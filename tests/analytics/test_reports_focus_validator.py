"""FOCUS 1.2 exports before the FOCUS body's own validator."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from gpuledger.accounting.periods import Period
from tests.analytics.ledgers import billed_ledger, export, hours
from tests.analytics.official_validator import needs_validator, validate

FILE = "focus_1_2_cost_and_usage.csv"


@needs_validator
@pytest.mark.slow
@pytest.mark.parametrize(
    ("period", "contradicted"),
    [(hours(0, 4), "InvoiceId-C-004-C"), (hours(4, 6), "InvoiceId-C-005-C")],
    ids=["invoiced", "open"],
)
def test_the_official_validator_accepts_the_export(
    period: Period, contradicted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All of its rules that apply hold, but for the one of two contradictory ones that no file of this kind can meet."""
    folder = billed_ledger(tmp_path / "ledger")
    where = ["--ledger", str(folder), "--period", period.label, "--out", str(tmp_path)]
    export(capsys, "focus", "--spec", "1.2", *where)
    verdict = validate(tmp_path / FILE)
    assert verdict.rules > 250, verdict
    assert verdict.failed == [contradicted]


@needs_validator
@pytest.mark.slow
def test_the_official_validator_would_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A column less, and it says so: its report is read aright."""
    folder = billed_ledger(tmp_path / "ledger")
    where = ["--ledger", str(folder), "--period", hours(0, 4).label, "--out", str(tmp_path)]
    export(capsys, "focus", "--spec", "1.2", *where)
    frame = pl.read_csv(tmp_path / FILE, infer_schema=False)
    frame.drop("ChargeFrequency").write_csv(tmp_path / "less.csv")
    assert any(name.startswith("ChargeFrequency") for name in validate(tmp_path / "less.csv").failed)
