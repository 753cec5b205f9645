"""What a report is made of, whatever it is written as: facts, sections with their tables and charts, typed figures.

A figure keeps its exact value until it is written: money is a Decimal, hours and energy are the collector's numbers,
and None is what nobody knows. So the page, the PDF and the workbook say the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

Value = str | int | float | Decimal | None


class Kind(Enum):
    """What a column holds, and so how it is written."""

    TEXT = "text"
    MONEY = "money"
    HOURS = "hours"  # also kilowatt-hours and kilograms: a tenth is shown
    RATIO = "ratio"
    COUNT = "count"


class Column(NamedTuple):
    """A column of a table: its head, with the unit, and its kind."""

    head: str
    kind: Kind = Kind.TEXT


class Row(NamedTuple):
    """A row of a table; `aside` is time that is nobody's, `total` stands under all others."""

    values: Sequence[Value]
    style: str = ""


class Table(NamedTuple):
    """A table; a page shows its first `shown` rows and its total, a workbook all of it."""

    columns: Sequence[Column]
    rows: Sequence[Row]
    total: Row | None = None
    shown: int = 12


class Section(NamedTuple):
    """One question of a report: the finding, a picture, the figures, what they leave out, and where their rows are."""

    title: str
    finding: str
    command: str  # prints the rows behind it
    table: Table | None = None
    chart: str = ""  # SVG
    notes: Sequence[str] = ()


class Fact(NamedTuple):
    """One figure of the report's head."""

    name: str
    value: Value
    kind: Kind = Kind.TEXT


class Report(NamedTuple):
    """A report of one period; `amount` is None where nothing has a price. One without a currency is of no money.

    `alarm` stands over all else; `foot` says how to read such a report, where that is not how money is read.
    `covers` is what stands behind each figure: the period, how much of it is known, whether it can still change.
    """

    title: str
    who: str
    period: str
    standing: str  # final or provisional, and until when data reaches
    amount: Decimal | None
    currency: str
    finding: str
    facts: Sequence[Fact]
    warnings: Sequence[str]
    sections: Sequence[Section]
    made_from: str  # the digest of the closed bill, or until when the ledger is known
    as_of: str | None
    alarm: str = ""
    foot: str = ""
    covers: str = ""


def made_from_words(report: Report) -> str:
    """Return what `made_from` is of a report."""
    return "Digest of the closed bill" if report.currency else "Root of the audit log"
