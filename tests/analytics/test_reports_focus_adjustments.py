"""Adjustments in FOCUS exports: what they are called, on which invoice's line they stand, and that the bill adds up."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from focus_data_toolkit.validate.bundle import validate_dataset_bundle

from collector.queries.billing import invoice, invoices, periods
from tests.analytics.focus_checks import by, check_cost_and_usage, read, total
from tests.analytics.ledgers import adjusted_ledger, export, hours
from tests.analytics.official_validator import needs_validator, validate
from tests.analytics.toolkit import CHARGES, DATASETS, toolkit
from tests.collector.fleet import open_ledger


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adjusted_ledger(tmp_path_factory.mktemp("ledger"))


def exported(ledger: Path, out: Path, capsys: pytest.CaptureFixture[str], spec: str = "1.4") -> Path:
    where = ["--ledger", str(ledger), "--period", hours(0, 4).label, "--out", str(out)]
    export(capsys, "focus", "--spec", spec, *where)
    return out


def test_invoices_lines_and_rows_have_one_sum(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """To the last digit: rows by invoice, by line and by period are what the ledger's documents say."""
    out = exported(ledger, tmp_path, capsys)
    rows, details = read(out / CHARGES), read(out / DATASETS["invoice-detail"])
    check_cost_and_usage(rows, "1.4")
    with open_ledger(ledger) as opened:
        documents = [invoice(opened, number=row.number) for row in invoices(opened).rows]
        costs = {row.label: Decimal(row.cost or 0) for row in periods(opened).rows if row.state == "closed"}
    heads = {f"INV-{each.invoice.number}": Decimal(each.invoice.cost or 0) for each in documents}
    lines = {
        f"INV-{each.invoice.number}-{line.line}": Decimal(line.cost or 0) for each in documents for line in each.rows
    }
    assert by(rows, "InvoiceId") == heads
    found = by(rows, "InvoiceDetailId")
    assert {name: cost for name, cost in lines.items() if cost or name in found} == found
    assert {row["InvoiceDetailId"]: Decimal(row["x_ExactCost"]) for row in details} == lines
    assert sum(costs.values()) == total(rows)
    categories = {row["InvoiceDetailId"]: row["ChargeCategory"] for row in details}
    assert all(categories[row["InvoiceDetailId"]] == row["ChargeCategory"] for row in rows)


def test_each_kind_has_the_category_that_focus_has_for_it(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a team gets is a credit, who bears it has an adjustment; a commitment names its contract."""
    rows = [row for row in read(exported(ledger, tmp_path, capsys) / CHARGES) if row["x_AdjustmentKind"]]
    assert len(rows) == 23
    found = {(row["x_AdjustmentKind"], row["SubAccountType"], row["ChargeCategory"]) for row in rows}
    assert {each for each in found if each[2] != "Adjustment"} == {
        ("fault_credit", "Team", "Credit"), ("free_tier", "Team", "Credit"),
    }  # fmt: skip
    [dispute] = [row for row in rows if row["x_AdjustmentKind"] == "dispute"]
    assert (dispute["ChargeClass"], dispute["x_CorrectsPeriod"]) == ("Correction", hours(0, 2).label)
    [bought] = [row for row in rows if row["ContractApplied"]]
    assert bought["x_AdjustmentKind"] == "commitment"
    [applied] = json.loads(bought["ContractApplied"], parse_float=Decimal)["Elements"]
    assert applied == {
        "ContractId": 'lease "a"', "ContractCommitmentId": 'lease "a"',
        "ContractCommitmentAppliedCost": Decimal("5.000000001"),
    }  # fmt: skip
    [manual] = [row for row in rows if row["x_AdjustmentKind"] == "manual"]
    assert manual["ChargeDescription"] == "'=HYPERLINK"


def test_the_public_toolkit_accepts_them(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each dataset, and the bundle with its invoices as the truth."""
    out = exported(ledger, tmp_path, capsys)
    for dataset, file in DATASETS.items():
        done = toolkit("validate", "--dataset", dataset, str(out / file))
        assert (done.returncode, "lint OK" in done.stdout) == (0, True), done.stdout + done.stderr
    names = ("Cost and Usage", "Billing Period", "Invoice Detail")
    bundle = {name: read(out / file) for name, file in zip(names, DATASETS.values(), strict=True)}
    report = validate_dataset_bundle(bundle, invoice_detail_authoritative=True)
    assert report.ok, report.format()


@needs_validator
@pytest.mark.slow
def test_the_official_validator_accepts_them(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of its rules that apply hold, but for the one of two contradictory ones."""
    out = exported(ledger, tmp_path, capsys, "1.2")
    check_cost_and_usage(read(out / "focus_1_2_cost_and_usage.csv"), "1.2")
    verdict = validate(out / "focus_1_2_cost_and_usage.csv")
    assert verdict.rules > 250, verdict
    assert verdict.failed == ["InvoiceId-C-004-C"]
