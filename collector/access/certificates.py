"""Client certificates: who is connected, as the certificate says that the server has checked against its CA."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from starlette.requests import Request
from uvicorn.protocols.http.h11_impl import H11Protocol

_NAME: Final = "client_certificate"


class CertifiedProtocol(H11Protocol):
    """HTTP of uvicorn that tells handlers the common name of the client's certificate; uvicorn itself does not."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note whose certificate it is, once the handshake is done: the server has checked it by then."""
        super().connection_made(transport)
        certificate = transport.get_extra_info("peercert")
        self.app_state = {**self.app_state, _NAME: common_name(certificate)}


def certified(request: Request) -> str:
    """Return the common name of the client's certificate; empty where none was asked for."""
    return str(request.scope.get("state", {}).get(_NAME, ""))


def common_name(certificate: dict[str, Any] | None) -> str:
    """Return the one common name of a certificate as `ssl` decodes it; empty where it has none, or several."""
    subject = (certificate or {}).get("subject", ())
    names = [value for part in subject for name, value in part if name == "commonName"]
    return names[0] if len(names) == 1 else ""
