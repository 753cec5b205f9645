"""`reconcile --against-bill`: a provider's bill against the ledger, differences by cause, bad bills refused."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.cli.main import main
from tests.analytics.bills import VERSIONS, bill_csv, charge
from tests.collector.batches import device, records
from tests.collector.fleet import open_ledger, prices, usage_frame

DAY_US = 1_780_000_000_000_000 // US_PER_DAY * US_PER_DAY
PERIOD = f"{iso(DAY_US)}..{iso(DAY_US + US_PER_DAY)}"
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "NVIDIA H100 80GB HBM3"\nrate = "2.50"\n'


def at(hour: float) -> str:
    return iso(DAY_US + int(hour * US_PER_HOUR))


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two GPUs of node-a for four hours (20.00), two of node-b for two hours (10.00)."""
    folder = tmp_path_factory.mktemp("ledger")
    with open_ledger(folder) as opened:
        for node, first, length in (("node-a", 0, 4), ("node-b", 0, 2)):
            numbers = (1, 2) if node == "node-a" else (3, 4)
            usage = [
                record
                for number in numbers
                for record in records(f"GPU-{number:04d}", DAY_US + first * US_PER_HOUR, DAY_US + length * US_PER_HOUR)
            ]
            devices = [device(number) for number in numbers]
            assert opened.ingest([usage_frame(0, usage, devices, agent=node, cluster=f"of-{node}")])[0].taken
        prices(opened, BOOK)
    return folder


def hourly(node: str, hours: int, cost: str = "5.00", **changes: Any) -> list[dict[str, Any]]:
    return [charge(at(hour), at(hour + 1), f"arn:cloud:{node}", cost, **changes) for hour in range(hours)]


def compare(
    capsys: pytest.CaptureFixture[str], ledger: Path, *arguments: object, period: str = PERIOD, code: int | None = None
) -> dict[str, Any]:
    capsys.readouterr()
    found = main([
        "reconcile", "--ledger", str(ledger), "--period", period, "--format", "json", "--against-bill",
        *map(str, arguments),
    ])  # fmt: skip
    shown = capsys.readouterr()
    assert found in ((code,) if code is not None else (0, 3)), shown.err
    answer: dict[str, Any] = json.loads(shown.out)
    for part in (answer, *answer["rows"]):
        causes = sum(map(Decimal, part["causes"].values()))
        assert causes == Decimal(part["difference"]) == Decimal(part["billed"]) - Decimal(part["ledger"])
    assert sum(Decimal(row["billed"]) for row in answer["rows"]) == Decimal(answer["billed"])
    return answer


