"""Tables that are taken away: what is seen, as text and numbers, and nothing that a spreadsheet would run."""

from __future__ import annotations

import io
import zipfile

import pytest

from dashboards import wording
from dashboards.downloads import as_csv, as_xlsx, file_name
from dashboards.view_models import Line, Table

ATTACKS = ("=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1")


def table(name: str, small: str = "") -> Table:
    return Table(
        ("Who", "Cost, EUR"), (Line("owner", (name, "1,234.50"), small), Line("total", ("Total", wording.UNKNOWN)))
    )


@pytest.mark.parametrize("attack", ATTACKS)
def test_text_that_a_spreadsheet_would_run_is_text(attack: str) -> None:
    """In CSV behind an apostrophe, in a workbook as a string; in names and in what stands below them."""
    lines = as_csv(table(attack, attack)).decode()
    assert f"'{attack}" in lines
    with zipfile.ZipFile(io.BytesIO(as_xlsx(table(attack, attack)))) as book:
        sheet = book.read("xl/worksheets/sheet1.xml").decode()
    assert "<f>" not in sheet


def test_figures_are_numbers_without_commas() -> None:
    """So that they add up in a spreadsheet; what is unknown stays a dash, and a note is a column of its own."""
    assert as_csv(table("ann", "vision")).decode() == 'Who,"Cost, EUR",Note\nann,1234.50,vision\nTotal,\N{EN DASH},\n'
    with zipfile.ZipFile(io.BytesIO(as_xlsx(table("ann")))) as book:
        assert "<v>1234.5</v>" in book.read("xl/worksheets/sheet1.xml").decode()


def test_a_name_of_a_file_is_one_everywhere() -> None:
    """Whatever the team is called."""
    assert file_name("../../etc/passwd by team") == "etc-passwd-by-team"
    assert file_name("") == "table"
    assert len(file_name("x" * 300)) == 100
