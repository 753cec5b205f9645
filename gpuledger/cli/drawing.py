"""How tables look on a terminal: quiet lines, figures to the right, a total, and what to know below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


class Column(NamedTuple):
    """A column: its head (with the unit) and whether it holds words or figures."""

    head: str
    words: bool = False


def words(head: str) -> Column:
    """Return a column of words."""
    return Column(head, words=True)


def figures(head: str) -> Column:
    """Return a column of figures, lined up on the right."""
    return Column(head)


class Line(NamedTuple):
    """One line; `aside` is dimmed, `total` is set off and bold."""

    cells: Sequence[str]
    kind: str = ""


def draw(title: str, columns: Sequence[Column], lines: Iterable[Line], notes: Sequence[str] = ()) -> RenderableType:
    """Return a table under its title, and notes below it."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for column in columns:
        if column.words:
            table.add_column(column.head, overflow="fold", min_width=12)
        else:
            table.add_column(column.head, justify="right", no_wrap=True)
    empty = True
    for line in lines:
        empty = False
        if line.kind == "total":
            table.add_section()
        table.add_row(*(Text(cell) for cell in line.cells), style=_STYLES.get(line.kind, ""))
    body: RenderableType = Text("Nothing in this period.", style="dim") if empty else table
    remarks = [Text(note, style="yellow" if note.startswith("!") else "dim") for note in notes]
    return Group(Text(title, style="bold"), Text(""), body, *([Text("")] if remarks else []), *remarks)


_STYLES = {"aside": "dim", "total": "bold", "failed": "bold red"}
