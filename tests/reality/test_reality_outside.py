"""Documents that others really wrote, held against ledgers: a provider's bill, and the accounting of a Slurm cluster."""

from __future__ import annotations

import csv
import json
import os
from decimal import Decimal
from pathlib import Path

import pytest

from gpuledger.cli.main import main
from tests.analytics.ledgers import billed_ledger

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data")
EXAMPLES = ROOT / "docs" / "examples"


def data(name: str) -> Path:
    """Return a file of the real data, or skip; in CI its absence is a failure."""
    path = DATA / name
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    return path


def test_every_row_of_a_real_bill_is_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A bill of AWS and Oracle without GPU machines: what is left out sums to all of it, to the last digit."""
    path = data("focus_sample/focus_1_0_sample.csv")
    ledger = billed_ledger(tmp_path / "ledger")
    given = ["--ledger", str(ledger), "--period", "2024-09", "--format", "json", "--against-bill", str(path)]
    assert main(["reconcile", *given]) == 0, capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    with path.open(newline="") as file:
        costs = [Decimal(row["BilledCost"]) for row in csv.DictReader(file)]
    assert sum(each["rows"] for each in answer["left_out"]) == len(costs) == 478
    assert sum(Decimal(each["cost"]) for each in answer["left_out"]) == sum(costs)
    assert not any(each["unreadable"] for each in answer["left_out"])
    assert answer["files"] == [{"file": path.name, "focus": "1.0"}]


def test_machines_of_a_real_bill_that_a_map_names_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A resource of the bill is taken for a GPU machine: its usage is billed as the bill says, row by row."""
    path = data("focus_sample/focus_1_0_sample.csv")
    with path.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["ChargePeriodStart"] >= "2024-09-01"]
    instance = next(row["ResourceId"] for row in rows if row["PricingUnit"] == "Hours" and row["ResourceId"] != "NULL")
    expected = sum(
        (
            Decimal(row["BilledCost"])
            for row in rows
            if row["ResourceId"] == instance and row["ChargePeriodStart"] < "2024-10-01"
        ),
        Decimal(0),
    )
    mapping = tmp_path / "map.toml"
    mapping.write_text(f'[machines]\n"{instance}" = "node-a"\n[exchange]\nUSD = "1"\n')
    ledger = billed_ledger(tmp_path / "ledger")
    given = ["--ledger", str(ledger), "--period", "2024-09", "--format", "json", "--map", str(mapping)]
    assert main(["reconcile", *given, "--against-bill", str(path)]) in (0, 3), capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    assert Decimal(answer["billed"]) == expected
    assert sum(map(Decimal, answer["causes"].values())) == expected


def test_jobs_that_came_from_sacct_differ_from_it_by_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The log of a real cluster imported, and held against itself: every job agrees to the microsecond."""
    path = data("slurm_fox_sonar/sacct_output.txt")
    mapping, ledger = str(EXAMPLES / "fox-sacct.toml"), str(tmp_path / "ledger")
    assert main(["import", "jobs", str(path), "--source", "sacct", "--map", mapping, "--ledger", ledger]) == 0
    capsys.readouterr()
    given = ["--ledger", ledger, "--format", "json", "--map", mapping, "--against-sacct", str(path)]
    assert main(["reconcile", "--period", "2025-09", *given]) == 0, capsys.readouterr().err
    answer = json.loads(capsys.readouterr().out)
    assert (answer["difference"], answer["causes"]) == ("0", {})
    assert len(answer["rows"]) > 50
    assert Decimal(answer["sacct_gpu_seconds"]) > 10**6
