"""Text with facts in braces: `[{pod:namespace}/]{env:ARGO_NODE_ID}`. What stands in brackets may be left out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

Lookup = Callable[[str], str]

_TOKEN: Final = re.compile(r"\{(?P<fact>[^{}\[\]]+)\}|(?P<bracket>[\[\]])|(?P<text>[^{}\[\]]+)")


class Template:
    """A text that names facts. It is filled only where every fact outside of brackets is known."""

    def __init__(self, source: str) -> None:
        """Parse `source`; raises ValueError where braces or brackets do not pair up."""
        self.source = source
        self._segments = tuple(_segments(source))

    @property
    def facts(self) -> tuple[str, ...]:
        """Return the facts that the text names, in their order."""
        return tuple(text for _, parts in self._segments for is_fact, text in parts if is_fact)

    @property
    def required(self) -> tuple[str, ...]:
        """Return the facts without which the text stays empty."""
        return tuple(text for optional, parts in self._segments if not optional for is_fact, text in parts if is_fact)

    def fill(self, lookup: Lookup) -> str:
        """Return the text with its facts, or an empty string where one that it needs is unknown."""
        filled: list[str] = []
        for optional, parts in self._segments:
            values = [lookup(text) if is_fact else text for is_fact, text in parts]
            if all(values):
                filled.extend(values)
            elif not optional:
                return ""
        return "".join(filled)


_Parts = tuple[tuple[bool, str], ...]


def _segments(source: str) -> Iterator[tuple[bool, _Parts]]:
    """Yield (may be left out, parts); a part is (is a fact, its text)."""
    parts: list[tuple[bool, str]] = []
    optional = False
    for token in _tokens(source):
        bracket = token["bracket"]
        if bracket is None:
            parts.append((True, token["fact"]) if token["fact"] else (False, token["text"]))
            continue
        if optional is (bracket == "["):
            raise ValueError(f"brackets do not pair up in {source!r}")
        if parts:
            yield optional, tuple(parts)
        parts, optional = [], not optional
    if optional:
        raise ValueError(f"a bracket is not closed in {source!r}")
    if parts:
        yield False, tuple(parts)


def _tokens(source: str) -> Iterator[re.Match[str]]:
    position = 0
    while position < len(source):
        token = _TOKEN.match(source, position)
        if token is None:
            raise ValueError(f"braces do not pair up in {source!r}")
        yield token
        position = token.end()
