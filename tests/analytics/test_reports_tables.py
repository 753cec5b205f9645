"""Flat exports: the same bill as CSV, Parquet and Excel, exact, and harmless to open."""

from __future__ import annotations

import zipfile
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree as ET

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from analytics.reports.files import Sheet, Workbook
from collector.queries.billing import invoices
from collector.queries.charge_id import parse_charge_id
from collector.queries.chargeback import chargeback
from collector.queries.explain import explain
from gpuledger.accounting.periods import parse_period
from tests.analytics.focus_checks import read
from tests.analytics.ledgers import billed_ledger, export, hours
from tests.collector.fleet import open_ledger

ALL = hours(0, 6).label
TABLES = ("charges", "usage_by_hour", "invoices", "invoice_lines", "corrections")
MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return billed_ledger(tmp_path_factory.mktemp("ledger"))


def written(ledger: Path, out: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> dict[str, int]:
    """Export flat tables and return their rows."""
    found = export(capsys, kind, "--ledger", str(ledger), "--period", ALL, "--out", str(out))
    assert {Path(row["file"]).name for row in found["rows"]} == {path.name for path in out.iterdir()}
    return {row["table"]: row["rows"] for row in found["rows"]}


def sheets(path: Path) -> dict[str, list[list[str | None]]]:
    """Return the cells of a workbook as its XML has them; a formula would be a cell with an `f`."""
    with zipfile.ZipFile(path) as book:
        names = [sheet.get("name") or "" for sheet in ET.fromstring(book.read("xl/workbook.xml")).iter(f"{MAIN}sheet")]
        roots = [ET.fromstring(book.read(f"xl/worksheets/sheet{at}.xml")) for at in range(1, len(names) + 1)]
    assert not [cell for root in roots for cell in root.iter(f"{MAIN}f")]
    return {
        name: [
            [(cell.findtext(f".//{MAIN}t") or cell.findtext(f"{MAIN}v")) for cell in row]
            for row in root.iter(f"{MAIN}row")
        ]
        for name, root in zip(names, roots, strict=True)
    }


def test_parquet_holds_exact_decimals_that_sum_to_the_bill(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Money is decimal128 of nine places; charges and hours of usage sum to chargeback, by team too."""
    rows = written(ledger, tmp_path, "parquet", capsys)
    tables = {name: pq.read_table(tmp_path / f"{name}.parquet") for name in TABLES}
    assert {name: table.num_rows for name, table in tables.items()} == rows
    assert tables["charges"].schema.field("cost").type == pa.decimal128(38, 9)
    assert tables["invoices"].schema.field("payable").type == pa.decimal128(38, 2)
    with open_ledger(ledger) as opened:
        expected = chargeback(opened, parse_period(ALL))
        documents = invoices(opened).rows
    for name in ("charges", "usage_by_hour"):
        costs = tables[name]["cost"].to_pylist()
        assert sum(costs) == Decimal(expected.total.cost or 0)
        teams = pl.from_arrow(tables[name]).group_by("team").agg(pl.col("cost").sum())
        assert dict(teams.drop_nulls().iter_rows()) == {
            row.key: Decimal(row.cost or 0) for row in expected.rows if row.kind == "owner"
        }
    assert tables["invoices"]["payable"].to_pylist() == [Decimal(each.payable) for each in documents]
    assert sum(tables["invoice_lines"]["payable"].to_pylist()) == sum(Decimal(each.payable) for each in documents)
    assert sum(tables["corrections"]["cost"].to_pylist()) == 0
    assert tables["corrections"]["gpu_hours"].to_pylist() == [Decimal("0.142857142778"), Decimal("-0.142857142778")]


def test_csv_is_the_same_in_text_and_runs_nothing(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text that begins like a formula gets an apostrophe, amounts stay numbers, what is not known is nothing."""
    rows = written(ledger, tmp_path, "csv", capsys)
    charges = read(tmp_path / "charges.csv")
    assert len(charges) == rows["charges"]
    assert {row["project"] for row in charges} == {"", "'=captions"}
    assert charges[0]["hour"] == hours(0, 1).label[:20]
    unseen = [row for row in charges if row["state"] == "unobserved"]
    assert {(row["active_gpu_hours"], row["active_cost"], row["holder"]) for row in unseen} == {("", "", "")}
    assert {row["cost"][0] for row in read(tmp_path / "corrections.csv")} == {"-", "0"}


def test_each_charge_has_the_name_by_which_it_is_explained(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No two have the same, and `explain` finds what the line says; a correction has that of what it corrects."""
    written(ledger, tmp_path, "csv", capsys)
    charges = read(tmp_path / "charges.csv")
    assert len({row["charge"] for row in charges}) == len(charges)
    with open_ledger(ledger) as opened:
        for row in charges[:: len(charges) // 5]:
            found = explain(opened, charge=parse_charge_id(row["charge"]))
            assert (Decimal(found.cost or 0), found.team or "") == (Decimal(row["cost"]), row["team"])
    assert {row["charge"].partition("@")[0] for row in read(tmp_path / "corrections.csv")} == {hours(1, 2).label[:13]}


def test_a_workbook_has_a_sheet_for_each_table(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Heads, all rows, numbers as numbers, and text that no spreadsheet runs."""
    rows = written(ledger, tmp_path, "xlsx", capsys)
    found = sheets(tmp_path / "gpuledger.xlsx")
    assert [len(cells) - 1 for cells in found.values()] == [rows[name] for name in TABLES]
    head, *body = found["Charges"]
    assert head[:3] == ["hour", "cluster", "node"]
    assert "'=captions" in {cell for row in body for cell in row}
    assert "2.491500007" in {cell for row in body for cell in row}


def test_a_table_that_a_sheet_cannot_hold_goes_on_in_the_next(tmp_path: Path) -> None:
    """Each sheet has its head, and no row is lost."""
    with Workbook(tmp_path / "long.xlsx") as book:
        sheet = Sheet(book, "Charges", sheet_rows=4)
        sheet.write(pl.DataFrame({"n": [1, 2], "text": ["{=1+1}", None]}))
        sheet.write(pl.DataFrame({"n": [3, 4, 5, 6, 7], "text": ["http://x", "+1", "+x", "mailto:a", "@x"]}))
    found = sheets(tmp_path / "long.xlsx")
    assert [[row[0] for row in cells] for cells in found.values()] == [
        ["n", "1", "2", "3"],
        ["n", "4", "5", "6"],
        ["n", "7"],
    ]
    assert [row[1] for row in found["Charges 2"]] == ["text", "+1", "'+x", "mailto:a"]
