"""A kubelet as far as PodResources goes: a real gRPC server on a Unix socket whose answers are given."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

if os.environ.get("CI") == "true":
    import grpc
else:
    grpc = pytest.importorskip("grpc", reason="grpcio is missing: pip install grpcio")


class KubeletServer:
    """Serves `/v1.PodResourcesLister`. Each answer is bytes, or a call that may abort through its context."""

    def __init__(self, path: Path, *options: tuple[str, int]) -> None:
        self.path = path
        self._options = options
        self.list: bytes | Callable[[Any], bytes] = b""
        self.allocatable: bytes | Callable[[Any], bytes] = b""
        self.calls: list[str] = []
        self.released = threading.Event()  # answers that wait for the test wait for this
        self._server: Any = None

    def start(self) -> None:
        """Make the socket and serve on it."""
        self.path.unlink(missing_ok=True)
        self._server = grpc.server(ThreadPoolExecutor(2), options=self._options)
        handlers = {
            "List": grpc.unary_unary_rpc_method_handler(lambda _, context: self._answer("List", self.list, context)),
            "GetAllocatableResources": grpc.unary_unary_rpc_method_handler(
                lambda _, context: self._answer("GetAllocatableResources", self.allocatable, context)
            ),
        }
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("v1.PodResourcesLister", handlers),)
        )
        self._server.add_insecure_port(f"unix:{self.path}")
        self._server.start()

    def stop(self) -> None:
        """End all connections; the socket is left behind or not, as it happens."""
        self.released.set()
        self._server.stop(0).wait()

    def restart(self) -> None:
        """Do as a kubelet does that is restarted: the socket is made anew."""
        self.stop()
        self.released.clear()
        self.start()

    def wait_until_released(self, _context: Any) -> bytes:
        """Answer with nothing once the test allows it."""
        self.released.wait(30)
        return b""

    def _answer(self, name: str, given: bytes | Callable[[Any], bytes], context: Any) -> bytes:
        self.calls.append(name)
        return given if isinstance(given, bytes) else given(context)


def refusing(code: Any, message: str) -> Callable[[Any], bytes]:
    """Return an answer with an error status."""

    def refuse(context: Any) -> bytes:
        context.abort(code, message)
        raise AssertionError

    return refuse


@contextmanager
def kubelet_at(path: Path, *options: tuple[str, int]) -> Iterator[KubeletServer]:
    """Serve for a while; `options` are gRPC's."""
    server = KubeletServer(path, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
