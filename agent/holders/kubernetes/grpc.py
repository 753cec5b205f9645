"""One unary gRPC call after another over a Unix socket, on a connection that is kept.

HTTP/2 is the `h2` library's; what gRPC adds is here: the five bytes before a message, and the status in the trailers.
The connection is opened anew when the socket was made anew (the kubelet restarted), and when the kept one has broken.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.grpc_status import OK, CallError, CallRefusedError, refused
from gpuledger.errors import HolderError

MIB: Final = 2**20
_MAX_CALLS: Final = 1_000  # on one connection: h2 remembers every stream there was
_WINDOW_BYTES: Final = 4 * MIB  # how much a server may send before it hears from us
_RECEIVE_BYTES: Final = 256 * 1024
_PREFIX: Final = struct.Struct(">BI")


class UnixGrpc:
    """Calls a gRPC server behind a Unix socket. Not for use by several threads at once."""

    def __init__(self, path: Path, *, max_message_bytes: int = defaults.MAX_MESSAGE_BYTES) -> None:
        self._path = path
        self._max_message_bytes = max_message_bytes
        self._open: _Connection | None = None
        self.connections = 0  # how many were opened

    def call(self, method: str, request: bytes, *, timeout_s: float) -> bytearray:
        """Return the answer to one call.

        Raises CallRefusedError where the server answers with an error status, CallError where there is no (whole)
        answer within `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        kept = self._kept()
        if kept is not None:
            with contextlib.suppress(_BrokenError):  # it went away since the last call: a new one may do
                return self._exchange(kept, method, request, deadline)
        return self._exchange(self._connect(deadline), method, request, deadline)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _exchange(self, connection: _Connection, method: str, request: bytes, deadline: float) -> bytearray:
        try:
            answer = connection.exchange(method, request, deadline, self._max_message_bytes)
        except CallRefusedError:
            raise  # the connection is as good as before
        except HolderError:
            self.close()
            raise
        if connection.finished:
            self.close()
        return answer

    def _kept(self) -> _Connection | None:
        """Return the connection of the last call, unless the socket has been made anew since."""
        if self._open is not None and self._open.socket_id != _socket_id(self._path):
            self.close()
        return self._open

    def _connect(self, deadline: float) -> _Connection:
        self.close()
        self._open = _Connection(self._path, deadline)
        self.connections += 1
        return self._open


class _BrokenError(CallError):
    """The connection ended without an answer."""


class _Connection:
    """One HTTP/2 connection."""

    def __init__(self, path: Path, deadline: float) -> None:
        self._path = path
        self.socket_id = _socket_id(path)
        self.finished = False  # the server will answer no more on it
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.settimeout(_left(deadline))
            self._socket.connect(str(path))
            self._http.initiate_connection()
            self._http.increment_flow_control_window(_WINDOW_BYTES)
            self._flush()
        except (OSError, H2Error) as error:
            self.close()
            raise unreachable(path, error) from error

    def exchange(self, method: str, request: bytes, deadline: float, max_bytes: int) -> bytearray:
        """Send a request and return the message of its answer."""
        call = _Call(method, max_bytes)
        try:
            self._send(call, request, deadline)
            while not call.ended:
                self._receive(call, deadline)
        except TimeoutError as error:
            raise CallError(
                f"{self._path} did not answer {method} in time",
                hint="see whether the kubelet is overloaded; [kubernetes] timeout_s is how long it is waited for",
            ) from error
        except (OSError, H2Error) as error:
            raise _BrokenError(f"the connection to {self._path} broke: {error}", hint=_IS_IT_UP) from error
        return call.answer()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, call: _Call, request: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        call.stream = self._http.get_next_available_stream_id()
        self.finished = call.stream >= 2 * _MAX_CALLS - 1
        self._http.send_headers(call.stream, _headers(call.method, _left(deadline)))
        self._http.increment_flow_control_window(_WINDOW_BYTES, call.stream)
        self._http.send_data(call.stream, _PREFIX.pack(0, len(request)) + request, end_stream=True)
        self._flush()

    def _receive(self, call: _Call, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise _BrokenError(f"{self._path} closed the connection", hint=_IS_IT_UP)
        events = self._http.receive_data(received)
        for event in events:
            if isinstance(event, DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, ConnectionTerminated):
                self._leave(event, call)
            if getattr(event, "stream_id", None) == call.stream:
                call.take(event)
        self._flush()

    def _leave(self, event: ConnectionTerminated, call: _Call) -> None:
        """Go on only with a call that the server still means to answer."""
        self.finished = True
        last = event.last_stream_id
        if event.error_code != ErrorCodes.NO_ERROR or last is None or call.stream > last:
            raise _BrokenError(f"{self._path} ended the connection (code {event.error_code})", hint=_IS_IT_UP)

    def _flush(self) -> None:
        if waiting := self._http.data_to_send():
            self._socket.sendall(waiting)


class _Call:
    """What has come of one call's answer."""

    def __init__(self, method: str, max_bytes: int) -> None:
        self.method = method
        self.stream = 0
        self.ended = False
        self._max_bytes = max_bytes
        self._body = bytearray()
        self._headers: dict[str, str] = {}

    def take(self, event: Event) -> None:
        """Take one event of this call's stream."""
        if isinstance(event, DataReceived):
            self._body += event.data or b""
            self._check_size()
        elif isinstance(event, ResponseReceived | TrailersReceived):
            self._headers.update((str(name), str(value)) for name, value in event.headers or ())
        elif isinstance(event, StreamReset):
            raise CallError(f"the call of {self.method} was broken off (code {event.error_code})", hint=_IS_IT_UP)
        elif isinstance(event, StreamEnded):
            self.ended = True

    def answer(self) -> bytearray:
        """Return the message, where the status is OK and it is whole."""
        if self._headers.get(":status") != "200" or "grpc-status" not in self._headers:
            raise CallError(f"the answer to {self.method} is not gRPC's", hint=_IS_IT_KUBELET)
        status = self._headers["grpc-status"]
        if status != str(OK):
            raise refused(self.method, status, unquote(self._headers.get("grpc-message", "")))
        if len(self._body) < _PREFIX.size or len(self._body) != _PREFIX.size + self._announced():
            raise CallError(f"the answer to {self.method} is not one whole message", hint=_IS_IT_KUBELET)
        if self._body[0]:
            raise CallError(f"the answer to {self.method} is compressed, which was not asked for", hint=_IS_IT_KUBELET)
        del self._body[: _PREFIX.size]
        return self._body

    def _announced(self) -> int:
        return int(_PREFIX.unpack_from(self._body)[1])

    def _check_size(self) -> None:
        """Refuse a message that is too large as soon as it says so."""
        known = len(self._body) >= _PREFIX.size
        size = max(len(self._body) - _PREFIX.size, self._announced() if known else 0)
        if size > self._max_bytes:
            raise CallError(
                f"the answer to {self.method} has {size} bytes, more than the {self._max_bytes} that are taken",
                hint="raise [kubernetes] max_message_bytes",
            )


_IS_IT_UP: Final = "see whether the kubelet runs: systemctl status kubelet"
_IS_IT_KUBELET: Final = "check that [kubernetes] socket is the kubelet's pod-resources socket"


def unreachable(path: Path, error: Exception) -> CallError:
    """Return the error that says why nobody answers at `path`."""
    hint = _IS_IT_UP
    if isinstance(error, PermissionError):
        hint = "run the agent as root: the kubelet's socket is root's"
    elif isinstance(error, FileNotFoundError):
        hint = "mount the folder of the socket (not the socket itself: the kubelet makes it anew) into the agent"
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or "timed out"
    return CallError(f"{path} cannot be reached: {reason}", hint=hint)


def _headers(method: str, timeout_s: float) -> list[tuple[str, str]]:
    return [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", method),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        ("grpc-timeout", f"{max(1, int(timeout_s * 1_000))}m"),
        ("user-agent", "gpuledger-agent"),
    ]


def _left(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("no time left")
    return left_s


def _socket_id(path: Path) -> tuple[int, int, int] | None:
    """Return what tells one socket file from another at the same path; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_ctime_ns
