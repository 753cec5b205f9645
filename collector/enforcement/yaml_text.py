"""Objects as YAML documents: dictionaries, lists, texts and whole numbers, in the order they are given in. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9./_-]*")
_WORDS: Final = {"true", "false", "yes", "no", "on", "off", "null", "y", "n"}  # which YAML takes for something else


def documents(objects: Iterable[Mapping[str, Any]]) -> str:
    """Return each object as a document after `---`."""
    return "".join("\n".join(["---", *_lines(each, ""), ""]) for each in objects)


def _lines(value: Mapping[str, Any], indent: str) -> Iterator[str]:
    for name, inner in value.items():
        key = f"{indent}{_scalar(name)}:"
        if isinstance(inner, Mapping) and inner:
            yield key
            yield from _lines(inner, f"{indent}  ")
        elif isinstance(inner, Sequence) and not isinstance(inner, str) and inner:
            yield key
            yield from _items(inner, indent)
        else:
            yield f"{key} {_scalar(inner)}"


def _items(items: Sequence[Any], indent: str) -> Iterator[str]:
    for each in items:
        if isinstance(each, Mapping):
            first, *rest = _lines(each, f"{indent}    ")
            yield f"{indent}  - {first.lstrip()}"
            yield from rest
        else:
            yield f"{indent}  - {_scalar(each)}"


def _scalar(value: object) -> str:
    """Return one value; a text that YAML could read as something else stands in quotes."""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, ensure_ascii=False)
