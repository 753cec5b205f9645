"""Requests to the API server in the name of the agent's service account, by the standard library alone.

Token and certificates are read anew for each request: both are rotated under a running process.
"""

from __future__ import annotations

import http.client
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from gpuledger.errors import ConfigError, HolderError, Transient

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
METADATA: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
JSON: Final = "application/json"

_MAX_BODY_BYTES: Final = 64 * 2**20
_MAX_LINE_BYTES: Final = 4 * 2**20
_KEEPALIVE: Final = ((socket.TCP_KEEPIDLE, 30), (socket.TCP_KEEPINTVL, 10), (socket.TCP_KEEPCNT, 3))
_THIS_NODE: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_HINTS: Final = {
    401: "the service account's token is not taken: see that it is mounted and projected for this API server",
    403: "give the agent's service account the role that docs/concepts/kubernetes.md shows",
    404: "this API server does not have it: look at its version",
    429: "the API server is busy: it is asked again later",
}


class ApiError(HolderError, Transient):
    """The API server did not answer as it should. `status` is the HTTP status, None where there was none."""

    def __init__(self, message: str, *, hint: str = "", status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class ApiEndpoint(NamedTuple):
    """Where the API server is, and how to show who asks."""

    url: str
    token_file: Path | None = None
    ca_file: Path | None = None

    @classmethod
    def of(cls, url: str, token_file: Path | None, ca_file: Path | None, env: Mapping[str, str]) -> Self | None:
        """Return the endpoint that was configured, else the one that a pod's environment names, else None."""
        token_file = token_file or SERVICE_ACCOUNT / "token"
        ca_file = ca_file or SERVICE_ACCOUNT / "ca.crt"
        if not url:
            host, port = env.get("KUBERNETES_SERVICE_HOST", ""), env.get("KUBERNETES_SERVICE_PORT", "443")
            if not host:
                return None
            url = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        return cls(url, token_file, ca_file)


class ApiServer:
    """One API server. Safe to use from several threads: each request has a connection of its own."""

    def __init__(self, endpoint: ApiEndpoint, *, timeout_s: float = 10.0) -> None:
        parts = urlsplit(endpoint.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(
                f"[kubernetes] api_url: {endpoint.url!r} is no address of an API server",
                hint="write it like https://10.0.0.1:6443",
            )
        self._endpoint = endpoint
        self._host, self._tls, self._base = parts.hostname, parts.scheme == "https", parts.path.rstrip("/")
        self._port = parts.port or (443 if self._tls else 80)
        self._timeout_s = timeout_s

    @property
    def url(self) -> str:
        """Return the server's address."""
        return self._endpoint.url

    def get(self, path: str, parameters: Mapping[str, str] | None = None, *, accept: str = JSON) -> bytes:
        """Return the body of an answer. Raises ApiError for anything but 200."""
        with self._answer(path, parameters, accept, self._timeout_s) as (response, _):
            body = response.read(_MAX_BODY_BYTES + 1)
        if len(body) > _MAX_BODY_BYTES:
            raise ApiError(f"{self.url}{path} answers with more than {_MAX_BODY_BYTES} bytes", hint=_HINTS[404])
        return body

    @contextmanager
    def watch(self, path: str, parameters: Mapping[str, str], *, timeout_s: float) -> Iterator[Watch]:
        """Give a stream of lines that stays open until the server ends it, or nothing came for `timeout_s`."""
        with self._answer(path, parameters, METADATA, timeout_s) as (response, connected):
            yield Watch(response, connected)

    @contextmanager
    def _answer(
        self, path: str, parameters: Mapping[str, str] | None, accept: str, timeout_s: float
    ) -> Iterator[tuple[http.client.HTTPResponse, socket.socket]]:
        query = f"?{urlencode(parameters)}" if parameters else ""
        try:
            with closing(self._connect(timeout_s)) as connection:
                connected: socket.socket = connection.sock
                connection.request("GET", f"{self._base}{path}{query}", headers=self._headers(accept))
                response = connection.getresponse()
                if response.status != http.HTTPStatus.OK:
                    raise _refusal(self.url, path, response)
                yield response, connected
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(
                f"the API server at {self.url} does not answer: {str(error) or type(error).__name__}",
                hint="see whether this node reaches it, and that the certificate file is the cluster's",
            ) from error

    def _connect(self, timeout_s: float) -> http.client.HTTPConnection:
        if self._tls:
            ca_file = self._endpoint.ca_file
            context = ssl.create_default_context(cafile=str(ca_file) if ca_file and ca_file.exists() else None)
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                self._host, self._port, timeout=self._timeout_s, context=context
            )
        else:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        connection.connect()
        connection.sock.settimeout(timeout_s)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return connection

    def _headers(self, accept: str) -> dict[str, str]:
        headers = {"Accept": accept, "User-Agent": "gpuledger-agent", "Connection": "close"}
        token = self._token()
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return headers

    def _token(self) -> str:
        """Return what the token's file holds now; nothing where there is none, or where others could listen."""
        path = self._endpoint.token_file
        if path is None or not path.exists() or not (self._tls or self._host in _THIS_NODE):
            return ""
        token = path.read_bytes().strip()
        if not re.fullmatch(rb"[!-~]*", token):
            raise ApiError(f"{path} holds no token", hint=_HINTS[401])
        return token.decode("ascii")


class Watch:
    """Lines of a watch as they come."""

    def __init__(self, response: http.client.HTTPResponse, connected: socket.socket) -> None:
        self._response = response
        self._socket = connected

    def stop(self) -> None:
        """End the stream from another thread."""
        with suppress(OSError):  # it has ended
            self._socket.shutdown(socket.SHUT_RDWR)

    def __iter__(self) -> Iterator[bytes]:
        """Yield each line; ends when the server ends the stream."""
        while line := self._response.readline(_MAX_LINE_BYTES + 1):
            if len(line) > _MAX_LINE_BYTES:
                raise ApiError(f"a watch event has more than {_MAX_LINE_BYTES} bytes", hint=_HINTS[404])
            yield line


def _refusal(url: str, path: str, response: http.client.HTTPResponse) -> ApiError:
    said = response.read(1_000).decode("utf-8", "replace").strip()
    reason = f": {said}" if said else ""
    return ApiError(
        f"{url}{path} answers {response.status}{reason}", hint=_HINTS.get(response.status, ""), status=response.status
    )
