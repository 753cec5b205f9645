"""Tokens over HTTP: who one is, which tokens there are, making and revoking them, and the enrolment of agents."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from collector.access.gate import Handler, identity_of
from collector.access.identity import EVERYTHING, Identity, show_nodes
from collector.access.roles import GRANTS
from collector.access.tokens import Token, TokenBook, Wanted, wanted
from collector.api.answers import JSON
from collector.api.bodies import MAX_REQUEST_BYTES, body_of, parse_request
from collector.api.parameters import bounded
from collector.api.services import Services
from collector.governance.owners import LEVELS, find_node, known_nodes
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.errors import ConfigError

CREATE: Final = '{"role":"team-lead","teams":["acme/research/vision"],"name":"ann","expires":"2027-01-01T00:00:00Z"}'
REVOKE: Final = '{"why":"left the company"}'
ENROL: Final = '{"agent":"node-1","digest":"SHA-256 of the token that the agent made, in hexadecimal"}'
_DIGEST_BYTES: Final = 32
_MAX_AGENT: Final = 253
_number: Final = bounded(1, 2**31 - 1)


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new token is to be. `teams`: owners such as acme/research/vision, or `*`; `uses`: of a join token."""

    role: str
    teams: list[str] = []
    name: str = ""
    expires: str = ""
    uses: int | None = None


class RevocationRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a token ends."""

    why: str = ""


class EnrolmentRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An agent, and the SHA-256 (hexadecimal) of the token that it made for itself and tells nobody."""

    agent: str
    digest: str


class TokenRow(msgspec.Struct, frozen=True):
    """One token, as far as anybody may see it; its secret is nowhere."""

    token: int
    name: str
    role: str
    teams: list[str]
    agent: str
    starts_with: str
    state: str  # live, expired or revoked
    created_at: str
    created_by: str
    expires_at: str | None
    uses: int | None
    used: int
    revoked_at: str | None
    revoked_by: str
    why: str


class Tokens(msgspec.Struct, frozen=True):
    """All tokens, in the order in which they were made."""

    rows: list[TokenRow]


class NewToken(msgspec.Struct, frozen=True):
    """A new token. `secret` is the token itself: this answer is the only place that it is ever in."""

    secret: str
    token: TokenRow


class Who(msgspec.Struct, frozen=True):
    """Who asks, as the collector knows them."""

    name: str
    role: str
    teams: list[str]
    agent: str
    may: list[str]


class Enrolled(msgspec.Struct, frozen=True):
    """An agent whose token is known from now on."""

    agent: str
    token: int


def whoami(_services: Services) -> Handler:
    """Say who asks."""

    async def handle(request: Request) -> Response:
        return Response(msgspec.json.encode(who(identity_of(request))), media_type=JSON)

    return handle


def tokens(services: Services) -> Handler:
    """List tokens."""

    async def handle(_request: Request) -> Response:
        return Response(msgspec.json.encode(listed(services.gate.book, services.clock.now_us())), media_type=JSON)

    return handle


def create(services: Services) -> Handler:
    """Make a token."""

    async def handle(request: Request) -> Response:
        asked = parse_request(await body_of(request, MAX_REQUEST_BYTES), TokenRequest, CREATE)

        def make() -> NewToken:
            secret, made = services.gate.book.create(wanted_by(services.ledger, asked))
            return NewToken(secret, row(made, services.clock.now_us()))

        return Response(msgspec.json.encode(await run_in_threadpool(make)), media_type=JSON)

    return handle


def revoke(services: Services) -> Handler:
    """End a token."""

    async def handle(request: Request) -> Response:
        asked = parse_request(await body_of(request, MAX_REQUEST_BYTES), RevocationRequest, REVOKE)
        number = _number(request.path_params["number"])
        gone = await run_in_threadpool(services.gate.book.revoke, number, asked.why)
        return Response(msgspec.json.encode(row(gone, services.clock.now_us())), media_type=JSON)

    return handle


def enrol(services: Services) -> Handler:
    """Take in an agent."""

    async def handle(request: Request) -> Response:
        asked = parse_request(await body_of(request, MAX_REQUEST_BYTES), EnrolmentRequest, ENROL)
        agent, digest = _agent(asked)
        services.gate.require_certificate(request, agent)
        made = await run_in_threadpool(services.gate.book.enrol, identity_of(request), agent, digest)
        return Response(msgspec.json.encode(Enrolled(agent, made.id)), media_type=JSON)

    return handle


def wanted_by(ledger: Ledger, asked: TokenRequest) -> Wanted:
    """Return what a request asks for. Raises ConfigError where it makes no sense, or has expired already.

    Teams are owners of the ledger or what they lie under: a misspelled one would see nothing.
    """
    now_us = ledger.now_us()
    expires_us = parse_instant(asked.expires) if asked.expires else None
    if expires_us is not None and expires_us <= now_us:
        raise ConfigError(f"{asked.expires} has passed", hint="name an instant to come, or none")
    with ledger.snapshot() as session:
        teams = [_node(session, team) for team in asked.teams]
    return wanted(asked.role, teams, asked.name, expires_us, asked.uses)


def _node(session: Session, text: str) -> str:
    """Return a node with all its levels, those that are not known empty: the team `vision` alone is `//vision`."""
    if text.strip() == EVERYTHING:
        return EVERYTHING
    levels = known_nodes(session)[find_node(session, text)]
    return "/".join(levels.get(level, "") for level in LEVELS).rstrip("/")


def listed(book: TokenBook, now_us: int) -> Tokens:
    """Return all tokens as an answer."""
    return Tokens([row(each, now_us) for each in book.tokens])


def who(identity: Identity) -> Who:
    """Return an identity as an answer."""
    rights = sorted(right.value for right in GRANTS[identity.role] if identity.may(right))
    return Who(identity.name, identity.role.value, show_nodes(identity.nodes), identity.agent, rights)


def row(token: Token, now_us: int) -> TokenRow:
    """Return a token as an answer."""
    ended = "revoked" if token.revoked_us is not None else "expired"
    return TokenRow(
        token=token.id,
        name=token.name,
        role=token.role.value,
        teams=[] if token.agent else show_nodes(token.nodes),
        agent=token.agent,
        starts_with=token.shown,
        state="live" if token.live(now_us) else ended,
        created_at=iso(token.created_us),
        created_by=token.created_by,
        expires_at=None if token.expires_us is None else iso(token.expires_us),
        uses=token.uses,
        used=token.used,
        revoked_at=None if token.revoked_us is None else iso(token.revoked_us),
        revoked_by=token.revoked_by,
        why=token.why,
    )


def _agent(asked: EnrolmentRequest) -> tuple[str, bytes]:
    if not asked.agent or len(asked.agent) > _MAX_AGENT or not asked.agent.isprintable():
        raise ConfigError("this is no name of an agent", hint=ENROL)
    try:
        digest = bytes.fromhex(asked.digest)
    except ValueError:
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        raise ConfigError("this is no SHA-256", hint=ENROL)
    return asked.agent, digest
