"""The one place where a request is authenticated: who asks, whether they may, and the record of those who may not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from ipaddress import ip_address
from typing import Final, NamedTuple, Protocol

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from collector.access.certificates import certified
from collector.access.identity import ANONYMOUS, Identity, show_nodes
from collector.access.limits import Buckets
from collector.access.refusals import NotAllowedError, NotKnownError, TooOftenError
from collector.access.roles import MEANS, Right, Role
from collector.access.tally import Tally
from collector.access.tokens import TokenBook
from collector.audit.actor import acting
from collector.config import AccessSettings, LimitSettings
from collector.ledger.store import Ledger
from gpuledger.clock import Clock

DENIED: Final = "access.deny"  # nobody knows who asked
REFUSED: Final = "access.refuse"  # they may not
READ_ALL: Final = "access.read"  # somebody by name read what is of other teams
IDENTITY: Final = "identity"  # where handlers find who asks
WINDOW_S: Final = 60
READ_WINDOW_S: Final = 3_600
MOST_IN_WINDOW: Final = 30
_BEARER: Final = "bearer "
_WATCHED: Final = frozenset({Right.READ, Right.READ_ALL})
Handler = Callable[[Request], Awaitable[Response]]


class Asked(NamedTuple):
    """A route as the gate needs it."""

    method: str
    path: str
    needs: Right


class Other(Protocol):
    """Another way to know who asks, such as an OIDC issuer."""

    def identify(self, bearer: str) -> Identity | None:
        """Return whose it is; None where it is not of this kind. Raises NotKnownError where it is and does not hold."""
        ...


class Gate:
    """Lets requests through to their handlers, or not."""

    def __init__(
        self,
        ledger: Ledger,
        book: TokenBook,
        clock: Clock,
        settings: AccessSettings,
        limits: LimitSettings,
        *,
        loopback: bool,
        other: Other | None = None,
        bind_agents: bool = False,
    ) -> None:
        self.book = book
        self._bind_agents = bind_agents
        self._clock = clock
        self._other = other
        self._anonymous = loopback and settings.anonymous == "viewer"
        self._open_metrics = loopback if settings.open_metrics is None else settings.open_metrics
        self._refusals = Tally(ledger, clock, window_s=WINDOW_S, most=MOST_IN_WINDOW)
        self._reads = Tally(ledger, clock, window_s=READ_WINDOW_S, most=1_000)
        self._asking = Buckets(limits.requests_per_second, limits.requests_burst)
        self._delivering = Buckets(limits.batches_per_second, limits.batches_burst)
        self._starting = Buckets(limits.starts_per_second, limits.starts_burst)
        self._strangers = Buckets(limits.strangers_per_second, limits.strangers_burst)

    def guard(self, asked: Asked, handler: Handler) -> Handler:
        """Return a handler that is called only where whoever asks may."""

        async def handle(request: Request) -> Response:
            identity = await self._admit(request, asked)
            request.scope[IDENTITY] = identity
            with acting(identity.name):
                return await handler(request)

        return handle

    def require_certificate(self, request: Request, agent: str) -> None:
        """Raise NotAllowedError where agents are bound to certificates, and this is not that of `agent`."""
        if self._bind_agents and certified(request) != agent:
            raise NotAllowedError(
                f"this certificate is not that of agent {agent}",
                hint="its common name has to be the agent's name: [agent] name, else the node's",
            )

    def flush(self) -> None:
        """Record what was counted so far."""
        self._refusals.flush()
        self._reads.flush()

    async def _admit(self, request: Request, asked: Asked) -> Identity:
        if asked.needs is Right.NOTHING or (asked.needs is Right.METRICS and self._open_metrics):
            return ANONYMOUS
        try:
            identity = await self._identify(request)
        except NotKnownError as error:
            await self._deny(request, asked, error)
            raise
        self._limit(request, identity, asked)
        if identity.agent:
            self.require_certificate(request, identity.agent)
        if not identity.may(asked.needs):
            await self._refuse(identity, asked)
        if asked.needs in _WATCHED and identity is not ANONYMOUS and not identity.bound:
            said = {"role": identity.role.value, "token": identity.id}
            await run_in_threadpool(self._reads.note, READ_ALL, identity.name, asked.path, said)
        return identity

    async def _identify(self, request: Request) -> Identity:
        given = request.headers.getlist("authorization")
        if not given:
            if self._anonymous and _from_here(request):
                return ANONYMOUS
            raise NotKnownError(why="no token")
        if len(given) > 1 or not given[0].lower().startswith(_BEARER):
            raise NotKnownError("one Authorization header with a bearer token is taken here")
        bearer = given[0][len(_BEARER) :].strip()
        token = self.book.find(bearer)
        if token:
            if token.live(self._clock.now_us()):
                return token.identity
            ended = "expired" if token.revoked_us is None else "was revoked"
            raise NotKnownError(name=token.name, why=f"token {token.id} {ended}")
        found = await run_in_threadpool(self._other.identify, bearer) if self._other else None
        if found is None:
            raise NotKnownError(why="no token of this collector")
        return found

    def _limit(self, request: Request, identity: Identity, asked: Asked) -> None:
        if asked.needs in (Right.DELIVER, Right.START):
            paced = self._delivering if asked.needs is Right.DELIVER else self._starting
            wait_s = paced.take(identity.name) if identity.role is not Role.ADMIN else 0
        else:
            wait_s = self._asking.take(_address(request) if identity is ANONYMOUS else identity.name)
        if wait_s:
            raise TooOftenError(wait_s)

    async def _deny(self, request: Request, asked: Asked, error: NotKnownError) -> None:
        address = _address(request)
        wait_s = self._strangers.take(address)
        if wait_s:
            raise TooOftenError(wait_s) from error
        said = {"why": error.why, "route": f"{asked.method} {asked.path}"}
        await run_in_threadpool(self._refusals.note, DENIED, error.name, address, said)

    async def _refuse(self, identity: Identity, asked: Asked) -> None:
        said = {"role": identity.role.value, "token": identity.id, "needs": asked.needs.value}
        subject = f"{asked.method} {asked.path}"
        await run_in_threadpool(self._refusals.note, REFUSED, identity.name, subject, said)
        raise _not_allowed(identity, asked)


def identity_of(request: Request) -> Identity:
    """Return who asks. Raises KeyError where the request did not come through the gate."""
    found: Identity = request.scope[IDENTITY]
    return found


def is_loopback(host: str) -> bool:
    """Tell whether an address, or a name of it, is this machine's own and reached from nowhere else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _not_allowed(identity: Identity, asked: Asked) -> Exception:
    if identity is ANONYMOUS:
        return NotKnownError()
    bound = f" bound to {', '.join(show_nodes(identity.nodes))}" if identity.bound else ""
    return NotAllowedError(
        f"{identity.name} ({identity.role}{bound}) may not {MEANS[asked.needs]}",
        hint="ask with the token of a role that may: docs/reference/access.md has the table",
    )


def _from_here(request: Request) -> bool:
    """Tell whether somebody at this machine asks: not another through a proxy, nor a web page under its own name."""
    host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
    passed_on = any(name in request.headers for name in ("forwarded", "x-forwarded-for", "x-real-ip", "via"))
    return is_loopback(_address(request)) and is_loopback(host) and not passed_on


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
