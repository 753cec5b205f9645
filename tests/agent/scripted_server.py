"""A real HTTP server on a free port that answers from a script, for tests of what talks to a collector."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple

from gpuledger import wire


class Request(NamedTuple):
    """What a client sent."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client_port: int


class Answer(NamedTuple):
    """What it gets. `hang_up`: the connection is closed instead of an answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    hang_up: bool = False


class ScriptedServer:
    """Answers with `answer(request)` and remembers every request."""

    def __init__(self, answer: Callable[[Request], Answer]) -> None:
        self.requests: list[Request] = []
        self.answer = answer
        scripted = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = self.rfile.read(length)
                if len(body) < length:  # the client died in the middle of its request
                    self.close_connection = True
                    return
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(self.command, self.path, headers, body, self.client_address[1])
                scripted.requests.append(request)
                answer = scripted.answer(request)
                if answer.hang_up:
                    self.close_connection = True
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                with suppress(BrokenPipeError):  # a client that gave up does not wait for the answer
                    self.wfile.write(answer.body)

            do_GET = do_POST = handle_any  # noqa: N815 - names that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def serving(answer: Callable[[Request], Answer]) -> Iterator[ScriptedServer]:
    """Run a scripted server for the length of a block."""
    server = ScriptedServer(answer)
    try:
        yield server
    finally:
        server.close()


def receipt(sequence: int, *, duplicate: bool = False, agent: str = "node-a", boot: str = "b", rows: int = 1) -> Answer:
    """Return the answer of a collector that has committed a batch."""
    document = {"agent": agent, "boot": boot, "sequence": sequence, "rows": rows, "duplicate": duplicate}
    return Answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"})


def problem(status: int, detail: str, *, code: str = "overlap", **headers: str) -> Answer:
    """Return a problem document, as the collector answers errors."""
    kind = f"urn:gpuledger:problem:{code}"
    facts = {"title": "refused", "status": status, "detail": detail, "hint": "read the log"}
    document = {"type": kind, "code": code, **facts}
    body = json.dumps(document).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, body, {"Content-Type": "application/problem+json", **named})


def accept_all(request: Request) -> Answer:
    """Commit whatever is a batch, as a collector would."""
    batch = wire.decode(request.body)
    return receipt(batch.sequence, agent=batch.agent, boot=batch.boot, rows=batch.rows)


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
