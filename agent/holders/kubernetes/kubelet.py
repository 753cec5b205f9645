"""The kubelet's answers: asked at each reading, and for a while still good when it does not answer (it restarts)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.grpc_status import UNIMPLEMENTED, CallRefusedError
from agent.holders.kubernetes.podresources import (
    GET_ALLOCATABLE,
    LIST,
    NO_ARGUMENTS,
    ContainerDevices,
    DeviceIds,
    parse_allocatable,
    parse_list,
)
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import HolderError

_ALLOCATABLE_EVERY_US: Final = 60 * US_PER_SECOND
_LONGEST_PAUSE_US: Final = 30 * US_PER_SECOND

_log = logging.getLogger(__name__)


class KubeletAnswer(NamedTuple):
    """What the kubelet said last. `allocatable` is None where it does not say what there is to give."""

    containers: tuple[ContainerDevices, ...]
    allocatable: tuple[DeviceIds, ...] | None
    at_us: int


class Caller(Protocol):
    """Something that makes unary calls."""

    def call(self, method: str, request: bytes, *, timeout_s: float) -> bytearray:
        """Return the answer. Raises HolderError."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


class Kubelet:
    """Asks the kubelet on this node. A node without its socket has none."""

    def __init__(
        self,
        socket: Path = defaults.SOCKET,
        *,
        timeout_s: float = 1.0,
        stands_s: float = 1800.0,
        max_message_bytes: int,
    ) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._stands_us = int(stands_s * US_PER_SECOND)
        self._max_message_bytes = max_message_bytes
        self._caller: Caller | None = None
        self._last: KubeletAnswer | None = None
        self._last_body = bytearray()
        self._allocatable_at_us: int | None = None
        self._failed_in_a_row = 0
        self._next_try_us = 0
        self.error: HolderError | None = None  # why the last call failed

    def here(self) -> bool:
        """Tell whether there is, or has been, a kubelet's socket."""
        return self._caller is not None or self._socket.exists()

    def ask(self, at_us: int) -> KubeletAnswer:
        """Return what the kubelet says, or what it said last, for as long as that stands.

        Raises HolderError where it does not answer, and has not for that long.
        """
        if self.error is not None and 0 < self._next_try_us - at_us <= _LONGEST_PAUSE_US:
            return self._standing(at_us, self.error)
        try:
            answer = self._ask(at_us)
        except HolderError as error:
            self._failed(error, at_us)
            return self._standing(at_us, error)
        if self.error is not None:
            _log.info("the kubelet answers again")
        self._last, self.error, self._failed_in_a_row = answer, None, 0
        return answer

    def close(self) -> None:
        """Close the connection."""
        if self._caller is not None:
            self._caller.close()

    def _ask(self, at_us: int) -> KubeletAnswer:
        caller = self._caller = self._caller or self._new_caller()
        body = caller.call(LIST, NO_ARGUMENTS, timeout_s=self._timeout_s)
        if self._last is not None and body == self._last_body:
            containers = self._last.containers
        else:
            containers, self._last_body = parse_list(body), body
        return KubeletAnswer(containers, self._allocatable(caller, at_us), at_us)

    def _new_caller(self) -> Caller:
        from agent.holders.kubernetes.grpc import UnixGrpc  # noqa: PLC0415 - h2 is loaded where there is a kubelet

        return UnixGrpc(self._socket, max_message_bytes=self._max_message_bytes)

    def _allocatable(self, caller: Caller, at_us: int) -> tuple[DeviceIds, ...] | None:
        """Return what there is to give; it changes seldom: asked for each minute, and after a failure."""
        asked_us, last = self._allocatable_at_us, self._last if self.error is None else None
        if last is not None and asked_us is not None and 0 <= at_us - asked_us < _ALLOCATABLE_EVERY_US:
            return last.allocatable
        self._allocatable_at_us = at_us
        try:
            return parse_allocatable(caller.call(GET_ALLOCATABLE, NO_ARGUMENTS, timeout_s=self._timeout_s))
        except HolderError as error:
            if isinstance(error, CallRefusedError) and error.status == UNIMPLEMENTED:
                return None
            _log.warning("what there is to give is not known anew: %s", error)
            return self._last.allocatable if self._last else None

    def _failed(self, error: HolderError, at_us: int) -> None:
        if self.error is None:
            _log.warning("the kubelet does not answer: %s", error)
        self.error = error
        self._failed_in_a_row += 1
        self._next_try_us = at_us + min(_LONGEST_PAUSE_US, US_PER_SECOND * 2 ** min(self._failed_in_a_row - 1, 10))

    def _standing(self, at_us: int, error: HolderError) -> KubeletAnswer:
        if self._last is None or not -self._stands_us <= at_us - self._last.at_us <= self._stands_us:
            raise error
        return self._last
