"""Patterns over names: `*` matches any run of characters, `?` any one; everything else stands for itself."""

from __future__ import annotations

import re
from functools import lru_cache


def is_glob(pattern: str) -> bool:
    """Return whether `pattern` can match more than its own text."""
    return "*" in pattern or "?" in pattern


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str]:
    wild = {"*": ".*", "?": "."}
    return re.compile("".join(wild.get(character, re.escape(character)) for character in pattern), re.DOTALL)


def matches(pattern: str, value: str) -> bool:
    """Return whether the whole of `value` matches `pattern`, with upper and lower case told apart."""
    return _compiled(pattern).fullmatch(value) is not None


def literal_characters(pattern: str) -> int:
    """Return how many characters a pattern fixes: of two globs the one that fixes more is the more specific."""
    return sum(character not in "*?" for character in pattern)


def may_both_match(a: str, b: str) -> bool:
    """Return whether some text matches both patterns."""
    row = [True]  # for each beginning of b: whether it and the beginning of a so far may match one text
    for other in b:
        row.append(other == "*" and row[-1])
    for one in a:
        above, row = row, [one == "*" and row[0]]
        for j, other in enumerate(b):
            if "*" in (one, other):
                row.append(above[j + 1] or row[j])
            else:
                row.append(above[j] and (one == other or "?" in (one, other)))
    return row[-1]
