"""Rows of an answer laid out flat, the same over HTTP and at the command line: columns for CSV, Arrow and Parquet."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

Row = Mapping[str, Any]
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_NUMBER: Final = re.compile(r"[+-]?\d+(\.\d+)?")


def flat_rows(rows: Sequence[Row]) -> tuple[list[str], list[dict[str, Any]]]:
    """Return all columns, in the order of the rows' fields, and every row with each of them, None where it has none.

    What a row holds by name is spread over columns (`states` of `idle` becomes `states.idle`); a list is counted.
    """
    flat = [_flat(row) for row in rows]
    columns: dict[str, None] = {}
    for field in rows[0] if rows else ():
        for row in flat:
            columns |= dict.fromkeys(name for name in row if name == field or name.startswith(f"{field}."))
    return list(columns), [{name: row.get(name) for name in columns} for row in flat]


def with_context(answer: Row, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of an answer, each with the period and the currency that the answer is in, where it has both.

    A table that leaves the program stands alone: in a folder of them nobody knows which month an amount is of.
    """
    period = answer.get("period")
    if "currency" not in answer or not isinstance(period, Mapping):
        return list(rows)
    context = {"period": period["label"], "currency": answer["currency"]}
    return [{**row, **{name: value for name, value in context.items() if name not in row}} for row in rows]


def csv_bytes(columns: Sequence[str], rows: Sequence[Row]) -> bytes:
    """Return flat rows as CSV. Text that a spreadsheet would run as a formula gets an apostrophe before it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode()


def _flat(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name}.{inner}": each for inner, each in value.items()}
        else:
            found[name] = len(value) if isinstance(value, list) else value
    return found


def safe_cell(value: object) -> object:
    """Return a value that no spreadsheet runs: text that begins like a formula gets an apostrophe before it."""
    if isinstance(value, str) and value.startswith(FORMULA_STARTS) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value