def refused(capsys: pytest.CaptureFixture[str], ledger: Path, *arguments: object, code: int = 1) -> str:
    capsys.readouterr()
    given = ["--ledger", str(ledger), "--period", PERIOD, "--against-bill", *map(str, arguments)]
    assert main(["reconcile", *given]) == code
    return capsys.readouterr().err


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
def test_a_bill_that_says_the_same_has_no_difference(
    version: str, kind: str, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In each version's columns, as CSV, compressed and as Parquet with real types; the exit code is 0."""
    rows = [*hourly("node-a", 4), *hourly("node-b", 2)]
    path = bill_csv(tmp_path / f"bill.{kind.replace('parquet', 'csv')}", rows, version)
    if kind == "parquet":
        frame = pl.read_csv(path, infer_schema=False).with_columns(
            pl.col("BilledCost").cast(pl.Decimal(30, 10)),
            pl.col("PricingQuantity").cast(pl.Float64),
            *(pl.col(f"ChargePeriod{end}").str.to_datetime(time_zone="UTC") for end in ("Start", "End")),
        )
        path = tmp_path / "bill.parquet"
        frame.write_parquet(path)
    answer = compare(capsys, ledger, path, code=0)
    assert (answer["billed"], answer["ledger"], answer["causes"]) == ("30.00", "30.00", {})
    assert answer["files"][0]["focus"] == version
    assert {row["node"]: row["billed_gpu_hours"] for row in answer["rows"]} == {"node-a": 8.0, "node-b": 4.0}


def test_each_cause_has_its_own_sum(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hours at the ledger's rate, the rate at the billed hours, rows of other kinds, and machines of one side alone."""
    rows = [
        *hourly("node-a", 6, "6.00"),
        *hourly("unknown", 1, "9.00"),
        charge(at(0), at(24), "arn:cloud:node-a", "-1.50", ChargeCategory="Credit"),
        charge(at(0), at(24), "arn:cloud:node-a", "-0.25", ChargeCategory="Usage"),
        charge(at(0), at(24), "arn:cloud:node-a", "0.75", ChargeCategory="Tax", PricingUnit=None),
        charge(at(0), at(24), "arn:cloud:node-a", "0.10", PricingUnit="GB"),
        charge(at(0), at(24), "arn:cloud:node-a", "0.0000000001", ChargeClass="Correction"),
        charge(at(0), at(24), None, "7.00", ChargeCategory="Tax"),
        charge(at(0), at(24), "bucket", "3.00", SkuPriceDetails=None),
        charge(at(-24), at(0), "arn:cloud:node-a", "4.00"),
    ]
    answer = compare(capsys, ledger, bill_csv(tmp_path / "bill.csv", rows), code=3)
    assert answer["causes"] == {
        "not_in_ledger": "9.00", "not_on_bill": "-10.00", "hours": "10.00", "rate": "6.00", "other_usage": "0.10",
        "credit": "-1.50", "refund": "-0.25", "tax": "0.75", "rounding": "0.0000000001",
    }  # fmt: skip
    assert [(each["why"], each["rows"], each["cost"]) for each in answer["left_out"]] == [
        ("of a GPU machine, in another period", 1, "4.00"),
        ("of no GPU machine", 1, "3.00"),
        ("tax of no resource", 1, "7.00"),
    ]
    assert compare(capsys, ledger, tmp_path / "bill.csv", "--tolerance", "100", code=0)["over_tolerance"] == 0


def test_a_charge_over_several_days_is_split_by_time(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What lies outside the period is left out, to the last digit, and the days sum to what lies inside."""
    rows = [charge(at(-24), at(48), "node-a", "10.00", PricingQuantity="6"), *hourly("node-b", 2)]
    path = bill_csv(tmp_path / "bill.csv", rows)
    inside = Decimal(compare(capsys, ledger, path)["billed"]) - 10
    three = Decimal(compare(capsys, ledger, path, period=f"{at(-24)}..{at(48)}")["billed"]) - 10
    assert three == 10
    assert abs(inside - Decimal(10) / 3) < Decimal("1e-17")


def test_reserved_and_on_demand_parts_and_parts_of_a_machine_are_one_machine(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two prices of one SKU in an hour add up to it; cores beside GPUs do not make it longer than it is."""
    rows = [
        *hourly("node-b", 2),
        *hourly("node-a", 3),
        charge(at(3), at(4), "node-a", "2.00", PricingQuantity="0.4", SkuPriceId="reserved"),
        charge(at(3), at(4), "node-a", "2.50", PricingQuantity="0.6", SkuPriceId="on-demand"),
        charge(at(3), at(4), "node-a", "0.50", PricingQuantity="24", SkuId="cores", SkuPriceDetails=None),
    ]
    answer = compare(capsys, ledger, bill_csv(tmp_path / "bill.csv", rows), code=0)
    assert {row["node"]: row["billed_gpu_hours"] for row in answer["rows"]}["node-a"] == 8.0


def test_a_map_pairs_resources_and_tags_with_nodes(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pair wins over a tag, a tag over names; SKUs of the map are GPU machines; the rule is said."""
    rows = [
        *[{**row, "ResourceId": "i-0a", "SkuPriceDetails": None} for row in hourly("x", 4)],
        *[{**row, "ResourceId": "i-0b", "Tags": '{"k8s/node":"NODE-B"}', "SkuPriceDetails": None} for row in hourly("x", 2)],
        *[{**row, "ResourceId": "i-0c", "SkuId": "g5.xlarge", "SkuPriceDetails": None} for row in hourly("x", 1)],
    ]  # fmt: skip
    mapping = tmp_path / "map.toml"
    mapping.write_text('[machines]\n"i-0a" = "node-a"\n[match]\ntag = "k8s/node"\n[gpu]\nskus = ["^g5"]\n')
    answer = compare(capsys, ledger, bill_csv(tmp_path / "bill.csv", rows), "--map", mapping)
    assert answer["causes"] == {"not_in_ledger": "5.00"}
    assert "the tag k8s/node" in answer["rule"]


def test_tags_of_parquet_are_maps(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs of key and value, as a provider's Parquet has them, or a structure: both hold the tag that a map names."""
    csv_path = bill_csv(tmp_path / "bill.csv", [{**row, "ResourceId": "i-0a"} for row in hourly("x", 4)])
    frame = pl.read_csv(csv_path, infer_schema=False).drop("Tags")
    mapping = tmp_path / "map.toml"
    mapping.write_text('[match]\ntag = "node"\n')
    pairs = frame.with_columns(pl.Series("Tags", [[{"key": "node", "value": "node-a"}]] * 4))
    structure = frame.with_columns(pl.Series("Tags", [{"node": "node-a"}] * 4))
    for tagged in (pairs, structure):
        tagged.write_parquet(tmp_path / "bill.parquet")
        answer = compare(capsys, ledger, tmp_path / "bill.parquet", "--map", mapping)
        assert answer["causes"] == {"not_on_bill": "-10.00"}


def test_another_currency_needs_a_rate(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without one it is refused; with one amounts are converted exactly and the rate is on the answer."""
    rows = [*hourly("node-a", 4, "10.00", BillingCurrency="USD"), *hourly("node-b", 2)]
    path = bill_csv(tmp_path / "bill.csv", rows)
    assert "--exchange-rate USD=" in refused(capsys, ledger, path, code=2)
    answer = compare(capsys, ledger, path, "--exchange-rate", "USD=0.5", code=0)
    assert answer["exchange_rates"] == {"USD": "0.5"}
    assert "is not an exchange rate" in refused(capsys, ledger, path, "--exchange-rate", "USD=-1", code=2)
    assert "write it as USD=0.92" in refused(capsys, ledger, path, "--exchange-rate", "0.92", code=2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"BilledCost": "five"}, "row 3: BilledCost is 'five', which is no number"),
        ({"BilledCost": "1,000.00"}, "which is no number"),
        ({"BilledCost": "NaN"}, "which is no number"),
        ({"BilledCost": None}, "BilledCost is nothing"),
        ({"ChargePeriodEnd": at(1)}, "which is no time after its start"),
        ({"ChargePeriodStart": "yesterday"}, "ChargePeriodStart is 'yesterday', which is no time"),
        ({"ChargeCategory": "Idle"}, "which FOCUS does not have"),
        ({"BillingCurrency": "NULL"}, "BillingCurrency is nothing"),
    ],
)
def test_a_row_that_cannot_be_right_is_named(
    changes: dict[str, Any], words: str, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """File, row, column, what stands there: the bill is refused, never read in part."""
    rows = hourly("node-a", 4)
    rows[2] = {**rows[2], **changes}
    assert words in refused(capsys, ledger, bill_csv(tmp_path / "bill.csv", rows))


def test_rows_that_stand_twice_are_refused_or_counted_as_asked(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One file given twice under two names is no double bill."""
    rows = [*hourly("node-a", 4), *hourly("node-b", 2)]
    one, other = bill_csv(tmp_path / "one.csv", rows), bill_csv(tmp_path / "other.csv.gz", rows, "1.3")
    assert "6 rows of the bill stand in it twice" in refused(capsys, ledger, one, other)
    answer = compare(capsys, ledger, one, other, "--duplicates", "drop", code=0)
    assert answer["duplicates_dropped"] == 6
    assert compare(capsys, ledger, one, other, "--duplicates", "keep", code=3)["billed"] == "60.00"


def test_files_that_are_no_bill_are_refused(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Other columns, other formats, broken files and missing ones: each is named."""
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    (tmp_path / "bill.xlsx").write_bytes(b"PK")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 and no more")
    assert "is no FOCUS bill: it has no column" in refused(capsys, ledger, tmp_path / "other.csv")
    assert "neither CSV nor Parquet" in refused(capsys, ledger, tmp_path / "bill.xlsx")
    assert "cannot read broken.parquet" in refused(capsys, ledger, tmp_path / "broken.parquet")
    assert "cannot read none.csv: no such file" in refused(capsys, ledger, tmp_path / "none.csv")


def test_a_running_collector_answers_the_same(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Over HTTP as from the folder; a table names causes, what was left out and the rule."""
    path = bill_csv(
        tmp_path / "bill.csv", [*hourly("node-a", 6, "6.00"), charge(at(0), at(1), None, "1", ChargeCategory="Tax")]
    )
    local = compare(capsys, ledger, path)
    settings = CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(directory=ledger))
    with running(settings) as url:
        given = ["reconcile", "--url", url, "--period", PERIOD, "--against-bill", str(path)]
        assert main([*given, "--format", "json"]) == 3
        assert json.loads(capsys.readouterr().out) == local
        assert main([*given, "--format", "table"]) == 3
    shown = capsys.readouterr().out
    assert "Not on the bill: nodes that it does not name" in shown
    assert "tax of no resource" in shown
    assert "is the node's name" in shown
