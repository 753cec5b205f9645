"""Addresses within the pages: each view is a page and what was chosen on it, so that a link can be sent. Pure."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

PAGE_ROWS: Final = 25


def link(page: str, **chosen: str) -> str:
    """Return the address of a page, relative to any other, with what is chosen; what is empty is left out."""
    query = urlencode({name: value for name, value in chosen.items() if value})
    return f"{page or '.'}?{query}" if query else page or "."


def first_row(text: str | None) -> int:
    """Return the row that an address begins with; 0 where it says none that can be."""
    known = text is not None and text.isascii() and text.isdecimal() and len(text) < 9
    return int(text) // PAGE_ROWS * PAGE_ROWS if known and text else 0


def rows_shown(first: int, shown: int, count: int) -> str:
    """Return `26 to 50 of 434`."""
    return f"{first + 1:,} to {first + shown:,} of {count:,}"


def beside(page: str, first: int, count: int, **chosen: str) -> tuple[str, str]:
    """Return the addresses of the rows before and after a page of them; empty where there are none."""
    before = link(page, **chosen, **({"first": str(first - PAGE_ROWS)} if first > PAGE_ROWS else {}))
    after = link(page, **chosen, first=str(first + PAGE_ROWS))
    return before if first else "", after if first + PAGE_ROWS < count else ""
