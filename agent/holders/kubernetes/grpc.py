"""One unary gRPC call after another over a Unix socket, on a connection that is kept.

HTTP/2 is the `h2` library's; what gRPC adds is here: the five bytes before a message, and the status in the trailers.
The connection is opened anew when the socket was made anew (the kubelet restarted), and when the kept one has broken.
"""

from __future__ import annotations

import contextlib
import socket
import time
from pathlib import Path
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived
from h2.exceptions import H2Error

from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.grpc_answer import IS_IT_UP, PREFIX, Answer
from agent.holders.kubernetes.grpc_status import CallError, CallRefusedError

MIB: Final = 2**20
_MAX_CALLS: Final = 1_000  # on one connection: h2 remembers every stream there was
_WINDOW_BYTES: Final = 4 * MIB  # how much a server may send before it hears from us
_RECEIVE_BYTES: Final = 256 * 1024


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
        except BaseException:
            self.close()  # whatever was under way on it is not known
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
        self._http = H2Connection(H2Configuration(client_side=True, header_encoding=None))
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
        answer = Answer(method, max_bytes)
        try:
            self._send(answer, request, deadline)
            while not answer.ended:
                self._receive(answer, deadline)
        except TimeoutError as error:
            raise CallError(
                f"{self._path} did not answer {method} in time",
                hint="see whether the kubelet is overloaded; [kubernetes] timeout_s is how long it is waited for",
            ) from error
        except (OSError, H2Error) as error:
            raise _BrokenError(f"the connection to {self._path} broke: {error}", hint=IS_IT_UP) from error
        return answer.message()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send(self, answer: Answer, request: bytes, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        answer.stream = self._http.get_next_available_stream_id()
        self.finished = answer.stream >= 2 * _MAX_CALLS - 1
        self._http.send_headers(answer.stream, _headers(answer.method, _left(deadline)))
        self._http.increment_flow_control_window(_WINDOW_BYTES, answer.stream)
        self._http.send_data(answer.stream, PREFIX.pack(0, len(request)) + request, end_stream=True)
        self._flush()

    def _receive(self, answer: Answer, deadline: float) -> None:
        self._socket.settimeout(_left(deadline))
        received = self._socket.recv(_RECEIVE_BYTES)
        if not received:
            raise _BrokenError(f"{self._path} closed the connection", hint=IS_IT_UP)
        events = self._http.receive_data(received)
        for event in events:
            if isinstance(event, DataReceived):
                self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, ConnectionTerminated):
                self._leave(event, answer)
            if getattr(event, "stream_id", None) == answer.stream:
                answer.take(event)
        self._flush()

    def _leave(self, event: ConnectionTerminated, answer: Answer) -> None:
        """Go on only with a call that the server still means to answer."""
        self.finished = True
        last = event.last_stream_id
        if event.error_code != ErrorCodes.NO_ERROR or last is None or answer.stream > last:
            raise _BrokenError(f"{self._path} ended the connection (code {event.error_code})", hint=IS_IT_UP)

    def _flush(self) -> None:
        if waiting := self._http.data_to_send():
            self._socket.sendall(waiting)


def unreachable(path: Path, error: Exception) -> CallError:
    """Return the error that says why nobody answers at `path`."""
    hint = IS_IT_UP
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
