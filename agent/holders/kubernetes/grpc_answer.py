"""The answer to one gRPC call as it comes in: headers, the message behind its prefix, the status in the trailers."""

from __future__ import annotations

import struct
from typing import Final
from urllib.parse import unquote

from h2.events import DataReceived, Event, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from agent.holders.kubernetes.grpc_status import OK, CallError, refused

IS_IT_UP: Final = "see whether the kubelet runs: systemctl status kubelet"
IS_IT_KUBELET: Final = "check that [kubernetes] socket is the kubelet's pod-resources socket"
PREFIX: Final = struct.Struct(">BI")  # before a message: whether it is compressed, and its length


class Answer:
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
            self._headers.update((_text(name), _text(value)) for name, value in event.headers or ())
        elif isinstance(event, StreamReset):
            raise CallError(f"the call of {self.method} was broken off (code {event.error_code})", hint=IS_IT_UP)
        elif isinstance(event, StreamEnded):
            self.ended = True

    def message(self) -> bytearray:
        """Return the message, where the status is OK and it is whole."""
        if self._headers.get(":status") != "200" or "grpc-status" not in self._headers:
            raise CallError(f"the answer to {self.method} is not gRPC's", hint=IS_IT_KUBELET)
        status = self._headers["grpc-status"]
        if status != str(OK):
            raise refused(self.method, status, unquote(self._headers.get("grpc-message", "")))
        if len(self._body) < PREFIX.size or len(self._body) != PREFIX.size + self._announced():
            raise CallError(f"the answer to {self.method} is not one whole message", hint=IS_IT_KUBELET)
        if self._body[0]:
            raise CallError(f"the answer to {self.method} is compressed, which was not asked for", hint=IS_IT_KUBELET)
        del self._body[: PREFIX.size]
        return self._body

    def _announced(self) -> int:
        return int(PREFIX.unpack_from(self._body)[1])

    def _check_size(self) -> None:
        """Refuse a message that is too large as soon as it says so."""
        known = len(self._body) >= PREFIX.size
        size = max(len(self._body) - PREFIX.size, self._announced() if known else 0)
        if size > self._max_bytes:
            raise CallError(
                f"the answer to {self.method} has {size} bytes, more than the {self._max_bytes} that are taken",
                hint="raise [kubernetes] max_message_bytes",
            )


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")
