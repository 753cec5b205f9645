"""A real provider's FOCUS rows beside ours: what its readers find there, they find in our export."""

from __future__ import annotations

import csv
import os
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest

from analytics.reports.focus_columns import COST_AND_USAGE
from tests.analytics.focus_checks import DECIMALS, read
from tests.analytics.ledgers import billed_ledger, export, hours

DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or Path(__file__).parents[3] / "shared" / "data")
SAMPLE = DATA / "focus_sample" / "focus_1_0_sample.csv"
MISNAMED = {"Id"}  # of the sample; no FOCUS version has it


@pytest.fixture(scope="module")
def sample() -> list[dict[str, str]]:
    """Return the provider's rows, or skip; in CI their absence is a failure."""
    if not SAMPLE.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{SAMPLE} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {SAMPLE}: set GPULEDGER_REALITY_DATA")
    with SAMPLE.open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_column_that_a_provider_fills_is_in_our_1_2_export(sample: list[dict[str, str]]) -> None:
    """FOCUS 1.2 kept all columns of 1.0, and so do we."""
    assert set(sample[0]) - set(COST_AND_USAGE["1.2"]) == MISNAMED


def test_a_reader_of_theirs_reads_ours(
    sample: list[dict[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Summed by one and the same code, side by side: costs by period and category, all values of one type a column."""
    folder = billed_ledger(tmp_path / "ledger")
    where = ["--ledger", str(folder), "--period", hours(0, 6).label, "--out", str(tmp_path)]
    summary = export(capsys, "focus", "--spec", "1.2", *where)
    ours = read(tmp_path / "focus_1_2_cost_and_usage.csv")
    both = [{name: row[name] for name in sample[0] if name not in MISNAMED} for row in [*sample, *ours]]
    for name in (name for name in DECIMALS if name in both[0]):
        assert all(Decimal(row[name]).is_finite() for row in both if row[name] not in ("", "NULL"))
    for name in ("BillingPeriodStart", "ChargePeriodStart"):
        assert all(datetime.fromisoformat(row[name]) for row in both)
    categories = {row["ChargeCategory"] for row in sample}
    assert {row["ChargeCategory"] for row in ours} <= categories
    totals = [sum(Decimal(row["BilledCost"]) for row in rows) for rows in (sample, ours, both)]
    assert totals[2] == totals[0] + totals[1]
    assert totals[1] == Decimal(summary["cost"])
