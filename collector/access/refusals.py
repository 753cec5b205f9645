"""Why a request goes no further: nobody knows who asks, they may not, or they ask too often."""

from __future__ import annotations

from typing import Final

from gpuledger.errors import AccessError, Transient

_HINT: Final = "give a token that is valid: --token-file FILE, GPULEDGER_TOKEN, or an Authorization: Bearer header"


class NotKnownError(AccessError):
    """There is no token, or it is not (or no longer) one of ours. All of them read alike to whoever asks."""

    def __init__(
        self, message: str = "this needs a token that the collector knows", *, name: str = "unknown", why: str = ""
    ) -> None:
        super().__init__(message, hint=_HINT)
        self.name = name  # for the audit log: whose token it was,
        self.why = why or message  # and what is wrong with it


class NotAllowedError(AccessError):
    """It is known who asks, and they may not."""


class TooOftenError(AccessError, Transient):
    """The same one asks more often than the collector takes; come back in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__("too many requests", hint="ask less often; [limits] of the collector says how much it takes")
        self.retry_after_s = retry_after_s


class EnrolmentError(AccessError):
    """An agent that cannot be taken in as things stand."""
