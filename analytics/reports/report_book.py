"""A report as an Excel workbook: a sheet of what is to know, and a sheet for each table, with every row and figure.

Money, hours and shares are numbers in their format, text is text whatever it begins with, what is not known is empty.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

import xlsxwriter

from analytics.reports.report import Column, Kind, Report, Row, Section, Value, made_from_words
from analytics.words import printable
from gpuledger.rows import safe_cell

_FORMATS: Final = {Kind.MONEY: "#,##0.00", Kind.HOURS: "#,##0.0", Kind.RATIO: "0 %", Kind.COUNT: "0"}
_NO_SHEET_NAME: Final = re.compile(r"[\[\]:*?/\\']")
MOST_LETTERS: Final = 32_767  # of a cell


def report_xlsx(report: Report) -> bytes:
    """Return the workbook of a report."""
    data = io.BytesIO()
    with xlsxwriter.Workbook(data, {"constant_memory": True}) as book:
        book.set_properties({"title": text(f"{report.title}, {report.who}"), "created": _created(report)})
        _Book(book).write(report)
    return data.getvalue()


class _Book:
    """Formats of one workbook, and where they are written."""

    def __init__(self, book: Any) -> None:  # noqa: ANN401 - a workbook of the library
        self._book = book
        self._bold = book.add_format({"bold": True})
        self._head = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "bottom"})
        self._wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        self._kinds = {kind: book.add_format({"num_format": shown}) for kind, shown in _FORMATS.items()}
        self._sums = {
            kind: book.add_format({"num_format": shown, "bold": True, "top": 1}) for kind, shown in _FORMATS.items()
        }
        self._sum = book.add_format({"bold": True, "top": 1})

    def write(self, report: Report) -> None:
        """Write all sheets."""
        self._overview(report)
        for section in report.sections:
            if section.table and section.table.rows:
                self._section(section, [f"Covers {report.covers}"] if report.covers else [])

    def _overview(self, report: Report) -> None:
        sheet = self._book.add_worksheet("Report")
        sheet.set_column(0, 0, 30)
        sheet.set_column(1, 1, 90)
        facts: list[tuple[str, Value, Kind]] = [
            (report.title, report.who, Kind.TEXT),
            ("Period", report.period, Kind.TEXT),
            ("Standing", report.standing, Kind.TEXT),
            *([(f"Amount, {report.currency}", report.amount, Kind.MONEY)] if report.currency else []),
            *([("Alarm", report.alarm, Kind.TEXT)] if report.alarm else []),
            ("Finding", report.finding, Kind.TEXT),
            *((fact.name, fact.value, fact.kind) for fact in report.facts),
            *(("Warning", warning, Kind.TEXT) for warning in report.warnings),
            *((section.title, section.finding, Kind.TEXT) for section in report.sections),
            (made_from_words(report), report.made_from, Kind.TEXT),
        ]
        for at, (name, value, kind) in enumerate(facts):
            sheet.write_string(at, 0, text(name), self._bold)
            self._cell(sheet, (at, 1), value, self._kinds.get(kind, self._wrapped))

    def _section(self, section: Section, covers: list[str]) -> None:
        assert section.table
        sheet = self._book.add_worksheet(_NO_SHEET_NAME.sub(" ", section.title)[:31])
        sheet.freeze_panes(1, 0)
        columns, rows = section.table.columns, section.table.rows
        for at, column in enumerate(columns):
            sheet.write_string(0, at, text(column.head), self._head)
            sheet.set_column(at, at, _width(at, column, rows))
        for number, row in enumerate(rows, start=1):
            for at, value in enumerate(row.values):
                self._cell(sheet, (number, at), value, self._kinds.get(columns[at].kind))
        below = len(rows) + 1
        if section.table.total:
            for at, value in enumerate(section.table.total.values):
                self._cell(sheet, (below, at), value, self._sums.get(columns[at].kind, self._sum))
            below += 1
        for at, note in enumerate([*section.notes, f"Rows: {section.command}", *covers]):
            sheet.write_string(below + 1 + at, 0, text(note))

    @staticmethod
    def _cell(sheet: Any, at: tuple[int, int], value: Value, shown: Any) -> None:  # noqa: ANN401 - of the library
        """Write a value as what it is; what is not known stays empty."""
        if isinstance(value, str):
            sheet.write_string(*at, text(value), shown)
        elif value is not None:
            sheet.write_number(*at, value, shown)


def text(value: str) -> str:
    """Return text that no spreadsheet runs, cuts off a file at, or refuses."""
    return str(safe_cell(printable(value)))[:MOST_LETTERS]


def _width(at: int, column: Column, rows: Sequence[Row]) -> int:
    if column.kind is not Kind.TEXT:
        return max(12, min(24, len(column.head) + 2))
    return max(12, min(60, 2 + max((len(str(row.values[at] or "")) for row in rows), default=0)))


def _created(report: Report) -> datetime:
    """Return the instant that a workbook bears: until when its data reaches, so that a reprint is the same file."""
    return datetime.fromisoformat(report.as_of).replace(tzinfo=None) if report.as_of else datetime(1980, 1, 1)  # noqa: DTZ001 - a file's own clock has no zone
