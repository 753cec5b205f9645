"""What the agent and the process that reads the driver say to each other: frames of MessagePack over a socket."""

from __future__ import annotations

import select
import socket
import struct
import time
from typing import Final, NamedTuple

import msgspec

from agent.devices.base import NodeReading
from agent.devices.marks import BoardMarks
from agent.samplers.board import DEFAULT_SLOW_EVERY_US

_LENGTH: Final = struct.Struct("=I")
_CHUNK: Final = 1 << 16


class Wanted(NamedTuple):
    """What to read, as NvmlSource takes it."""

    gauges: bool = True
    accounting: bool = True
    gpm: bool = True
    slow_every_us: int = DEFAULT_SLOW_EVERY_US


class Start(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the child, once: which library to load, what to read, and how far an earlier child had read."""

    library: str | None
    wanted: Wanted
    marks: tuple[BoardMarks, ...]


class Read(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """To the child: read every GPU; it is `now_us`."""

    now_us: int


class Opening(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """From the child, before the answer: the driver is opened, which takes longer than a reading."""


class Answer(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """From the child: a reading. `outdated` says why another child should read the next; empty: it should not."""

    reading: NodeReading
    marks: tuple[BoardMarks, ...]
    outdated: str


class Failure(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """From the child: the driver as a whole did not answer; `code` is NVML's, or 0."""

    message: str
    hint: str
    code: int
    outdated: str


Request = Start | Read
Reply = Opening | Answer | Failure
encode: Final = msgspec.msgpack.Encoder(enc_hook=str).encode
requests: Final[msgspec.msgpack.Decoder[Request]] = msgspec.msgpack.Decoder(Request)
replies: Final[msgspec.msgpack.Decoder[Reply]] = msgspec.msgpack.Decoder(Reply)


class ConnectionEndedError(Exception):
    """The other side is gone."""


class DeadlineError(Exception):
    """The other side did not answer in time."""


class Frames:
    """Sends and receives whole frames over a stream socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._poll = select.poll()
        self._poll.register(connection, select.POLLIN)
        self._received = bytearray()

    def send(self, message: Request | Reply) -> None:
        """Send a frame. Raises ConnectionEndedError where nobody is there to take it."""
        frame = encode(message)
        try:
            self._connection.sendall(_LENGTH.pack(len(frame)) + frame)
        except OSError as error:
            raise ConnectionEndedError(str(error)) from error

    def receive(self, deadline_s: float | None = None) -> bytes:
        """Return the next frame.

        Raises DeadlineError where the monotonic clock shows `deadline_s` before, ConnectionEndedError.
        """
        received = self._received
        while True:
            if len(received) >= _LENGTH.size:
                end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
                if len(received) >= end:
                    frame = bytes(received[_LENGTH.size : end])
                    del received[:end]
                    return frame
            self._wait(deadline_s)
            received += self._take()

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()

    def _wait(self, deadline_s: float | None) -> None:
        if deadline_s is None:
            return
        remaining_s = deadline_s - time.monotonic()
        if remaining_s <= 0 or not self._poll.poll(remaining_s * 1_000):
            raise DeadlineError

    def _take(self) -> bytes:
        try:
            chunk = self._connection.recv(_CHUNK)
        except OSError as error:
            raise ConnectionEndedError(str(error)) from error
        if not chunk:
            raise ConnectionEndedError("it closed the connection")
        return chunk
