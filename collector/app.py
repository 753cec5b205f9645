"""The collector process: opens the ledger, serves HTTP, and on SIGTERM commits what it holds before it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import ssl
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import uvicorn
from starlette.applications import Starlette

from collector.access.certificates import CertifiedProtocol
from collector.access.gate import Gate, is_loopback
from collector.access.oidc import Oidc
from collector.access.start import take_over
from collector.access.tokens import TokenBook
from collector.api.application import build
from collector.api.metrics import CollectorMetrics
from collector.api.schedulers import Listener
from collector.api.services import Figures, Rater, Services
from collector.audit.heads import make_checkpoint
from collector.audit.keys import load_private
from collector.audit.watching import LogWatch, watch_log
from collector.commit import GroupCommit
from collector.config import CollectorSettings, TlsSettings
from collector.day_sums import keep_days_summed
from collector.enforcement.limiting import limiting
from collector.enforcement.service import Admission
from collector.governance.addresses import read_addresses, send
from collector.governance.budgets import BudgetWatch
from collector.governance.quota_stages import QuotaWatch
from collector.governance.telling import Teller
from collector.governance.watching import watch_budgets, watch_quotas, watch_requests
from collector.ledger.calendar import CalendarChange
from collector.ledger.store import Ledger, LedgerOptions
from gpuledger.clock import Clock, WallClock
from gpuledger.errors import AuditError, ConfigError, LedgerError
from gpuledger.tokens import noted

GRACE_S: Final = 20
TELL_S: Final = 300.0
OnReady = Callable[[str], None]
_log: Final = logging.getLogger(__name__)


def run(settings: CollectorSettings, *, on_ready: OnReady | None = None, ready_file: Path | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit code. The address goes to `on_ready` and into `ready_file`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s")

    noting = ExitStack()

    def ready(url: str) -> None:
        noting.enter_context(noted(url, token_folder(settings)))
        _log.info("the collector listens on %s, its ledger is %s", url, settings.ledger.directory)
        if ready_file:
            ready_file.write_text(url, encoding="utf-8")
        if on_ready:
            on_ready(url)

    with noting, _open(settings, WallClock()) as ledger:
        server = _server(settings, ledger, WallClock(), ready)
        try:
            server.run()
        except SystemExit as error:  # the server's way to say that it could not start
            raise _cannot_listen(settings) from error
    return 0


@contextmanager
def running(settings: CollectorSettings, *, clock: Clock | None = None) -> Iterator[str]:
    """Serve from a thread of this process; yield the address, and stop gracefully at the end."""
    clock = clock or WallClock()
    found: list[str] = []
    ready = threading.Event()

    def on_ready(url: str) -> None:
        found.append(url)
        ready.set()

    with _open(settings, clock) as ledger:
        server = _server(settings, ledger, clock, on_ready)
        thread = threading.Thread(target=server.run, name="collector", daemon=True)
        thread.start()
        try:
            while not ready.wait(0.05):
                if not thread.is_alive():
                    raise _cannot_listen(settings)
            with noted(found[0], token_folder(settings)):
                yield found[0]
        finally:
            server.should_exit = True
            thread.join()


def _cannot_listen(settings: CollectorSettings) -> LedgerError:
    return LedgerError(
        f"the collector cannot listen on {settings.server.host}:{settings.server.port}",
        hint="end what listens there, or give another [server] host and port",
    )


class _Server(uvicorn.Server):
    """Tells where it listens once it does: port 0 is any free one."""

    def __init__(self, config: uvicorn.Config, on_ready: OnReady) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT as the wish to stop, and keep them: the ledger is closed after the server."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell."""
        await super().startup(sockets)
        for server in self.servers:
            host, port = server.sockets[0].getsockname()[:2]
            scheme = "https" if self.config.is_ssl else "http"
            self._on_ready(f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}")
            return


@contextmanager
def _open(settings: CollectorSettings, clock: Clock) -> Iterator[Ledger]:
    calendar = CalendarChange(settings.billing.zone, settings.billing.grace_hours)
    options = LedgerOptions(threads=settings.ledger.threads, calendar=calendar)
    with Ledger.open(settings.ledger.directory, clock=clock, options=options) as ledger:
        yield ledger


def _server(settings: CollectorSettings, ledger: Ledger, clock: Clock, on_ready: OnReady) -> _Server:
    config = uvicorn.Config(
        _application(settings, ledger, clock),
        **_tls(settings.tls),
        host=settings.server.host,
        port=settings.server.port,
        timeout_keep_alive=settings.server.keep_alive_s,
        timeout_graceful_shutdown=GRACE_S,
        access_log=False,
        log_config=None,
        lifespan="on",
        ws="none",
        server_header=False,
        proxy_headers=False,  # who asks is who is connected, whatever a header says
    )
    try:
        config.load()
    except (OSError, ValueError) as error:  # ssl's errors are OSErrors
        raise ConfigError(
            f"[tls] the certificate, the key or the client CA cannot be used: {error}", hint="give PEM files that match"
        ) from error
    return _Server(config, on_ready)


