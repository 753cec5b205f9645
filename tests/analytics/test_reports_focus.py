"""FOCUS exports: what they say of shares, corrections, invoices and periods, and what public validators say of them."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from focus_data_toolkit.validate.bundle import validate_dataset_bundle
from hypothesis import given
from hypothesis import strategies as st

from analytics.reports.focus_columns import BILLING_PERIOD, INVOICE_DETAIL
from analytics.reports.focus_names import charge_id, sub_account_id
from collector.queries.billing import invoices, periods
from collector.queries.charge_id import ChargeId
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.model import State
from tests.analytics.focus_checks import by, check_cost_and_usage, read, total
from tests.analytics.ledgers import billed_ledger, export, fill, hours
from tests.analytics.toolkit import CHARGES, DATASETS, toolkit
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, prices

ALL = hours(0, 6).label


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return billed_ledger(tmp_path_factory.mktemp("ledger"))


@pytest.fixture
def out(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Return the folder of an export of everything."""
    export(capsys, "focus", "--ledger", str(ledger), "--period", ALL, "--out", str(tmp_path))
    return tmp_path


def test_every_row_and_every_split_is_exact(out: Path) -> None:
    """Unit price x quantity, shares of each device's hour, nulls, enumerations and times hold on all rows."""
    check_cost_and_usage(read(out / CHARGES), "1.4")


def test_a_discount_stands_between_list_and_contracted_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """3.00 USD less 10% at 0.91: the list price is 2.73 EUR for a whole GPU, the contracted one 2.457, parts pay parts."""
    terms = 'rate = "3"\ndiscount_percent = "10"\ncurrency = "USD"\nexchange_rate = "0.91"\nexchange_source = "ECB"\n'
    book = f'currency = "EUR"\n[[price]]\nmodel = "*"\nexchange_date = "2026-07-01"\n{terms}'
    with open_ledger(tmp_path / "ledger") as ledger:
        fill(ledger)
        prices(ledger, book)
    export(capsys, "focus", "--ledger", str(tmp_path / "ledger"), "--period", ALL, "--out", str(tmp_path))
    rows = read(tmp_path / CHARGES)
    check_cost_and_usage(rows, "1.4")
    found = {(Decimal(row["ListUnitPrice"]), Decimal(row["ContractedUnitPrice"])) for row in rows}
    assert (Decimal("2.73"), Decimal("2.457")) in found
    assert all(contracted == listed * Decimal("0.9") for listed, contracted in found)


