"""Serves `/metrics`, `/healthz` and `/readyz`: as much of HTTP/1.1 as that takes, in a few threads of its own.

The standard library's server costs more memory and time than writing the page does.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from typing import Any, Final, NamedTuple, Protocol

from agent.metrics.exposition import OPENMETRICS_TYPE, TEXT_TYPE, gzipped, wants_gzip, wants_openmetrics
from gpuledger.errors import ConfigError

IDLE_CONNECTION_S: Final = 10.0  # a connection that asks for nothing, or slowly, does not keep its thread longer
MAX_CONNECTIONS: Final = 32
MAX_HEAD: Final = 16_384  # bytes of a request
PLAIN: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
_END: Final = b"\r\n\r\n"
_REASONS: Final = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}  # fmt: skip


class Health(NamedTuple):
    """Whether the last sample is recent, and the JSON that tells so."""

    ready: bool
    body: bytes


class Served(Protocol):
    """What the server asks: an exporter."""

    def text(self, *, openmetrics: bool) -> bytes:
        """Return the page of this instant."""
        ...

    def health(self) -> Health:
        """Return how fresh the readings are."""
        ...


class Answer(NamedTuple):
    """What is sent back."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[str, ...] = ()

    def encode(self, *, head_only: bool = False, close: bool = False) -> bytes:
        """Return it as bytes of HTTP/1.1."""
        lines = (
            f"HTTP/1.1 {self.status} {_REASONS[self.status]}",
            time.strftime("Date: %a, %d %b %Y %H:%M:%S GMT", time.gmtime()),
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *self.headers,
            *(("Connection: close",) if close else ()),
        )
        return "\r\n".join(lines).encode() + _END + (b"" if head_only else self.body)


class Request(NamedTuple):
    """What was asked; `headers` by their names in lower case, repeated ones joined."""

    method: str
    path: str
    headers: dict[str, str]
    keep_alive: bool


class MetricsServer:
    """Serves an exporter until it is closed. Port 0 takes a free port; `port` tells which.

    `/healthz` answers 200 as long as the process does, and says since when there has been no sample: a driver that
    does not answer is no reason to restart an agent that goes on delivering. `/readyz` answers 200 where the last
    sample is recent, else 503.
    """

    def __init__(self, exporter: Served, host: str, port: int, *, idle_s: float = IDLE_CONNECTION_S) -> None:
        try:
            self._server = _Server((host, port), _connection_type(exporter, idle_s))
        except OSError as error:
            raise ConfigError(
                f"cannot listen on {host}:{port} for /metrics: {error.strerror}",
                hint="choose another [exporter] port, or 0 for any free one",
            ) from error
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(request: Request, exporter: Served) -> Answer:
    """Return what a request gets."""
    if request.method not in ("GET", "HEAD"):
        return Answer(405, PLAIN, b"only GET and HEAD are answered here\n", ("Allow: GET, HEAD",))
    if request.path == "/metrics":
        return _metrics(request, exporter)
    if request.path == "/healthz":
        return Answer(200, JSON, exporter.health().body)
    if request.path == "/readyz":
        health = exporter.health()
        return Answer(200 if health.ready else 503, JSON, health.body)
    return Answer(404, PLAIN, b"metrics are at /metrics\n")


def parse_request(head: bytes) -> Request | None:
    """Return the request of a head without its empty line, or None where it is none."""
    first, *rest = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        return None
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        if not colon or not name or name != name.strip():
            return None
        name = name.lower()
        headers[name] = f"{headers[name]},{value.strip()}" if name in headers else value.strip()
    has_body = headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
    asked = headers.get("connection", "keep-alive" if words[2] == "HTTP/1.1" else "close").lower()
    return Request(words[0], words[1].partition("?")[0], headers, "close" not in asked and not has_body)


def _metrics(request: Request, exporter: Served) -> Answer:
    openmetrics = wants_openmetrics(request.headers.get("accept", ""))
    body = exporter.text(openmetrics=openmetrics)
    headers: tuple[str, ...] = ("Vary: Accept, Accept-Encoding",)
    if wants_gzip(request.headers.get("accept-encoding", "")):
        body, headers = gzipped(body), ("Content-Encoding: gzip", *headers)
    return Answer(200, OPENMETRICS_TYPE if openmetrics else TEXT_TYPE, body, headers)


class _Server(socketserver.ThreadingTCPServer):
    """A thread for each connection up to a limit; one too many is told to come again."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = MAX_CONNECTIONS

    def __init__(self, address: tuple[str, int], connection: type[socketserver.BaseRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, connection)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the library has it
        """Answer in a thread, or refuse."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            request.send(Answer(503, PLAIN, b"too many connections\n", ("Retry-After: 1",)).encode(close=True))
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Answer, and make room for the next."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


def _connection_type(exporter: Served, idle_s: float) -> type[socketserver.BaseRequestHandler]:
    class Connection(socketserver.BaseRequestHandler):
        """Answers one connection's requests, one after the other, until either side has had enough."""

        def handle(self) -> None:
            """Answer until the connection is closed, silent or slow."""
            self._received = b""
            self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                while self._answer_one():
                    pass
            except OSError:
                return  # the client went away, or took too long: nobody is left to be told

        def _answer_one(self) -> bool:
            head = self._read_head(time.monotonic() + idle_s)
            if head is None:
                return False
            request = parse_request(head) if len(head) <= MAX_HEAD else None
            if request is None:
                status = 400 if len(head) <= MAX_HEAD else 431
                found, keep_alive, head_only = Answer(status, PLAIN, b"not understood\n"), False, False
            else:
                found, keep_alive, head_only = answer(request, exporter), request.keep_alive, request.method == "HEAD"
            self.request.settimeout(idle_s)
            self.request.sendall(found.encode(head_only=head_only, close=not keep_alive))
            return keep_alive

        def _read_head(self, deadline: float) -> bytes | None:
            while _END not in self._received and len(self._received) <= MAX_HEAD:
                self.request.settimeout(max(0.001, deadline - time.monotonic()))
                data = self.request.recv(MAX_HEAD)
                if not data:
                    return None
                self._received += data
            head, _, self._received = self._received.partition(_END)
            return head

    return Connection
