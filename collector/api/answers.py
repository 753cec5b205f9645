"""An answer in the form that the caller accepts: JSON whole, or its rows as CSV or an Arrow stream."""

from __future__ import annotations

import csv
import io
import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pyarrow as pa
from starlette.exceptions import HTTPException
from starlette.responses import Response

JSON: Final = "application/json"
CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
ROW_TYPES: Final = (JSON, CSV, ARROW)

Row = dict[str, Any]


def negotiate(accept: str, offered: tuple[str, ...]) -> str:
    """Return the offered media type that an Accept header prefers (RFC 9110, 12.5.1); raises HTTPException 406."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    best, best_quality = "", 0.0
    for candidate in offered:
        matching = [(_precision(name), quality) for name, quality in ranges if _matches(name, candidate)]
        quality = max(matching, default=(0, 0.0))[1]
        if quality > best_quality:
            best, best_quality = candidate, quality
    if not best:
        raise HTTPException(406, f"this comes as {', '.join(offered)}")
    return best


def offered_for(answer: type) -> tuple[str, ...]:
    """Return the media types in which an answer of this type comes: only one with rows is a table."""
    return ROW_TYPES if "rows" in getattr(answer, "__struct_fields__", ()) else (JSON,)


def render(answer: msgspec.Struct, media_type: str) -> Response:
    """Return `answer` in one of the types that it is offered in."""
    if media_type == JSON:
        return Response(msgspec.json.encode(answer), media_type=JSON)
    return Response(_RENDER[media_type](_columns(answer), _rows(answer)), media_type=media_type)


def _csv(columns: list[str], rows: list[Row]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _arrow(columns: list[str], rows: list[Row]) -> bytes:
    table = pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


_RENDER: Final[dict[str, Callable[[list[str], list[Row]], bytes]]] = {CSV: _csv, ARROW: _arrow}


def _rows(answer: msgspec.Struct) -> list[Row]:
    return [_flat(msgspec.to_builtins(row)) for row in answer.rows]  # type: ignore[attr-defined]


def _flat(row: Row) -> Row:
    """Spread what a row holds by name over columns: `states` of `idle` becomes `states.idle`."""
    found: Row = {}
    for name, value in row.items():
        if isinstance(value, dict):
            found.update({f"{name}.{inner}": each for inner, each in value.items()})
        else:
            found[name] = value if not isinstance(value, list) else ", ".join(map(str, value))
    return found


def _columns(answer: msgspec.Struct) -> list[str]:
    """Return the columns of all rows in the order of their fields; those of a row type where there are no rows."""
    rows = _rows(answer)
    if not rows:
        [kind] = typing.get_args(typing.get_type_hints(type(answer))["rows"])[:1]
        return list(getattr(kind, "__struct_encode_fields__", ()))
    columns: dict[str, None] = {}
    for field in msgspec.to_builtins(answer.rows[0]):  # type: ignore[attr-defined]
        for row in rows:
            columns |= dict.fromkeys(name for name in row if name == field or name.startswith(f"{field}."))
    return list(columns)


def _range(part: str) -> tuple[str, float]:
    name, *parameters = (piece.strip() for piece in part.split(";"))
    quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
    try:
        return name.lower(), float(quality)
    except ValueError:
        return name.lower(), 0.0


def _matches(name: str, candidate: str) -> bool:
    return name in (candidate, "*/*") or (name.endswith("/*") and candidate.startswith(name[:-1]))


def _precision(name: str) -> int:
    return 0 if name == "*/*" else 1 if name.endswith("/*") else 2
