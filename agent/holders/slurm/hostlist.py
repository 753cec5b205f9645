"""Slurm's hostlists: `node[1-3,07],login` is four nodes and `/dev/nvidia[0-3]` four devices. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MOST_NAMES: Final = 65_536  # Slurm's own largest hostlist; a longer one is a mistake or an attack

_PART: Final = re.compile(r"[^,\[\]]+|\[[^\[\]]*\]|,")
_RANGE: Final = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)


def expand(text: str) -> tuple[str, ...]:
    """Return every name of a hostlist, in its order. Raises ValueError on one that is malformed or too long."""
    names: list[str] = []
    for parts in _items(text.strip()):
        found = [""]
        for part in parts:
            endings = list(_numbers(part[1:-1])) if part.startswith("[") else [part]
            if len(found) * len(endings) + len(names) > MOST_NAMES:
                raise ValueError(f"the hostlist {text[:40]!r} has more than {MOST_NAMES} names")
            found = [start + ending for start in found for ending in endings]
        names += found
    return tuple(names)


def contains(text: str, name: str) -> bool:
    """Tell whether a hostlist names `name`. Raises ValueError as `expand` does."""
    return name in expand(text)


def _items(text: str) -> Iterator[list[str]]:
    """Yield the parts of each item between commas outside brackets."""
    parts: list[str] = []
    end = 0
    for found in _PART.finditer(text):
        if found.start() != end:
            break
        end = found.end()
        if found[0] == ",":
            yield parts
            parts = []
        else:
            parts.append(found[0])
    if end != len(text):
        raise ValueError(f"the hostlist {text[:40]!r} is malformed at {text[end : end + 10]!r}")
    if parts:
        yield parts


def _numbers(ranges: str) -> Iterator[str]:
    """Yield the numbers in a bracket, zeros in front kept."""
    for item in ranges.split(","):
        found = _RANGE.fullmatch(item.strip())
        if found is None:
            raise ValueError(f"{item[:20]!r} is not a range of a hostlist")
        first, last = found[1], found[2] or found[1]
        if int(last) < int(first) or int(last) - int(first) >= MOST_NAMES:
            raise ValueError(f"{item[:20]!r} is not a range of a hostlist")
        yield from (str(number).zfill(len(first)) for number in range(int(first), int(last) + 1))
