"""The collector's HTTP client: agents post batches with it, the command line, analytics and dashboards read with it.

One keep-alive connection for each client; a client belongs to one thread.
"""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

import msgspec

from gpuledger.errors import ConfigError, DeliveryError, TerminalDeliveryError, TransientDeliveryError
from gpuledger.wire import MEDIA_TYPE

DEFAULT_URL: Final = "http://127.0.0.1:8470"
JSON: Final = "application/json"
_TRANSIENT_STATUS: Final = frozenset({408, 421, 425, 429})  # besides every 5xx
_MAX_PROBLEM_LENGTH: Final = 2_000
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)  # what decoding any bytes may raise


class BatchReceipt(msgspec.Struct, frozen=True):
    """What the collector answers once a batch is committed; `duplicate`: it had it already."""

    agent: str
    boot: str
    sequence: int
    rows: int
    duplicate: bool = False


class Problem(msgspec.Struct, frozen=True):
    """An error answer (RFC 9457), as far as we read it."""

    title: str = ""
    detail: str = ""
    hint: str = ""
    code: str = ""


class ClientTls(NamedTuple):
    """What a client trusts, and what it shows of itself (PEM files); by default what the system trusts, and nothing."""

    ca_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @classmethod
    def of_environment(cls, env: Mapping[str, str]) -> Self:
        """Return what GPULEDGER_CA_FILE, GPULEDGER_CERTIFICATE_FILE and GPULEDGER_KEY_FILE name."""
        names = ("GPULEDGER_CA_FILE", "GPULEDGER_CERTIFICATE_FILE", "GPULEDGER_KEY_FILE")
        return cls(*(Path(env[name]) if env.get(name) else None for name in names))

    def context(self) -> ssl.SSLContext:
        """Return the settings of a connection. Raises ConfigError where a file cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.ca_file)
            if self.certificate:
                context.load_cert_chain(self.certificate, self.key)
        except OSError as error:  # ssl's own errors are such
            raise ConfigError(
                f"a certificate or key for the collector cannot be used: {error}", hint="give PEM files that match"
            ) from error
        return context


_SYSTEM: Final = ClientTls()
_receipts: Final = msgspec.json.Decoder(BatchReceipt)
_problems: Final = msgspec.json.Decoder(Problem)


class CollectorClient:
    """Talks to one collector.

    Every request raises TransientDeliveryError where trying again may help (no connection, a time-out, 408, 429, 5xx;
    `retry_after_s` as the collector asked) and TerminalDeliveryError where it will not.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, token: str | None = None, timeout_s: float = 10.0, tls: ClientTls = _SYSTEM
    ) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigError(f"{url!r} is not an address: {error}", hint=f"write it like {DEFAULT_URL}") from error
        more = parts.query or parts.fragment
        if parts.scheme not in ("http", "https") or not parts.hostname or more or not _is_word(url):
            raise ConfigError(f"{url!r} is not the address of a collector", hint=f"write it like {DEFAULT_URL}")
        if token and not _is_word(token):
            raise ConfigError(
                "the collector's token has blanks or characters that no HTTP header takes",
                hint="put the token alone into its file, on one line",
            )
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection = _connection(parts.scheme, parts.hostname, port, timeout_s, tls)

    def post_batch(self, frame: bytes) -> BatchReceipt:
        """Deliver one frame; when this returns, the collector has committed it."""
        body = self.request("POST", "/v1/batches", body=frame, content_type=MEDIA_TYPE)
        try:
            return _receipts.decode(body)
        except _UNREADABLE as error:
            raise TransientDeliveryError(
                f"{self.url} answered a batch with something that is not a receipt",
                hint="check that [collector] url names a gpuledger collector, and nothing in between answers for it",
            ) from error

    def get(self, path: str, params: Mapping[str, str] | None = None, accept: str = JSON) -> bytes:
        """Return the body of a resource in the format asked for."""
        return self.request("GET", path, params=params, accept=accept)

    def get_json(self, path: str, params: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - a JSON document
        """Return a resource as plain Python values."""
        return self._json(path, self.get(path, params))

    def post(self, path: str, body: bytes, content_type: str, params: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401
        """Send a document and return the JSON answer as plain Python values."""
        return self._json(path, self.request("POST", path, params=params, body=body, content_type=content_type))

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str = "",
        accept: str = JSON,
    ) -> bytes:
        """Return the body of a successful answer."""
        target = self._prefix + path + (f"?{urlencode(params)}" if params else "")
        headers = {"Accept": accept, **self._headers}
        if content_type:
            headers["Content-Type"] = content_type
        status, answer_headers, answer = self._exchange(method, target, body, headers)
        if 200 <= status < 300:
            return answer
        raise self._error(f"{method} {path}", status, answer_headers, answer)

    def close(self) -> None:
        """Close the connection; a later request opens a new one."""
        self._connection.close()

    def _exchange(
        self, method: str, target: str, body: bytes | None, headers: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Send once; once more on a fresh connection where an idle one turns out to have been closed by the server."""
        for kept_alive in [True, False] if self._connection.sock is not None else [False]:
            try:
                self._connection.request(method, target, body, headers)
                response = self._connection.getresponse()
                return response.status, response.headers, response.read()
            except (http.client.HTTPException, OSError, UnicodeError) as error:  # UnicodeError: no name of a host
                self._connection.close()
                if kept_alive and isinstance(error, ConnectionError):
                    continue
                raise TransientDeliveryError(
                    f"{self.url} does not answer: {_reason(error)}",
                    hint="start it with `gpuledger collector`, or name the right address",
                ) from error
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _error(self, request: str, status: int, headers: http.client.HTTPMessage, body: bytes) -> DeliveryError:
        problem = _problem(body)
        what = problem.detail or problem.title or http.client.responses.get(status, "no reason given")
        kind = TransientDeliveryError if status >= 500 or status in _TRANSIENT_STATUS else TerminalDeliveryError
        return kind(
            f"{self.url} answered {request} with {status}: {what}",
            hint=problem.hint,
            status=status,
            code=problem.code,
            retry_after_s=_seconds(headers.get("Retry-After")),
        )

    def _json(self, path: str, body: bytes) -> Any:  # noqa: ANN401 - a JSON document
        try:
            return msgspec.json.decode(body)
        except _UNREADABLE as error:
            raise TransientDeliveryError(
                f"{self.url}{path} did not answer with JSON: {error}", hint="check that this is a gpuledger collector"
            ) from error


def _is_word(text: str) -> bool:
    """Return whether `text` can stand in a request as it is: printable ASCII without blanks."""
    return text.isascii() and text.isprintable() and " " not in text


def _connection(
    scheme: str, host: str, port: int | None, timeout_s: float, tls: ClientTls
) -> http.client.HTTPConnection:
    if scheme == "https":
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=tls.context())
    return http.client.HTTPConnection(host, port, timeout=timeout_s)


def _problem(body: bytes) -> Problem:
    """Return the problem document, or one whose detail is the text that came instead."""
    try:
        return _problems.decode(body)
    except _UNREADABLE:
        return Problem(detail=body[:_MAX_PROBLEM_LENGTH].decode("utf-8", "replace").strip())


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds form of Retry-After; its other form, a date, is not used by the collector."""
    if retry_after is None or not retry_after.strip().isdecimal():
        return None
    return float(retry_after)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
