"""Canonical JSON: one text for one value, so that a hash of it means the value. Pure.

Objects have their names in order of code points, no space anywhere, and text as it is. There are no floats: money and
ratios are text. What is read must be written just so, or it is not canonical.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import msgspec

from gpuledger.errors import AuditError

Value = None | bool | int | str | Sequence["Value"] | Mapping[str, "Value"]
MAX_INTEGER: Final = 2**53 - 1  # beyond it readers in other languages would see another number
MAX_DEPTH: Final = 16


def canonical(value: Value) -> bytes:
    """Return the one text of a value, in UTF-8. Raises AuditError on floats, huge integers and deep nesting."""
    _check(value, MAX_DEPTH)
    try:
        return msgspec.json.encode(value, order="sorted")
    except UnicodeEncodeError as error:
        raise AuditError("an audit event has half of a character in it", hint="name things in valid Unicode") from error


def parse_canonical(text: bytes) -> dict[str, Any]:
    """Return the object that a canonical text says. Raises AuditError where it is anything else."""
    try:
        value = json.loads(text, object_pairs_hook=_once, parse_float=_no_float, parse_constant=_no_float)
    except (ValueError, RecursionError) as error:
        raise AuditError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise AuditError("not an object")
    if canonical(value) != text:
        raise AuditError("not canonical: other spaces, order, escapes or numbers than its own")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AuditError("a name is given twice")
    return found


def _no_float(text: str) -> NoReturn:
    raise AuditError(f"{text[:40]} is not an integer")


def _check(value: Any, depth: int) -> None:  # noqa: ANN401 - whatever a caller gives
    if depth < 0:
        raise AuditError(f"nested deeper than {MAX_DEPTH}")
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) > MAX_INTEGER:
            raise AuditError(f"{value} is larger than {MAX_INTEGER}", hint="write it as text")
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise AuditError(f"{name!r} is not a name")
            if type(inner) is not str:  # most are: a call for each would be half of the time
                _check(inner, depth - 1)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check(inner, depth - 1)
    else:
        raise AuditError(f"{type(value).__name__} has no canonical text", hint="write it as text")
