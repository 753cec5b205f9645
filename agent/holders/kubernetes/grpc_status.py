"""The statuses of gRPC, and the errors that they become."""

from __future__ import annotations

from typing import Final

from gpuledger.errors import HolderError, Transient

OK: Final = 0
UNIMPLEMENTED: Final = 12

_NAMES: Final = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip
_HINTS: Final = {
    "RESOURCE_EXHAUSTED": "the kubelet limits how often this may be asked: let nothing else ask it as often",
    "UNIMPLEMENTED": "this kubelet is older than 1.21 or has the feature switched off",
    "PERMISSION_DENIED": "run the agent as root",
    "UNAVAILABLE": "the kubelet is starting: it is asked again",
}
_OTHERWISE: Final = "see the kubelet's own log: journalctl -u kubelet"


class CallError(HolderError, Transient):
    """A call got no answer, or none that can be read."""


class CallRefusedError(CallError):
    """The server answered with an error. `status` is its number, None where it is none of gRPC's."""

    def __init__(self, message: str, *, hint: str, status: int | None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


def refused(method: str, status: str, message: str) -> CallRefusedError:
    """Return the error for the status and message that a server put into its trailers."""
    number = int(status) if status.isascii() and status.isdigit() and int(status) < len(_NAMES) else None
    name = status if number is None else _NAMES[number]
    said = f": {message}" if message else ""
    return CallRefusedError(f"{method} failed with {name}{said}", hint=_HINTS.get(name, _OTHERWISE), status=number)
