"""The agent's own token: made here, registered with a join token, and kept beside the spool.

Only its SHA-256 goes to the collector, so that the token itself is in one place. Registering it again changes nothing:
an answer that was lost costs nothing.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from agent.config import AgentSettings
from gpuledger.client import JSON, BatchReceipt, ClientTls, CollectorClient
from gpuledger.errors import ConfigError, DeliveryError, TerminalDeliveryError
from gpuledger.tokens import JOIN, left_here, read_token, write_token

FILE: Final = "agent.token"
PREFIX: Final = "gpuledger_"
UNKNOWN: Final = 401
_log: Final = logging.getLogger(__name__)


class EnrolledCollector:
    """Delivers batches under this agent's own token, and registers it where the collector does not know it."""

    def __init__(self, settings: AgentSettings, join: Callable[[], str | None]) -> None:
        self._settings = settings
        self._join = join
        self._given = settings.token()
        self._path = settings.spool.directory / FILE
        self._client = self._connect(self._given or _kept(self._path))

    def post_batch(self, frame: bytes) -> BatchReceipt:
        """Deliver one frame. Raises DeliveryError, as the client does."""
        try:
            return self._client.post_batch(frame)
        except TerminalDeliveryError as error:
            if error.status != UNKNOWN or not self._enrol():
                raise
        return self._client.post_batch(frame)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _enrol(self) -> bool:
        """Register this agent's token; return whether there was anything to do it with."""
        joining = None if self._given else self._join()
        if joining is None:
            return False
        token = _kept(self._path) or _make(self._path)
        asked = {"agent": self._settings.name, "digest": sha256(token.encode()).hexdigest()}
        client = self._connect(joining)
        try:
            client.post("/v1/agents", msgspec.json.encode(asked), JSON)
        except DeliveryError as error:
            _log.warning("this agent is not enrolled: %s", error)
            raise
        finally:
            client.close()
        _log.info("agent %s is enrolled, its token is in %s", self._settings.name, self._path)
        self._client.close()
        self._client = self._connect(token)
        return True

    def _connect(self, token: str | None) -> CollectorClient:
        collector = self._settings.collector
        tls = ClientTls(collector.ca_file, collector.certificate_file, collector.key_file)
        return CollectorClient(collector.url, token=token, timeout_s=collector.timeout_s, tls=tls)


def join_token(settings: AgentSettings) -> str | None:
    """Return the join token: of the file that is named, else of a collector that this user runs on this machine.

    Raises ConfigError where the file cannot be read.
    """
    path = settings.collector.join_token_file
    return read_token(path) if path else left_here(settings.collector.url, JOIN)


def _kept(path: Path) -> str | None:
    try:
        return read_token(path)
    except ConfigError:
        return None


def _make(path: Path) -> str:
    """Return a new token that is on disk: registered and lost, it would keep this agent out."""
    token = PREFIX + secrets.token_urlsafe(32)
    write_token(path, token)
    return token
