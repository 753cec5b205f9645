"""Variables that hold a document: only the fields that a rule asks for come out of it, the rest is never kept."""

from __future__ import annotations

import base64
import binascii
import os
import stat
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

OpenFile = Callable[[str], bytes | None]

ENCODINGS: Final = ("json", "base64+zlib+json")
_MAX_DOCUMENT: Final = 256 * 1024


class Unpack(NamedTuple):
    """How to read a variable: its encoding, the fields wanted, and where the document goes on.

    `inside` names the key under which the fields stand, `file` a key that names a file of the process which holds them.
    """

    encoding: str
    fields: tuple[str, ...]
    inside: str = ""
    file: str = ""


def unpacked(value: bytes, how: Unpack, open_file: OpenFile) -> dict[str, str]:
    """Return the wanted fields of the document in `value`; nothing where it is not what the rule says."""
    try:
        document = msgspec.json.decode(_decoded(value, how.encoding))
        if isinstance(document, dict) and isinstance(path := document.get(how.file), str):
            content = open_file(path)
            document = msgspec.json.decode(content) if content else None
        elif isinstance(document, dict) and how.inside in document:
            document = document[how.inside]
    except (msgspec.DecodeError, binascii.Error, zlib.error, ValueError, RecursionError):
        return {}
    if not isinstance(document, dict):
        return {}
    return {field: text for field in how.fields if (text := _text(document.get(field)))}


def read_file_of(process_root: str, path: str) -> bytes | None:
    """Return a small regular file as the process sees it, or None. No link is followed: it could lead out of there."""
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or not parts or ".." in parts:
        return None
    directory = os.open(process_root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=directory)
            os.close(directory)
            directory = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(parts[-1], flags, dir_fd=directory)
    finally:
        os.close(directory)
    try:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_DOCUMENT:
            return None
        return os.read(descriptor, _MAX_DOCUMENT)
    finally:
        os.close(descriptor)


def _decoded(value: bytes, encoding: str) -> bytes:
    if encoding == "json":
        return value
    unzip = zlib.decompressobj()
    return unzip.decompress(base64.b64decode(value, validate=True), _MAX_DOCUMENT)


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ",".join(value)
    return ""
