"""Rows of an answer laid out flat."""

from __future__ import annotations

import csv
import io

import pytest

from gpuledger.rows import csv_bytes, flat_rows, with_context


def test_what_a_row_holds_by_name_becomes_columns_of_its_field() -> None:
    """Columns stand in the order of the fields, those of one field together; what a row lacks is None."""
    columns, rows = flat_rows([
        {"key": "a", "states": {"idle": 1}, "found": ["x", "y"]},
        {"key": "b", "states": {"active": 2}, "found": []},
    ])  # fmt: skip
    assert columns == ["key", "states.idle", "states.active", "found"]
    assert rows == [
        {"key": "a", "states.idle": 1, "states.active": None, "found": 2},
        {"key": "b", "states.idle": None, "states.active": 2, "found": 0},
    ]


def test_no_rows_are_no_columns() -> None:
    """An answer without rows is not a reason to fail."""
    assert flat_rows([]) == ([], [])


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-cmd|' /C calc'!A0", "@SUM(A1)", "\tx"])
def test_a_name_that_a_spreadsheet_would_run_is_text(text: str) -> None:
    """A hostile name gets an apostrophe: spreadsheets show it instead of running it."""
    [row] = csv.DictReader(io.StringIO(csv_bytes(["key"], [{"key": text}]).decode(), newline=""))
    assert row["key"] == f"'{text}"


@pytest.mark.parametrize("value", ["-12.50", "+3", -4, None, "vision", "a,b\nc"])
def test_everything_else_is_written_as_it_is(value: object) -> None:
    """Money below zero is text that is a number, and stays one."""
    [row] = csv.DictReader(io.StringIO(csv_bytes(["key", "z"], [{"key": value, "z": 1}]).decode(), newline=""))
    assert row["key"] == ("" if value is None else str(value))


def test_rows_of_money_say_their_period_and_currency() -> None:
    """A table leaves alone, so that each row says what it is of; a row that says so itself keeps its own."""
    answer = {"period": {"label": "2026-10"}, "currency": "EUR"}
    assert with_context(answer, [{"key": "a"}, {"key": "b", "period": "2026-09"}]) == [
        {"key": "a", "period": "2026-10", "currency": "EUR"},
        {"key": "b", "period": "2026-09", "currency": "EUR"},
    ]
    assert with_context({"period": {"label": "2026-10"}}, [{"key": "a"}]) == [{"key": "a"}]
