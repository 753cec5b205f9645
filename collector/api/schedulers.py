"""A listener of its own for schedulers: HTTPS with nothing else of the collector on it, in the same process.

kube-apiserver asks webhooks over HTTPS only. What it can reach is then this port, and not the ledger's API.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from collector.api import handlers
from collector.api.problems import on_fault, on_http_error, on_ledger_error
from collector.api.services import Services
from collector.config import AdmissionSettings
from gpuledger.errors import ConfigError, GpuLedgerError

LOOK_S: Final = 60.0  # how often a renewed certificate is looked for
_log: Final = logging.getLogger(__name__)


class _Server(uvicorn.Server):
    """Leaves signals to the server beside it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def build_schedulers(services: Services) -> Starlette:
    """Return the application of that port."""
    return Starlette(
        routes=[
            Route("/v1/admission", handlers.admission(services), methods=["POST"]),
            Route("/v1/admission/slurm", handlers.job_admission(services), methods=["POST"]),
            Route("/healthz", handlers.health(services), methods=["GET"]),
        ],
        exception_handlers={GpuLedgerError: on_ledger_error, HTTPException: on_http_error, Exception: on_fault},
    )


class Listener:
    """The port, open and with its certificate; `serve` answers on it. Raises ConfigError where it cannot be opened."""

    def __init__(self, settings: AdmissionSettings) -> None:
        if settings.certificate is None or settings.key is None:
            raise ConfigError(
                "[admission] port has no certificate",
                hint="kube-apiserver asks over HTTPS: set certificate and key, PEM",
            )
        if settings.client_ca is None:
            raise ConfigError(
                "[admission] port has no client_ca: whoever reaches it could ask in the name of schedulers",
                hint="set client_ca, PEM: kube-apiserver shows a certificate of it",
            )
        self._files = settings.certificate, settings.key
        self._context = _context(settings)
        try:
            self._socket = socket.create_server((settings.host, settings.port or 0))
        except OSError as error:
            raise ConfigError(
                f"the collector cannot listen on {settings.host}:{settings.port} for schedulers: {error.strerror}",
                hint="end what listens there, or give another [admission] host and port",
            ) from error
        self.port: int = self._socket.getsockname()[1]

    async def serve(self, services: Services) -> None:
        """Serve until it is cancelled; a certificate that was renewed is taken for new connections."""
        config = uvicorn.Config(
            build_schedulers(services),
            ssl_context_factory=lambda _config, _default: self._context,
            timeout_keep_alive=120,  # kube-apiserver keeps its connections
            access_log=False,
            log_config=None,
            lifespan="off",
            ws="none",
            server_header=False,
        )
        server = _Server(config)
        serving = asyncio.create_task(server.serve([self._socket]))
        try:
            await _renew(self._context, *self._files)
        finally:
            server.should_exit = True
            with contextlib.suppress(asyncio.CancelledError):
                await serving


async def _renew(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    seen = _changed(certificate, key)
    while True:
        await asyncio.sleep(LOOK_S)
        now = await asyncio.to_thread(_changed, certificate, key)
        if now == seen:
            continue
        try:
            _load(context, certificate, key)
            seen = now
            _log.info("the certificate for schedulers was read again")
        except ConfigError as error:
            _log.error("the new certificate for schedulers is not used: %s", error)


def _changed(*files: Path) -> tuple[int, ...]:
    return tuple(path.stat().st_mtime_ns if path.exists() else 0 for path in files)


def _context(settings: AdmissionSettings) -> ssl.SSLContext:
    assert settings.certificate is not None and settings.key is not None  # noqa: PT018 - who calls saw to both
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, settings.certificate, settings.key)
    if settings.client_ca is not None:
        try:
            context.load_verify_locations(settings.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"{settings.client_ca} holds no certificates: {error}", hint="give a PEM file") from error
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"{certificate} and {key} cannot be used for HTTPS: {error}", hint="give PEM files that belong together"
        ) from error
