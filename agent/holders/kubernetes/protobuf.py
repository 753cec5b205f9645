"""The protobuf wire format, read field by field: only what the kubelet's few messages need.

Every field comes out with its number, unknown ones too, so that a message of a newer version reads like an older one.
Source: the wire format of protobuf (varint, fixed64, length-delimited, groups, fixed32).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gpuledger.errors import HolderError, Terminal

VARINT: Final = 0
FIXED64: Final = 1
LENGTH_DELIMITED: Final = 2
GROUP_START: Final = 3
GROUP_END: Final = 4
FIXED32: Final = 5

_MAX_VARINT_BYTES: Final = 10
_MAX_FIELD_NUMBER: Final = 2**29 - 1
_MAX_GROUP_DEPTH: Final = 32
_UINT64: Final = 2**64 - 1
_WIDTHS: Final = {FIXED64: 8, FIXED32: 4}


class MalformedMessageError(HolderError, Terminal):
    """Bytes that are no protobuf message, or not the one that was asked for."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"not a readable protobuf message: {reason}",
            hint="check that the socket is the kubelet's pod-resources socket",
        )


class Field(NamedTuple):
    """One field of a message: a number for varints and fixed widths, a view into the message for everything else."""

    number: int
    wire_type: int
    value: int | memoryview

    def bytes(self) -> memoryview:
        """Return the value of a length-delimited field. Raises MalformedMessageError where it is none."""
        if isinstance(self.value, int):
            raise MalformedMessageError(f"field {self.number} has wire type {self.wire_type}, not text or a message")
        return self.value

    def text(self) -> str:
        """Return the value of a string field. Raises MalformedMessageError where it is none, or not UTF-8."""
        try:
            return str(self.bytes(), "utf-8")
        except UnicodeDecodeError as error:
            raise MalformedMessageError(f"field {self.number} is not UTF-8") from error


def fields(message: bytes | bytearray | memoryview) -> Iterator[Field]:
    """Yield the fields of a message in order; groups are stepped over. Raises MalformedMessageError."""
    view = memoryview(message)
    at, end = 0, len(view)
    while at < end:
        number, wire_type, at = _tag(view, at)
        if wire_type == GROUP_START:
            at = _skip_group(view, at, number)
            continue
        value, at = _value(view, at, wire_type)
        yield Field(number, wire_type, value)


def _tag(view: memoryview, at: int) -> tuple[int, int, int]:
    tag, at = _varint(view, at)
    number, wire_type = tag >> 3, tag & 7
    if not 1 <= number <= _MAX_FIELD_NUMBER:
        raise MalformedMessageError(f"field number {number}")
    return number, wire_type, at


def _value(view: memoryview, at: int, wire_type: int) -> tuple[int | memoryview, int]:
    if wire_type == VARINT:
        return _varint(view, at)
    if wire_type == LENGTH_DELIMITED:
        length, at = _varint(view, at)
        _check_left(view, at, length)
        return view[at : at + length], at + length
    width = _WIDTHS.get(wire_type)
    if width is None:
        raise MalformedMessageError(f"wire type {wire_type}")
    _check_left(view, at, width)
    return int.from_bytes(view[at : at + width], "little"), at + width


def _varint(view: memoryview, at: int) -> tuple[int, int]:
    number = 0
    for shift, byte in enumerate(view[at : at + _MAX_VARINT_BYTES]):
        number |= (byte & 0x7F) << 7 * shift
        if byte < 0x80:
            return number & _UINT64, at + shift + 1
    raise MalformedMessageError("a number that does not end")


def _skip_group(view: memoryview, at: int, number: int) -> int:
    """Return where the group of that number ends; groups may lie in one another."""
    opened = [number]
    while opened:
        number, wire_type, at = _tag(view, at)
        if wire_type == GROUP_START:
            opened.append(number)
            if len(opened) > _MAX_GROUP_DEPTH:
                raise MalformedMessageError("groups nested too deeply")
        elif wire_type == GROUP_END:
            if number != opened.pop():
                raise MalformedMessageError("a group that ends as another")
        else:
            _, at = _value(view, at, wire_type)
    return at


def _check_left(view: memoryview, at: int, length: int) -> None:
    if length > len(view) - at:
        raise MalformedMessageError(f"{length} bytes announced, {len(view) - at} there")