def _tls(tls: TlsSettings) -> dict[str, Any]:
    """Return how uvicorn serves TLS; nothing where there is no certificate."""
    if tls.certificate is None:
        return {}
    served: dict[str, Any] = {"ssl_certfile": str(tls.certificate), "ssl_keyfile": str(tls.key)}
    if tls.client_ca is None:
        return served
    mutual = {"ssl_ca_certs": str(tls.client_ca), "ssl_cert_reqs": ssl.CERT_REQUIRED, "http": CertifiedProtocol}
    return served | mutual


def _application(settings: CollectorSettings, ledger: Ledger, clock: Clock) -> Starlette:
    metrics = CollectorMetrics()
    rater = Rater(ledger)
    commit = GroupCommit(ledger, settings.ingest, metrics.committed)
    key = load_private(settings.audit.key)
    place, publish = settings.audit.checkpoints or settings.ledger.directory / "checkpoints", settings.audit.publish
    signing = partial(make_checkpoint, ledger, settings.audit.origin, key, place, publish) if key else None
    log = LogWatch(ledger, key, place)
    budgets = BudgetWatch(ledger)
    teller = Teller(ledger, read_addresses(settings.notify.addresses), send)
    gate = _gate(settings, ledger, clock)
    quotas = QuotaWatch(ledger)
    limits = partial(limiting, budgets, quotas)
    admission = Admission(ledger, settings.admission, clock, metrics, lambda: limits(clock.now_us()))
    listener = Listener(settings.admission) if settings.admission.port is not None else None
    figures = Figures(ledger, rater, clock, budgets, quotas)
    services = Services(ledger, commit, rater, figures, metrics, clock, gate, admission, log)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        commit.start()
        tasks = [
            asyncio.create_task(checkpoint_when_idle(ledger, settings.ledger.checkpoint_idle_s)),
            asyncio.create_task(tell_refusals(gate.flush)),
            asyncio.create_task(watch_requests(ledger)),
            asyncio.create_task(admission.work()),
            asyncio.create_task(watch_budgets(ledger, rater.rate, budgets, teller)),
            asyncio.create_task(watch_quotas(ledger, rater.rate, quotas)),
            asyncio.create_task(keep_days_summed(ledger)),
            asyncio.create_task(watch_log(log)),
        ]
        if listener:
            tasks.append(asyncio.create_task(listener.serve(services)))
        if signing:
            tasks.append(asyncio.create_task(sign_heads(signing, settings.audit.every_s)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await commit.stop()
            await asyncio.to_thread(gate.flush)
            await asyncio.to_thread(admission.records.write)
            if signing:
                await asyncio.to_thread(_sign, signing)  # nothing of this run is left without a signature

    return build(services, lifespan)


def _gate(settings: CollectorSettings, ledger: Ledger, clock: Clock) -> Gate:
    book = TokenBook(ledger)
    take_over(book, token_folder(settings), ledger.now_us())
    other = Oidc(settings.oidc) if settings.oidc.issuer else None
    loopback = is_loopback(settings.server.host)
    bind = settings.tls.bind_agents
    return Gate(ledger, book, clock, settings.access, settings.limits, loopback=loopback, other=other, bind_agents=bind)


def token_folder(settings: CollectorSettings) -> Path:
    """Return where the collector's token files are."""
    return settings.access.directory or settings.ledger.directory / "access"


async def sign_heads(sign: Callable[[], object], every_s: float) -> None:
    """Sign the head of the audit log now and every `every_s` seconds, also where nothing was added."""
    while True:
        await asyncio.to_thread(_sign, sign)
        await asyncio.sleep(every_s)


def _sign(sign: Callable[[], object]) -> None:
    try:
        sign()
    except (AuditError, LedgerError) as error:
        _log.error("the audit log has no new checkpoint: %s", error)


async def tell_refusals(flush: Callable[[], object]) -> None:
    """Record now and then what was refused again and again."""
    while True:
        await asyncio.sleep(TELL_S)
        try:
            await asyncio.to_thread(flush)
        except LedgerError as error:
            _log.error("refusals could not be recorded: %s", error)


class Folding(Protocol):
    """What the idle checkpoint needs of the ledger."""

    commits: int

    def checkpoint(self) -> None:
        """Fold the log of changes into the file."""
        ...


async def checkpoint_when_idle(ledger: Folding, idle_s: float) -> None:
    """Fold the log of changes into the file when nothing was committed for `idle_s` seconds: it stops commits.

    A disk that does not take it now is tried again after the next silence; commits do not depend on it.
    """
    folded = ledger.commits
    while True:
        before = ledger.commits
        await asyncio.sleep(idle_s)
        if ledger.commits == before != folded:
            try:
                await asyncio.to_thread(ledger.checkpoint)
                folded = before
            except LedgerError as error:
                _log.warning("the ledger's log of changes stays as it is for now: %s", error)
