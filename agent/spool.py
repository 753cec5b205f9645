"""The agent's outbox: a folder of append-only segments that keeps sealed batches until the collector has them.

A batch is sealed once its record is synced; what was sealed survives a kill at any byte. Damage never goes unsaid: the
tail of a write that did not finish is cut off and counted, a record that does not match its checksum is stepped over
and counted, and the bytes of both are kept in a `.bad` file.

The spool never drops batches to make room. At `max_bytes` it takes no more (SpoolFullError) until some were delivered;
the agent stops metering meanwhile, and that time becomes `unobserved` instead of lost.
"""

from __future__ import annotations

import fcntl
import os
import struct
import threading
import uuid
import zlib
from collections import deque
from pathlib import Path
from typing import Final, NamedTuple, Self

from agent.segments import Damage, Place, Record, decode_record, encode_record, scan
from gpuledger.errors import SpoolError, Transient

DEFAULT_MAX_BYTES: Final = 1024 * 1024 * 1024
DEFAULT_SEGMENT_BYTES: Final = 1024 * 1024
_SLOT: Final = struct.Struct("<QI")  # the first sequence that is not settled yet, and its checksum
_SUFFIX: Final = ".seg"
_SEGMENTS: Final = "[0-9]" * 20 + _SUFFIX
_CLOSED: Final = -1


class SpoolFullError(SpoolError, Transient):
    """The outbox has reached its limit; there is room again once batches are delivered."""


class SpoolStats(NamedTuple):
    """What waits in the outbox, and what has happened to it."""

    batches: int
    bytes: int
    oldest_sealed_at_us: int | None
    refused: int  # batches that the collector refused for good, kept in refused/
    torn: int  # unfinished writes that were cut off when the spool was opened
    corrupt: int  # stretches of damaged bytes that were set aside


class _Entry(NamedTuple):
    segment: Path
    place: Place


