"""An answer in the form that the caller accepts: JSON whole, or its rows as CSV or an Arrow stream."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pyarrow as pa
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gpuledger.rows import csv_bytes, flat_rows, with_context

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
    """Return the media types in which an answer of this type comes: a table is one with rows, or one row itself."""
    return ROW_TYPES if _has_rows(answer) or getattr(answer, "one_row", False) else (JSON,)


def render(answer: msgspec.Struct, media_type: str) -> Response:
    """Return `answer` in one of the types that it is offered in."""
    if media_type == JSON:
        return Response(msgspec.json.encode(answer), media_type=JSON)
    return Response(_RENDER[media_type](*_table(answer)), media_type=media_type)


def render_table(table: pa.Table) -> Response:
    """Return a table as an Arrow stream."""
    return Response(_stream(table), media_type=ARROW)


def _arrow(columns: list[str], rows: list[Row]) -> bytes:
    return _stream(pa.table({name: pa.array([row.get(name) for row in rows]) for name in columns}))


def _stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


_RENDER: Final[dict[str, Callable[[list[str], list[Row]], bytes]]] = {CSV: csv_bytes, ARROW: _arrow}


def _table(answer: msgspec.Struct) -> tuple[list[str], list[Row]]:
    """Return an answer's rows flat; where it has none found, the columns of its row type; without rows, itself."""
    if not _has_rows(type(answer)):
        return flat_rows([msgspec.to_builtins(answer)])
    document = msgspec.to_builtins(answer)
    columns, rows = flat_rows(with_context(document, document["rows"]))
    if not rows:
        [kind] = typing.get_args(typing.get_type_hints(type(answer))["rows"])[:1]
        columns = list(with_context(document, [dict.fromkeys(getattr(kind, "__struct_encode_fields__", ()))])[0])
    return columns, rows


def _has_rows(answer: type) -> bool:
    return "rows" in getattr(answer, "__struct_fields__", ())


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
