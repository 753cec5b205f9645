"""Contract Commitment: what a lease of GPUs is in FOCUS, exactly, and what the public toolkit says of it."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.reports.files import CsvFile
from analytics.reports.focus_columns import CONTRACT_COMMITMENT
from analytics.reports.focus_contracts import CONTRACTS, contract_commitment_rows, contract_frame, duration
from analytics.reports.focus_periods import Issuer
from collector.queries.billing import periods
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from tests.analytics.focus_checks import read
from tests.analytics.ledgers import BOOK, close, fill, hours
from tests.analytics.toolkit import toolkit
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, prices

ISSUER = Issuer("GPU platform", "platform", "Internal transfer")
NOW = parse_instant("2026-06-15")
UNTIL = parse_instant("2026-07-01")


def contract(**changes: Any) -> dict[str, Any]:
    fields = {
        "name": "lease-a", "vendor": "Leasing Ltd", "cluster": "lab", "pool": "", "model": "NVIDIA H100*",
        "mig_profile": "", "node": "", "gpus": 16, "currency": "EUR", "rate_quanta": 1_900_000_007,
        "list_rate_quanta": 2_500_000_000, "from_us": parse_instant("2026-01-01"), "to_us": parse_instant("2028-01-01"),
        "since_us": parse_instant("2025-12-20"),
    }  # fmt: skip
    return {**fields, **changes}


def records(*contracts: dict[str, Any]) -> list[dict[str, Any]]:
    frame = pl.DataFrame(contracts, schema=CONTRACTS)
    return contract_commitment_rows(frame, ISSUER, at_us=NOW, until_us=UNTIL).to_dicts()


def test_a_lease_is_its_hours_at_its_rate() -> None:
    """Two years of sixteen GPUs, to the last digit; who sells it, and since when."""
    [row] = records(contract())
    hours = 17_520 * 16
    assert Decimal(row["ContractCommitmentQuantity"]) == hours
    assert Decimal(row["ContractCommitmentCost"]) == hours * Decimal("1.900000007")
    assert row["ContractCommitmentDurationType"] == "2 Years"
    assert (row["ContractCommitmentLifecycleStatus"], row["InvoiceIssuerName"]) == ("Active", "Leasing Ltd")
    assert row["ContractCommitmentDiscountPercentage"] == "0.2399999972"


@pytest.mark.parametrize(
    ("changes", "status", "end"),
    [
        ({"from_us": UNTIL, "to_us": None}, "Pending", "2026-07-01T01:00:00Z"),
        ({"to_us": None}, "Active", "2026-07-01T00:00:00Z"),
        ({"to_us": NOW}, "Expired", "2026-06-15T00:00:00Z"),
    ],
)
def test_a_contract_has_a_status_and_an_end(changes: dict[str, Any], status: str, end: str) -> None:
    """One without an end is committed until the end of what is exported."""
    [row] = records(contract(**changes))
    assert (row["ContractCommitmentLifecycleStatus"], row["ContractPeriodEnd"]) == (status, end)


def test_its_scope_is_rules_over_the_columns_of_cost_and_usage() -> None:
    """A pattern that FOCUS has no operator for is a complex scope, never a wrong one."""
    whole, exact, odd = records(
        contract(), contract(name="b", node="n1", pool="p", mig_profile="1g.10gb"), contract(name="c", node="n?")
    )
    assert json.loads(whole["ContractCommitmentApplicability"])["Inclusions"] == [
        {"Dimension": "x_Cluster", "Operator": "In", "Values": ["lab"]},
        {"Dimension": "SkuId", "Operator": "StartsWith", "Values": ["NVIDIA H100"]},
    ]
    assert [(rule["Dimension"], rule["Operator"]) for rule in json.loads(exact["ContractCommitmentApplicability"])["Inclusions"]] == [
        ("x_Cluster", "In"), ("x_Pool", "In"), ("SkuId", "StartsWith"), ("x_Node", "In"), ("SkuId", "EndsWith"),
    ]  # fmt: skip
    assert json.loads(odd["ContractCommitmentApplicability"]) == {"IsComplexScope": True}


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        ("2026-01-01", "2027-01-01", "1 Year"),
        ("2026-01-31", "2026-03-31", "2 Months"),
        ("2026-01-01", "2026-01-31", "30 Days"),
        ("2026-01-01", "2026-01-01T05:00", "5 Hours"),
        ("2026-01-01", "2026-01-01T00:00:01", "1 Minute"),
    ],
)
def test_a_term_is_told_in_the_largest_whole_unit(start: str, end: str, words: str) -> None:
    """Months are those of the calendar."""
    assert duration(parse_instant(start), parse_instant(end)) == words


contracts = st.builds(
    contract,
    name=st.text(min_size=1, max_size=10).filter(str.strip),
    vendor=st.sampled_from(["", "Leasing Ltd"]),
    model=st.sampled_from(["", "*", "NVIDIA A100*", "NVIDIA L4", "*H100*"]),
    node=st.sampled_from(["", "gpu-*", "n[12]"]),
    gpus=st.integers(1, 10_000),
    rate_quanta=st.integers(0, 10**11),
    list_rate_quanta=st.none() | st.integers(0, 10**11),
    to_us=st.none() | st.integers(1, 10**6).map(lambda hours: parse_instant("2026-01-01") + hours * US_PER_HOUR),
)


@settings(deadline=None)
@given(st.lists(contracts, min_size=1, max_size=5))
def test_quantity_times_rate_is_the_cost(found: list[dict[str, Any]]) -> None:
    """Contracts of whole hours cost their GPU-hours times their rate exactly."""
    for row, given_ in zip(records(*found), found, strict=True):
        assert tuple(row) == CONTRACT_COMMITMENT
        rate = Decimal(given_["rate_quanta"]).scaleb(-9)
        assert Decimal(row["ContractCommitmentQuantity"]) * rate == Decimal(row["ContractCommitmentCost"])
        assert Decimal(0) <= Decimal(row["ContractCommitmentDiscountPercentage"] or 0) <= 1


def test_contracts_come_from_the_collectors_answer() -> None:
    """A row for each billing period of a contract is one record, of its newest terms."""
    row = {
        "contract": "lease-a", "vendor": "", "cluster": "lab", "pool": "", "model": "*", "mig_profile": "", "node": "",
        "gpus": 8, "valid_from": "2026-01-01T00:00:00Z", "valid_to": None, "rate": "1.90", "list_rate": "2.00",
    }  # fmt: skip
    frame = contract_frame({"currency": "EUR", "rows": [row, {**row, "gpus": 16}]})
    [record] = contract_commitment_rows(frame, ISSUER, at_us=NOW, until_us=parse_instant("2026-01-02")).to_dicts()
    assert (record["ContractCommitmentQuantity"], record["ContractCommitmentCost"]) == ("384.0", "729.6")
    assert (record["ContractCommitmentDiscountPercentage"], record["InvoiceIssuerName"]) == ("0.05", "GPU platform")


def test_the_public_toolkit_accepts_the_dataset(tmp_path: Path) -> None:
    """Its linter finds nothing, and would find a word that FOCUS does not have."""
    file = CsvFile(tmp_path / "focus_1_4_contract_commitment.csv")
    rows = contract_commitment_rows(
        pl.DataFrame([contract(), contract(name="b", node="n?", to_us=None, list_rate_quanta=None)], schema=CONTRACTS),
        ISSUER, at_us=NOW, until_us=UNTIL,
    )  # fmt: skip
    file.write(rows)
    file.close()
    path = tmp_path / "focus_1_4_contract_commitment.csv"
    done = toolkit("validate", "--dataset", "contract-commitment", str(path))
    assert (done.returncode, "lint OK" in done.stdout) == (0, True), done.stdout + done.stderr
    path.write_text(path.read_text().replace("Availability", "Promise"))
    assert toolkit("validate", "--dataset", "contract-commitment", str(path)).returncode == 1
    assert len(read(path)) == 2


LEASE = f"""
[[price]]
model = "*"
contract = "rack-7"
rate = "2.000000001"
[[contract]]
name = "rack-7"
cluster = "c1"
gpus = 5
rate = "1.90"
from = "{iso(START_US)}"
"""


def test_a_lease_is_exported_with_the_bill_that_pays_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it was short of is a row of its closed bill, rows sum to the bill, and the lease is a record beside it."""
    with open_ledger(tmp_path / "ledger") as ledger:
        fill(ledger)
        prices(ledger, BOOK + LEASE)
        period = hours(0, 6)
        close(ledger, period)
        bill = Decimal(periods(ledger).rows[0].cost or 0)
    out = tmp_path / "out"
    asked = ["export", "focus", "--ledger", str(tmp_path / "ledger"), "--period", period.label, "--out", str(out)]
    assert main(asked) == 0
    capsys.readouterr()
    rows = read(out / "focus_1_4_cost_and_usage.csv")
    assert sum(Decimal(row["BilledCost"]) for row in rows) == bill
    [short] = [row for row in rows if row["ContractApplied"]]
    assert Decimal(short["BilledCost"]) > 0
    [lease] = read(out / "focus_1_4_contract_commitment.csv")
    assert (lease["ContractId"], Decimal(lease["ContractCommitmentQuantity"])) == ("rack-7", 30)
    done = toolkit("validate-bundle", "--directory", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
