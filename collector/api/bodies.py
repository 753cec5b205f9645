"""Bodies of requests at the edge: bounded in size, and JSON that means one thing only.

Every JSON body goes through `parse_request`: what two readers could understand in two ways is refused as a whole.
"""

from __future__ import annotations

import json
from typing import Any, Final, NoReturn, TypeVar

import msgspec
from starlette.requests import Request

from gpuledger.errors import ConfigError, WireError

MAX_REQUEST_BYTES: Final = 64 * 1024
MAX_DOCUMENT_BYTES: Final = 64 * 1024 * 1024
MAX_DEPTH: Final = 16
MAX_DIGITS: Final = 40
Asked = TypeVar("Asked", bound=msgspec.Struct)


async def body_of(request: Request, limit_bytes: int) -> bytes:
    """Return the body; raises WireError (`too_large`) before more than `limit_bytes` are held."""
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > limit_bytes:
        raise _too_large(limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    async for part in request.stream():
        size_bytes += len(part)
        if size_bytes > limit_bytes:
            raise _too_large(limit_bytes)
        parts.append(part)
    return b"".join(parts)


def parse_request(body: bytes, takes: type[Asked], example: str) -> Asked:
    """Return what a body asks for. Raises ConfigError where that is unclear: it may stand in the history for ever.

    Refused are names given twice, at any depth, numbers of more than `MAX_DIGITS` digits and those that JSON does not
    have (NaN), nesting deeper than `MAX_DEPTH`, and other encodings than UTF-8.
    """
    hint = f"send {example}"
    try:
        text = body.decode("utf-8")
        _plain(text)
        return msgspec.json.decode(body, type=takes)
    except (ValueError, RecursionError) as error:  # msgspec's errors and those of text that is no Unicode are such
        raise ConfigError(f"this is not what is asked for here: {error}", hint=hint) from error


def _plain(text: str) -> None:
    """Raise ValueError where JSON is not plain."""
    depth = deepest = 0
    quoted = escaped = False
    for char in text:  # before anything is built of it
        if quoted:
            quoted, escaped = escaped or char != '"', not escaped and char == "\\"
        elif char == '"':
            quoted = True
        elif char in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif char in "]}":
            depth -= 1
    if deepest > MAX_DEPTH:
        raise ValueError(f"it is nested deeper than {MAX_DEPTH}")
    json.loads(text, object_pairs_hook=_once, parse_int=_number, parse_float=_number, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f'"{name[:MAX_DIGITS]}" is given twice')
        found[name] = value
    return found


def _number(text: str) -> str:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return text


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _too_large(limit_bytes: int) -> WireError:
    return WireError("too_large", f"the body is over the limit of {limit_bytes} bytes", hint="send it in smaller parts")
