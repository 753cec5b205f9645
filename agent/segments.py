"""The bytes of a spool segment: records one after another, and what can be saved of a segment that is damaged. Pure."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

MAGIC: Final = b"GPSR"
_HEADER: Final = struct.Struct("<4sQIIQ")  # magic, sequence, frame length, checkpoint length, instant of sealing
_CHECKSUM: Final = struct.Struct("<I")  # CRC-32 of the header and the payload
OVERHEAD_BYTES: Final = _HEADER.size + _CHECKSUM.size


class Record(NamedTuple):
    """A sealed batch: its frame as it will be sent, and the meter's state right after it."""

    sequence: int
    sealed_at_us: int
    frame: bytes
    checkpoint: bytes


class Place(NamedTuple):
    """Where a valid record lies in its segment."""

    offset: int
    length: int
    sequence: int
    sealed_at_us: int


class Damage(NamedTuple):
    """Bytes of a segment that are no record. `torn`: the segment ends within what would have been its next one."""

    offset: int
    length: int
    torn: bool


def encode_record(record: Record) -> bytes:
    """Return the bytes of a record."""
    header = _HEADER.pack(MAGIC, record.sequence, len(record.frame), len(record.checkpoint), record.sealed_at_us)
    checksum = zlib.crc32(record.checkpoint, zlib.crc32(record.frame, zlib.crc32(header)))
    return b"".join((header, _CHECKSUM.pack(checksum), record.frame, record.checkpoint))


def decode_record(data: bytes) -> Record | None:
    """Return the record that `data` is, or None where it is not exactly one."""
    place = _place_at(data, 0)
    if place is None or place.length != len(data):
        return None
    _, sequence, frame_length, _, sealed_at_us = _HEADER.unpack_from(data)
    payload = data[OVERHEAD_BYTES:]
    return Record(sequence, sealed_at_us, payload[:frame_length], payload[frame_length:])


def scan(data: bytes) -> tuple[list[Place], list[Damage]]:
    """Return every valid record of a segment, and every stretch of bytes that is not part of one."""
    places: list[Place] = []
    damages: list[Damage] = []
    offset = 0
    while offset < len(data):
        place = _place_at(data, offset)
        if place is None:
            place = next(_places_after(data, offset), None)
            end = place.offset if place else len(data)
            damages.append(Damage(offset, end - offset, torn=place is None and _is_cut_short(data, offset)))
        if place is None:
            break
        places.append(place)
        offset = place.offset + place.length
    return places, damages


def _place_at(data: bytes, offset: int) -> Place | None:
    start = offset + OVERHEAD_BYTES
    if start > len(data) or data[offset : offset + 4] != MAGIC:
        return None
    _, sequence, frame_length, checkpoint_length, sealed_at_us = _HEADER.unpack_from(data, offset)
    end = start + frame_length + checkpoint_length
    if end > len(data):
        return None
    view = memoryview(data)
    checksum = zlib.crc32(view[start:end], zlib.crc32(view[offset : offset + _HEADER.size]))
    if _CHECKSUM.unpack_from(data, offset + _HEADER.size)[0] != checksum:
        return None
    return Place(offset, end - offset, sequence, sealed_at_us)


def _places_after(data: bytes, offset: int) -> Iterator[Place]:
    while (offset := data.find(MAGIC, offset + 1)) >= 0:
        place = _place_at(data, offset)
        if place:
            yield place


def _is_cut_short(data: bytes, offset: int) -> bool:
    """Tell a write that did not finish from one that did and was damaged later."""
    if offset + OVERHEAD_BYTES > len(data):
        return True
    _, _, frame_length, checkpoint_length, _ = _HEADER.unpack_from(data, offset)
    return bool(offset + OVERHEAD_BYTES + frame_length + checkpoint_length > len(data))
