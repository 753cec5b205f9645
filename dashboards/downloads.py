"""What is seen, to take away: as CSV and as an Excel workbook, in which no cell is run as a formula."""

from __future__ import annotations

import io
import re
from typing import Final

import streamlit as st

from dashboards.view_models import Table
from gpuledger.rows import csv_bytes

_UNSAFE: Final = re.compile(r"[^\w.-]+")
_NUMBER: Final = re.compile(r"-?[\d,]+(\.\d+)?")
XLSX: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def offer(table: Table, name: str) -> None:
    """Draw the two buttons; the files are made when one is pressed."""
    file = file_name(name)
    left, right, _ = st.columns([1, 1, 4])
    left.download_button("CSV", lambda: as_csv(table), f"{file}.csv", "text/csv", key=f"csv {name}", width="stretch")
    right.download_button("Excel", lambda: as_xlsx(table), f"{file}.xlsx", XLSX, key=f"xlsx {name}", width="stretch")


def file_name(name: str) -> str:
    """Return a name that every file system takes."""
    return _UNSAFE.sub("-", name).strip("-.")[:100] or "table"


def as_csv(table: Table) -> bytes:
    """Return what a table shows; text that a spreadsheet would run gets an apostrophe before it."""
    columns, rows = _plain(table)
    return csv_bytes(columns, [dict(zip(columns, row, strict=True)) for row in rows])


def as_xlsx(table: Table) -> bytes:
    """Return the same as a workbook: figures are numbers, and text is written as text, whatever it begins with."""
    from xlsxwriter import Workbook  # noqa: PLC0415 - only where somebody asks for it

    columns, rows = _plain(table)
    buffer = io.BytesIO()
    with Workbook(buffer, {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("gpuledger")
        heading = book.add_format({"bold": True})
        for column, title in enumerate(columns):
            sheet.write_string(0, column, title, heading)
        for at, row in enumerate(rows, start=1):
            for column, text in enumerate(row):
                if column >= table.words and _NUMBER.fullmatch(text):
                    sheet.write_number(at, column, float(text.replace(",", "")))
                else:
                    sheet.write_string(at, column, text)
        sheet.freeze_panes(1, 0)
        sheet.autofit()
    return buffer.getvalue()


def _plain(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return headings and rows; what stands small below a name is a column of its own, and figures have no commas."""
    noted = any(line.small for line in table.lines)
    columns = [*table.headers, "Note"] if noted else list(table.headers)
    rows = []
    for line in table.lines:
        cells = [text if at < table.words else _figure(text) for at, text in enumerate(line.cells)]
        rows.append([*cells, line.small] if noted else cells)
    return columns, rows


def _figure(text: str) -> str:
    return text.replace(",", "") if _NUMBER.fullmatch(text) else text