def test_an_hour_in_which_a_price_turns_is_split_by_segment_and_price(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each segment has its own times and unit price, and so has what one team pays less for within the same hour."""
    at_us = START_US + 1_000 * 1_000_000
    entries = [
        f'model = "*"\nrate = "2"\nto = {iso(at_us)}',
        f'model = "*"\nrate = "3"\nfrom = {iso(at_us)}',
        'model = "*"\nteam = "speech"\nrate = "1.5"',
    ]
    with open_ledger(tmp_path / "ledger") as ledger:
        fill(ledger)
        prices(ledger, 'currency = "EUR"\n' + "\n".join(f"[[price]]\n{entry}" for entry in entries))
    export(capsys, "focus", "--ledger", str(tmp_path / "ledger"), "--period", ALL, "--out", str(tmp_path))
    rows = read(tmp_path / CHARGES)
    check_cost_and_usage(rows, "1.4")
    done = toolkit("validate-bundle", "--directory", str(tmp_path))
    assert (done.returncode, "bundle validation: OK" in done.stdout) == (0, True), done.stdout + done.stderr
    first = [
        row
        for row in rows
        if row["x_SplitOriginId"].startswith("c1/GPU-0001/") and row["ChargePeriodStart"][:13] == iso(START_US)[:13]
    ]
    assert {
        (row["ChargePeriodStart"], row["ChargePeriodEnd"], Decimal(row["ContractedUnitPrice"]), row["SubAccountName"])
        for row in first
    } == {
        (iso(START_US), iso(at_us), 2, "vision"),
        (iso(at_us), iso(START_US + US_PER_HOUR), 3, "vision"),
        (iso(at_us), iso(START_US + US_PER_HOUR), Decimal("1.5"), "speech"),
    }
    for row in first:
        assert main(["explain", row["x_ChargeId"], "--ledger", str(tmp_path / "ledger"), "--format", "json"]) == 0
        assert row["BilledCost"] in capsys.readouterr().out


def test_the_public_toolkit_accepts_each_dataset(out: Path) -> None:
    """Its linter finds nothing in any file, and exits with 0."""
    for dataset, file in DATASETS.items():
        done = toolkit("validate", "--dataset", dataset, str(out / file))
        assert (done.returncode, "lint OK" in done.stdout) == (0, True), done.stdout + done.stderr


def test_the_public_toolkit_accepts_the_bundle(out: Path) -> None:
    """Splits, references between the datasets and, against the invoices, the sums hold."""
    done = toolkit("validate-bundle", "--directory", str(out))
    assert (done.returncode, "bundle validation: OK" in done.stdout) == (0, True), done.stdout + done.stderr
    names = ("Cost and Usage", "Billing Period", "Invoice Detail")
    bundle = {name: read(out / file) for name, file in zip(names, DATASETS.values(), strict=True)}
    report = validate_dataset_bundle(bundle, invoice_detail_authoritative=True)
    assert report.ok, report.format()
    assert {"split_allocation", "reconcile_invoice_detail", "billing_period_coverage"} <= set(report.checks_run)


def test_the_toolkit_would_object(out: Path) -> None:
    """A cost changed behind the split's back, and a word that FOCUS does not have, are found: the gate is real."""
    rows = read(out / CHARGES)
    rows[0]["BilledCost"] = "9.0"
    rows[1]["ChargeCategory"] = "Idle"
    with (out / CHARGES).open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    bundle = toolkit("validate-bundle", "--directory", str(out))
    assert (bundle.returncode, "FDT-ALLOC-002" in bundle.stdout) == (1, True)
    assert toolkit("validate", "--dataset", "cost-and-usage", str(out / CHARGES)).returncode == 1


def test_a_shared_hour_is_split_over_its_uses(out: Path) -> None:
    """Each use of the device's hour is a row: a holder active, the same one idle, another one; idle is the platform's."""
    start = hours(0, 1).label[:20]
    first = [row for row in read(out / CHARGES) if row["ChargePeriodStart"] == start]
    shared = {row["AllocatedResourceId"]: row for row in first if row["ResourceId"] == "GPU-0001"}
    assert set(shared) == {"pod:uid-1/c#active", "pod:uid-1/c#held_idle:starved", "pod:uid-2/c#active"}
    assert {row["x_SplitOriginCost"] for row in shared.values()} == {"2.491500007"}
    idle = [row for row in first if row["ResourceId"] == "GPU-0002"]
    assert [(row["SubAccountId"], row["CapacityReservationStatus"], row["AllocatedResourceId"]) for row in idle] == [
        ("platform", "Unused", "idle:free")
    ]
    slices = [row for row in first if row["ResourceId"] == "GPU-0003"]
    assert [(row["ResourceType"], row["SkuId"], row["PricingUnit"], row["ConsumedQuantity"]) for row in slices] == [
        ("MIG Instance", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", "Device-Hours", "0.142857142857")
    ]


def test_what_nobody_saw_is_neither_used_nor_unused(out: Path) -> None:
    """Unobserved time is on the platform's bill and names no reserved capacity: whether it was used is not known."""
    found = [row for row in read(out / CHARGES) if row["x_State"] == "unobserved" and not row["ChargeClass"]]
    assert found
    assert {(row["SubAccountId"], row["CapacityReservationId"]) for row in found} == {("platform", "")}


def test_corrections_are_on_the_later_bill_with_their_own_hour(out: Path) -> None:
    """Billing period and invoice are those of the bill that they are on, the charge period is the corrected one."""
    found = [row for row in read(out / CHARGES) if row["ChargeClass"] == "Correction"]
    assert sorted(row["x_State"] for row in found) == ["active", "unobserved"]
    assert {row["BillingPeriodStart"] for row in found} == {hours(2, 4).label[:20]}
    assert {row["ChargePeriodStart"] for row in found} == {hours(1, 2).label[:20]}
    assert {row["x_CorrectsPeriod"] for row in found} == {hours(0, 2).label}
    assert total(found) == 0, "what one team pays, the platform gets back"
    details = {row["InvoiceDetailId"]: row for row in read(out / DATASETS["invoice-detail"])}
    for row in found:
        reference = details[row["InvoiceDetailId"]]["ReferenceInvoiceId"]
        assert reference != row["InvoiceId"], "an invoice that corrects names the one that it corrects"


def test_sums_are_the_bill_s_per_invoice_and_period(out: Path, ledger: Path) -> None:
    """Rows sum to each invoice's exact amount, details to its payable cents, and closed rows to the closed bill."""
    rows, details = read(out / CHARGES), read(out / DATASETS["invoice-detail"])
    with open_ledger(ledger) as opened:
        documents, known = invoices(opened).rows, periods(opened).rows
    assert {name: amount for name, amount in by(rows, "InvoiceId").items() if name} == {
        f"INV-{each.number}": Decimal(each.cost or 0) for each in documents
    }
    assert by(details, "InvoiceId") == {f"INV-{each.number}": Decimal(each.payable) for each in documents}
    exact = {row["InvoiceDetailId"]: Decimal(row["x_ExactCost"]) for row in details}
    assert {name: amount for name, amount in by(rows, "InvoiceDetailId").items() if name} == exact
    billed = by(rows, "BillingPeriodStart")
    assert [billed[each.from_] for each in known] == [Decimal(each.cost or 0) for each in known]


def test_an_open_period_has_no_invoice(out: Path) -> None:
    """Showback: its rows name no invoice, and the Billing Period dataset says that it is open."""
    rows = [row for row in read(out / CHARGES) if row["BillingPeriodStart"] == hours(4, 6).label[:20]]
    assert rows
    assert {(row["InvoiceId"], row["InvoiceDetailId"]) for row in rows} == {("", "")}
    statuses = [row["BillingPeriodStatus"] for row in read(out / DATASETS["billing-period"])]
    assert statuses == ["Closed", "Closed", "Open"]


def test_each_row_can_be_explained(out: Path, ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A row names its charge, and the ledger walks that name down to its evidence."""
    for row in read(out / CHARGES)[:4]:
        assert main(["explain", row["x_ChargeId"], "--ledger", str(ledger), "--format", "json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert row["BilledCost"] in json.dumps(found)
    charges = [row["x_ChargeId"] for row in read(out / CHARGES) if not row["ChargeClass"]]
    assert len(set(charges)) == len(charges)


def test_a_row_names_its_charge_as_the_ledger_does() -> None:
    """Also where its node, device or holder has the sign in it that stands between the fields."""
    name = ChargeId(START_US, "lab@home", "100%", "GPU-7", "user:ann@corp.example/1", State.HELD_IDLE, "starved")
    lines = pl.DataFrame([{**name._asdict(), "state": int(name.state)}])
    assert lines.select(charge_id()).item() == str(name)


def test_the_other_datasets_have_the_columns_of_focus(out: Path) -> None:
    """In FOCUS's own order, ours behind them."""
    assert tuple(read(out / DATASETS["billing-period"])[0]) == BILLING_PERIOD
    assert tuple(read(out / DATASETS["invoice-detail"])[0]) == INVOICE_DETAIL
    grain = json.loads(read(out / DATASETS["invoice-detail"])[0]["InvoiceDetailGrain"])
    assert set(grain) >= {"SubAccountId", "x_Model", "x_State"}


def test_a_closed_bill_is_exported_the_same_for_ever(
    ledger: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte, whatever else is exported with it."""
    alone = export(
        capsys, "focus", "--ledger", str(ledger), "--period", hours(0, 2).label, "--out", str(tmp_path / "b")
    )
    assert [row["status"] for row in alone["rows"]] == ["closed"]
    assert (out / CHARGES).read_bytes().startswith((tmp_path / "b" / CHARGES).read_bytes())


def test_text_that_a_spreadsheet_would_run_is_text(out: Path) -> None:
    """A project called like a formula gets an apostrophe; negative amounts stay numbers."""
    rows = read(out / CHARGES)
    assert {row["x_Project"] for row in rows} == {"", "'=captions"}
    assert {row["x_Workload"] for row in rows} == {"", "'-train"}
    assert [row["BilledCost"] for row in rows if Decimal(row["BilledCost"]) < 0]


def test_spec_1_2_has_its_57_columns_and_the_same_costs(
    ledger: Path, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The provider's names of 1.2 instead of 1.4's, no allocation columns, one file."""
    found = export(
        capsys, "focus", "--spec", "1.2", "--ledger", str(ledger), "--period", ALL, "--out", str(tmp_path / "b")
    )
    assert [Path(each["file"]).name for each in found["files"]] == ["focus_1_2_cost_and_usage.csv"]
    rows = read(tmp_path / "b" / "focus_1_2_cost_and_usage.csv")
    check_cost_and_usage(rows, "1.2")
    assert len([name for name in rows[0] if not name.startswith("x_")]) == 57
    assert {(row["ProviderName"], row["PublisherName"]) for row in rows} == {("GPU platform", "GPU platform")}
    assert by(rows, "SubAccountId") == by(read(out / CHARGES), "SubAccountId")


def test_hours_without_a_price_are_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No cost is not zero: nothing is written, unless they may be left out, and then they are counted."""
    with open_ledger(tmp_path / "ledger") as ledger:
        fill(ledger)
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nmig_profile = "1g.10gb"\nrate = "0.4"\n')
    asked = ["focus", "--ledger", str(tmp_path / "ledger"), "--period", ALL, "--out", str(tmp_path / "out")]
    assert main(["export", *asked]) == 1
    error = capsys.readouterr().err
    assert "12.0 GPU-hours have no price (NVIDIA H100 80GB HBM3; 6 hours, the first 2026-05-28T20:00:00Z" in error
    assert "--allow-unpriced" in error
    assert not (tmp_path / "out").exists()
    found = export(capsys, *asked, "--allow-unpriced")
    assert (found["unpriced_gpu_hours"], found["unpriced_rows"], found["rows"][0]["rows"]) == (12.0, 14, 6)
    check_cost_and_usage(read(tmp_path / "out" / CHARGES), "1.4")


def test_a_period_that_cuts_a_closed_one_is_refused(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A closed bill is one whole: its invoices would not add up otherwise."""
    where = ["--ledger", str(ledger), "--out", str(tmp_path / "out")]
    assert main(["export", "focus", *where, "--period", hours(1, 6).label]) == 2
    assert "which is closed: its bill is one whole" in capsys.readouterr().err
    assert main(["export", "focus", *where, "--period", "2020-01"]) == 2
    assert "nothing is known of 2020-01" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@given(st.lists(st.tuples(*[st.text("ab/%:", max_size=2)] * 3), min_size=2, max_size=2, unique=True))
def test_no_two_teams_share_a_sub_account(owners: list[tuple[str, str, str]]) -> None:
    """Whatever their levels are called, and whichever of them are empty."""
    first, second = (sub_account_id(*owner) for owner in owners)
    assert first != second
