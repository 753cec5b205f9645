"""Flat exports: charges, usage by hour, invoices, their lines and corrections, as CSV, Parquet or one workbook."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import polars as pl

from analytics.bill_lines import read_charges, read_lines
from analytics.reports.files import CsvFile, ParquetFile, TableFile, Workbook
from analytics.reports.focus_periods import CLOSED
from analytics.reports.tables import charge_table, hour_table, invoice_line_table, invoice_table
from gpuledger.accounting.periods import Period, parse_instant, require_hours
from gpuledger.cli.export_files import all_or_none
from gpuledger.cli.sources import Document, Source, wanted_period

NAMES: Final = {
    "charges": "Charges",
    "usage_by_hour": "Usage by hour",
    "invoices": "Invoices",
    "invoice_lines": "Invoice lines",
    "corrections": "Corrections",
}
WORKBOOK: Final = "gpuledger.xlsx"


def export_tables(source: Source, args: argparse.Namespace) -> Document:
    """Write the tables as `args.kind` into `args.out`; return how many rows each has.

    Charges are those of the hours of `args.period`; invoices and corrections those of the closed billing periods that
    lie inside it whole.
    """
    period = require_hours(wanted_period(source, args.period))
    with all_or_none(args.out) as folder:
        tables = _Tables(args.kind, folder)
        for charges in map(charge_table, read_charges(source, period)):
            tables.write("charges", charges)
            tables.write("usage_by_hour", hour_table(charges))
        _write_invoices(source, period, tables)
        tables.write("corrections", charge_table(read_lines(source, period, kind="correction")))
        tables.close()
    rows = [{"table": name, "rows": tables.rows[name], "file": str(args.out / tables.file(name))} for name in NAMES]
    return {"period": period.label, "kind": args.kind, "rows": rows}


def _write_invoices(source: Source, period: Period, tables: _Tables) -> None:
    labels = {
        row["label"]
        for row in source.query("periods", {})["rows"]
        if row["state"] == CLOSED
        and parse_instant(row["from"]) >= period.start_us
        and parse_instant(row["to"]) <= period.end_us
    }
    listing = source.query("invoices", {})
    numbers = [row["number"] for row in listing["rows"] if row["period"] in labels]
    documents = [source.query("invoice", {"number": str(number)}) for number in numbers]
    tables.write("invoices", invoice_table(listing, numbers))
    tables.write("invoice_lines", invoice_line_table(documents))


class _Tables:
    """The tables of one export while they grow: a file each, or a sheet each of one workbook."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._kind = kind
        self._book = Workbook(folder / WORKBOOK) if kind == "xlsx" else None
        opens: dict[str, Callable[[str], TableFile]] = {
            "csv": lambda name: CsvFile(folder / self.file(name)),
            "parquet": lambda name: ParquetFile(folder / self.file(name)),
            "xlsx": self._sheet,
        }
        self._tables = {name: opens[kind](name) for name in NAMES}
        self.rows = dict.fromkeys(NAMES, 0)

    def file(self, name: str) -> str:
        """Return the name of the file that holds a table."""
        return WORKBOOK if self._kind == "xlsx" else f"{name}.{self._kind}"

    def write(self, name: str, frame: pl.DataFrame) -> None:
        """Add rows to a table."""
        self._tables[name].write(frame)
        self.rows[name] += len(frame)

    def close(self) -> None:
        """Finish all files."""
        for table in self._tables.values():
            table.close()
        if self._book:
            self._book.close()

    def _sheet(self, name: str) -> TableFile:
        assert self._book
        return self._book.sheet(NAMES[name])
