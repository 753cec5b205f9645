"""Patterns over names: `*` matches any run of characters, `?` any one; everything else stands for itself."""

from __future__ import annotations

import re
from functools import cache, lru_cache


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

    @cache
    def meet(i: int, j: int) -> bool:
        if i < len(a) and a[i] == "*":
            return meet(i + 1, j) or (j < len(b) and meet(i, j + 1))
        if j < len(b) and b[j] == "*":
            return meet(i, j + 1) or (i < len(a) and meet(i + 1, j))
        if i == len(a) or j == len(b):
            return i == len(a) and j == len(b)
        return (a[i] == b[j] or "?" in (a[i], b[j])) and meet(i + 1, j + 1)

    return meet(0, 0)