class Spool:
    """One agent's outbox. `append` belongs to one thread; `oldest`, `acknowledge` and `refuse` to one other."""

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int = DEFAULT_MAX_BYTES,
        segment_bytes: int = DEFAULT_SEGMENT_BYTES,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        self._pending: deque[_Entry] = deque()
        self._bytes = self._torn = self._corrupt = 0
        self._checkpoint: bytes | None = None
        self._next_sequence = 0
        self._segments: list[Path] = []
        self._newest: Path | None = None  # the segment that holds the newest checkpoint
        self._active: int | None = None
        self._active_path = directory
        self._active_size = 0
        try:
            (directory / "refused").mkdir(parents=True, exist_ok=True)
            self._guard = _lock_directory(directory)
            self.boot = _identity(directory)
            self._position = os.open(directory / "delivered", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._settled = _read_settled(self._position)
            self._recover()
        except OSError as error:
            raise _failed("opened", directory, error) from error
        self._refused = len(list((directory / "refused").glob("*.frame")))

    @property
    def next_sequence(self) -> int:
        """Return the sequence that the next batch must carry."""
        return self._next_sequence

    @property
    def checkpoint(self) -> bytes | None:
        """Return what was stored with the newest batch, delivered or not; None in a new spool."""
        return self._checkpoint

    def append(self, frame: bytes, checkpoint: bytes, sealed_at_us: int) -> int:
        """Seal a batch: when this returns its sequence, frame and checkpoint are on disk.

        Raises SpoolFullError where the outbox holds all it may, SpoolError where the disk does not take it; either
        way nothing has changed.
        """
        sequence = self._next_sequence
        data = encode_record(Record(sequence, sealed_at_us, frame, checkpoint))
        if self._pending and self._bytes + len(data) > self._max_bytes:
            raise SpoolFullError(
                f"the spool in {self._directory} has no room: {self._bytes} of {self._max_bytes} bytes are waiting",
                hint="bring the collector back, or raise [spool] max_bytes; metering goes on once there is room",
            )
        try:
            active = self._active
            if active is None or self._active_size >= self._segment_bytes:
                active = self._start_segment()
            _write_at(active, self._active_size, data)
        except OSError as error:
            raise _failed("written", self._directory, error) from error
        place = Place(self._active_size, len(data), sequence, sealed_at_us)
        with self._lock:
            self._pending.append(_Entry(self._active_path, place))
            self._bytes += len(data)
            self._newest = self._active_path
            if self._newest not in self._segments:
                self._segments.append(self._newest)
        self._active_size += len(data)
        self._checkpoint, self._next_sequence = checkpoint, sequence + 1
        return sequence

    def oldest(self) -> Record | None:
        """Return the oldest batch that is neither delivered nor refused, or None where nothing waits.

        A record that has been damaged on disk since it was written is set aside and counted, and the next one returned.
        """
        while True:
            with self._lock:
                entry = self._pending[0] if self._pending else None
            if entry is None:
                return None
            data = self._read(entry)
            record = decode_record(data)
            if record is not None:
                return record
            try:
                self._set_aside(entry.segment, entry.place.offset, data)
            except OSError as error:
                raise _failed("written", self._directory, error) from error
            self._corrupt += 1
            self._settle(entry.place.sequence)

    def acknowledge(self, sequence: int) -> None:
        """Forget the oldest batch: the collector has it. Raises SpoolError where it is not the oldest."""
        self._settle(sequence)

    def refuse(self, sequence: int, reason: str) -> Path:
        """Move the oldest batch into `refused/`, with the reason, and return where it is kept."""
        record = self.oldest()
        if record is None or record.sequence != sequence:
            raise SpoolError(f"batch {sequence} is not the oldest in {self._directory}")
        kept = self._directory / "refused" / f"{sequence:020d}.frame"
        try:
            _write_durably(kept.with_suffix(".txt"), reason.encode())
            _write_durably(kept, record.frame)
        except OSError as error:
            raise _failed("written", self._directory, error) from error
        self._refused += 1
        self._settle(sequence)
        return kept

    def stats(self) -> SpoolStats:
        """Return what waits, and the damage found."""
        with self._lock:
            oldest = self._pending[0].place.sealed_at_us if self._pending else None
            return SpoolStats(len(self._pending), self._bytes, oldest, self._refused, self._torn, self._corrupt)

    def close(self) -> None:
        """Release the files and the folder; a thread that still delivers can settle nothing any more."""
        for descriptor in (self._active, self._position, self._guard):
            if descriptor is not None:
                os.close(descriptor)
        self._active, self._position = None, _CLOSED  # the numbers may soon stand for other files

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _recover(self) -> None:
        self._segments = sorted(self._directory.glob(_SEGMENTS))
        for segment in self._segments:
            data = segment.read_bytes()
            places, damages = scan(data)
            if damages:
                data = self._repair(segment, data, places, damages)
                places, _ = scan(data)
            for place in places:
                self._adopt(segment, data, place)
            self._next_sequence = max(self._next_sequence, int(segment.stem))
        self._next_sequence = max(self._next_sequence, self._settled)
        self._delete_settled()
        if self._segments:
            self._active_path = self._segments[-1]
            self._active = _open(self._active_path)
            self._active_size = os.fstat(self._active).st_size

    def _adopt(self, segment: Path, data: bytes, place: Place) -> None:
        if place.sequence >= self._settled:
            self._pending.append(_Entry(segment, place))
            self._bytes += place.length
        record = decode_record(data[place.offset : place.offset + place.length])
        assert record is not None
        self._checkpoint, self._newest = record.checkpoint, segment
        self._next_sequence = max(self._next_sequence, place.sequence + 1)

    def _repair(self, segment: Path, data: bytes, places: list[Place], damages: list[Damage]) -> bytes:
        """Keep the damaged bytes aside, rewrite the segment without them, and return what it holds now.

        The number of a record that was written in full and damaged later is not used again: it may have been delivered.
        """
        for damage in damages:
            self._set_aside(segment, damage.offset, data[damage.offset : damage.offset + damage.length])
            self._torn += damage.torn
            self._corrupt += not damage.torn
            if not damage.torn and damage.offset + damage.length == len(data):
                damaged = places[-1].sequence + 1 if places else int(segment.stem)
                self._next_sequence = max(self._next_sequence, damaged + 1)
        kept = b"".join(data[place.offset : place.offset + place.length] for place in places)
        _write_durably(segment, kept)
        return kept

    def _set_aside(self, segment: Path, offset: int, data: bytes) -> None:
        _write_durably(segment.with_suffix(f".{offset}.bad"), data)

    def _settle(self, sequence: int) -> None:
        with self._lock:
            if not self._pending or self._pending[0].place.sequence != sequence:
                raise SpoolError(f"batch {sequence} is not the oldest in {self._directory}")
        try:
            _write_settled(self._position, sequence + 1)
            with self._lock:
                self._bytes -= self._pending.popleft().place.length
            self._delete_settled()
        except OSError as error:
            raise _failed("written", self._directory, error) from error

    def _delete_settled(self) -> None:
        """Delete the segments before the oldest batch that waits; the one with the newest checkpoint always stays."""
        with self._lock:
            needed = self._pending[0].segment if self._pending else self._newest
            done = [segment for segment in self._segments if needed is not None and segment < needed]
            self._segments = self._segments[len(done) :]
        for segment in done:
            segment.unlink()

    def _start_segment(self) -> int:
        if self._active is not None:
            os.close(self._active)
            self._active = None
        self._active_path = self._directory / f"{self._next_sequence:020d}{_SUFFIX}"
        active = _open(self._active_path)
        try:
            sync_directory(self._directory)
        except OSError:
            os.close(active)
            raise
        self._active, self._active_size = active, 0
        return active

    def _read(self, entry: _Entry) -> bytes:
        try:
            with entry.segment.open("rb") as file:
                file.seek(entry.place.offset)
                return file.read(entry.place.length)
        except OSError as error:
            raise _failed("read", self._directory, error) from error


def _open(segment: Path) -> int:
    return os.open(segment, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _write_at(descriptor: int, end: int, data: bytes) -> None:
    """Write and sync at the known end, whatever an earlier attempt that failed has left behind it."""
    os.ftruncate(descriptor, end)
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, end)
        view, end = view[written:], end + written
    os.fdatasync(descriptor)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_durably(path: Path, data: bytes) -> None:
    """Replace a file as a whole: after a crash it has the old content or the new."""
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def _lock_directory(directory: Path) -> int:
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise SpoolError(
            f"another agent is using the spool in {directory}",
            hint="run one agent per node, or give each its own [spool] directory",
        ) from error
    return descriptor


def _identity(directory: Path) -> str:
    """Return the spool's identity, made when the spool was: the `boot` of its batches."""
    path = directory / "identity"
    if not path.exists():
        _write_durably(path, uuid.uuid4().hex.encode())
    return path.read_text(encoding="ascii").strip()


def _read_settled(descriptor: int) -> int:
    """Return the first sequence that is not settled: the larger of two slots, of which a crash can spoil only one."""
    data = os.pread(descriptor, 2 * _SLOT.size, 0)
    settled = 0
    for offset in range(0, len(data) - _SLOT.size + 1, _SLOT.size):
        sequence, checksum = _SLOT.unpack_from(data, offset)
        if zlib.crc32(data[offset : offset + 8]) == checksum:
            settled = max(settled, sequence)
    return settled


def _write_settled(descriptor: int, sequence: int) -> None:
    packed = sequence.to_bytes(8, "little")
    os.pwrite(descriptor, packed + zlib.crc32(packed).to_bytes(4, "little"), sequence % 2 * _SLOT.size)
    os.fdatasync(descriptor)


def _failed(what: str, directory: Path, error: OSError) -> SpoolError:
    return SpoolError(
        f"the spool in {directory} could not be {what}: {error.strerror or error}",
        hint="check that the disk has room and that the agent may write there ([spool] directory)",
    )
