"""Files that grow frame by frame: CSV, Parquet, and sheets of one workbook. None of them holds more than a frame."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, Self

import polars as pl
import pyarrow.parquet as pq
import xlsxwriter

from gpuledger.rows import FORMULA_STARTS, safe_cell

SHEET_ROWS: Final = 1_048_576  # what a sheet of a workbook holds, its head included
_NUMBER: Final = r"^[+-]?\d+(\.\d+)?$"


class TableFile(Protocol):
    """Takes frames of one and the same schema, and is complete once it is closed."""

    def write(self, frame: pl.DataFrame) -> None:
        """Add the rows of `frame`."""
        ...

    def close(self) -> None:
        """Finish the file."""
        ...


class CsvFile:
    """A CSV file with a header, nulls as nothing, and no text that a spreadsheet would run."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._begun = False

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        guarded(frame).write_csv(
            self._file, include_header=not self._begun, datetime_format="%FT%TZ", quote_style="necessary"
        )
        self._begun = True

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class ParquetFile:
    """A Parquet file; amounts are decimal128."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writer: pq.ParquetWriter | None = None

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="zstd")
        self._writer.write_table(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer:
            self._writer.close()


class Workbook:
    """An Excel workbook, written row by row: a table that one sheet cannot hold goes on in the next one."""

    def __init__(self, path: Path) -> None:
        self._book = xlsxwriter.Workbook(
            str(path), {"constant_memory": True, "default_date_format": "yyyy-mm-dd hh:mm"}
        )
        self._head = self._book.add_format({"bold": True})

    def sheet(self, name: str) -> Sheet:
        """Return a new table of this workbook."""
        return Sheet(self, name)

    def add(self, name: str, columns: list[str]) -> Any:  # noqa: ANN401 - a worksheet of the library
        """Return a new worksheet with its head."""
        found = self._book.add_worksheet(name)
        found.freeze_panes(1, 0)
        for at, column in enumerate(columns):
            found.write_string(0, at, column, self._head)
            found.set_column(at, at, max(12, len(column) + 2))
        return found

    def close(self) -> None:
        """Finish the file."""
        self._book.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class Sheet:
    """One table of a workbook."""

    def __init__(self, book: Workbook, name: str, sheet_rows: int = SHEET_ROWS) -> None:
        self._book, self._name, self._sheet_rows = book, name, sheet_rows
        self._sheet: Any = None
        self._count, self._at = 0, 0

    def write(self, frame: pl.DataFrame) -> None:
        """Add rows."""
        if self._sheet is None:
            self._next(frame.columns)
        naive = frame.with_columns(pl.col(pl.Datetime("us", "UTC")).dt.replace_time_zone(None))
        for row in naive.iter_rows():
            if self._at == self._sheet_rows:
                self._next(frame.columns)
            for at, value in enumerate(row):
                self._write(at, value)
            self._at += 1

    def close(self) -> None:
        """Leave it to the workbook to finish the file."""

    def _write(self, at: int, value: object) -> None:
        """Write a cell as what it is: text never becomes a formula, a link or a number."""
        if isinstance(value, str):
            self._sheet.write_string(self._at, at, safe_cell(value))
        elif isinstance(value, datetime):
            self._sheet.write_datetime(self._at, at, value)
        elif value is not None:
            self._sheet.write_number(self._at, at, value)

    def _next(self, columns: list[str]) -> None:
        self._count, self._at = self._count + 1, 1
        self._sheet = self._book.add(self._name if self._count == 1 else f"{self._name} {self._count}", columns)


def guarded(frame: pl.DataFrame) -> pl.DataFrame:
    """Return a frame whose text no spreadsheet runs as a formula: an apostrophe stands before what begins like one."""
    text = pl.col(pl.String)
    formula = text.str.slice(0, 1).is_in(FORMULA_STARTS) & ~text.str.contains(_NUMBER)
    return frame.with_columns(pl.when(formula).then("'" + text).otherwise(text).name.keep())
