"""The book of tokens: made, revoked and looked up; each act is an audit event of the same transaction."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final, NamedTuple

import msgspec

from collector.access import secrets
from collector.access.identity import Identity, Nodes, parse_name, parse_nodes, parse_role, show_nodes
from collector.access.refusals import EnrolmentError
from collector.access.roles import Role
from collector.audit.actor import actor
from collector.audit.log import record
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso
from gpuledger.errors import ConfigError

CREATED: Final = "token.create"
REVOKED: Final = "token.revoke"
ENROLLED: Final = "agent.enrol"
_LIST: Final = "gpuledger token list shows all of them"


class Token(NamedTuple):
    """One token as it is kept. `uses`: how many agents a join token enrols (None: any), of which `used` did."""

    id: int
    name: str
    role: Role
    nodes: Nodes
    agent: str
    digest: bytes
    shown: str
    created_us: int
    created_by: str
    expires_us: int | None = None
    uses: int | None = None
    used: int = 0
    revoked_us: int | None = None
    revoked_by: str = ""
    why: str = ""

    def live(self, now_us: int) -> bool:
        """Tell whether it is neither revoked nor expired."""
        return self.revoked_us is None and (self.expires_us is None or now_us < self.expires_us)

    @property
    def identity(self) -> Identity:
        """Return who uses it."""
        return Identity(self.name, self.role, self.nodes, self.agent, self.id)


class Wanted(NamedTuple):
    """What a new token is to be."""

    role: Role
    nodes: Nodes = ()
    name: str = ""
    expires_us: int | None = None
    uses: int | None = None
    agent: str = ""


def wanted(role: str, teams: Iterable[str], name: str, expires_us: int | None, uses: int | None) -> Wanted:
    """Return what somebody asks for. Raises ConfigError where it makes no sense."""
    found = parse_role(role)
    if found is Role.AGENT:
        raise ConfigError(
            "an agent gets its token by enrolling", hint="make a token with the role join, and give it that"
        )
    if (uses is not None) and found is not Role.JOIN:
        raise ConfigError("only a join token has a number of uses", hint="leave it out")
    if uses is not None and uses < 1:
        raise ConfigError(
            "a join token enrols at least one agent", hint="give a number above 0, or none for any number"
        )
    return Wanted(found, parse_nodes(found, teams), parse_name(name) if name else "", expires_us, uses)


class TokenBook:
    """All tokens of a ledger, kept in memory beside it: the collector is its only writer."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._changing = threading.Lock()
        self._by_digest: dict[bytes, Token] = {}
        self._read()

    @property
    def tokens(self) -> list[Token]:
        """Return all tokens in the order in which they were made."""
        return sorted(self._by_digest.values(), key=lambda each: each.id)

    def find(self, token: str) -> Token | None:
        """Return what is known of a token; it need not be live."""
        return self._by_digest.get(secrets.digest(token))

    def create(self, wanted: Wanted, token: str = "") -> tuple[str, Token]:
        """Keep a new token (or one that somebody made elsewhere); return it, and what is kept of it."""
        token = token or secrets.make()
        with self._changing:
            self._require_free(wanted.name)
            made = self._insert(wanted, secrets.digest(token), secrets.shown(token), CREATED)
        return token, made

    def revoke(self, number: int, why: str = "") -> Token:
        """End a token for ever. Raises ConfigError where there is none of that number, or it is ended already."""
        with self._changing:
            found = next((each for each in self._by_digest.values() if each.id == number), None)
            if found is None:
                raise ConfigError(f"there is no token {number}", hint=_LIST)
            if found.revoked_us is not None:
                raise ConfigError(f"token {number} was revoked by {found.revoked_by} already", hint=_LIST)
            now_us = self._ledger.now_us()
            with self._ledger.transaction() as session:
                ended = {"token_id": number, "at_us": now_us, "by_whom": actor(), "why": why}
                session.execute("access_revoke", ended)
                record(session, now_us, REVOKED, f"token {number}", {"name": found.name, "why": why})
            gone = found._replace(revoked_us=now_us, revoked_by=actor(), why=why)
            self._by_digest[found.digest] = gone
            return gone

    def enrol(self, joining: Identity, agent: str, digest: bytes) -> Token:
        """Keep the token that a new agent made for itself, of which it tells the digest; a second time changes nothing.

        Raises EnrolmentError where the join token enrols no more, or the agent has another token that is live.
        """
        with self._changing:
            known = self._by_digest.get(digest)
            if known and known.agent == agent and known.live(self._ledger.now_us()):
                return known
            join = next(each for each in self._by_digest.values() if each.id == joining.id)
            self._require_place(join, agent, known)
            made = self._insert(Wanted(Role.AGENT, (), f"agent {agent}", None, None, agent), digest, "", ENROLLED, join)
            self._by_digest[join.digest] = join._replace(used=join.used + 1)
            return made

    def _require_place(self, join: Token, agent: str, known: Token | None) -> None:
        now_us = self._ledger.now_us()
        if known:
            raise EnrolmentError("this token was used before", hint="let the agent make another: delete its token file")
        if join.uses is not None and join.used >= join.uses:
            raise EnrolmentError(
                f"{join.name} has enrolled the {join.uses} agents that it may",
                hint="make another with: gpuledger token create --role join",
            )
        other = next((t for t in self._by_digest.values() if t.agent == agent and t.live(now_us)), None)
        if other:
            raise EnrolmentError(
                f"{agent} is enrolled already",
                hint=f"if it lost its token: gpuledger token revoke {other.id}; else give this agent another name",
            )

    def _require_free(self, name: str) -> None:
        """Refuse a name that a live token has: the audit log tells people apart by it."""
        now_us = self._ledger.now_us()
        taken = next((t for t in self._by_digest.values() if name and t.name == name and t.live(now_us)), None)
        if taken:
            raise ConfigError(
                f'token {taken.id} is called "{name}" already', hint="give another name, or revoke that one first"
            )

    def _insert(self, wanted: Wanted, digest: bytes, shown: str, act: str, join: Token | None = None) -> Token:
        now_us = self._ledger.now_us()
        number = 1 + max((each.id for each in self._by_digest.values()), default=0)
        made = Token(
            number, wanted.name or f"{wanted.role} {number}", wanted.role, wanted.nodes, wanted.agent, digest, shown,
            now_us, actor(), wanted.expires_us, wanted.uses,
        )  # fmt: skip
        with self._ledger.transaction() as session:
            session.execute("access_insert", _row(made))
            if join:
                session.execute("access_enrol", {"token_id": made.id, "join_id": join.id, "at_us": now_us})
            subject = made.agent or f"token {made.id}"
            record(session, now_us, act, subject, _details(made, join))
        self._by_digest[digest] = made
        return made

    def _read(self) -> None:
        with self._ledger.snapshot() as session:
            self._by_digest = {token.digest: token for token in stored(session)}


def stored(session: Session) -> list[Token]:
    """Return all tokens of a ledger."""
    return [
        Token(
            row.pop("token_id"),
            row.pop("name"),
            Role(row.pop("role")),
            _nodes(row.pop("nodes")),
            **row,
        )
        for row in session.execute("access_tokens").to_pylist()
    ]


def _nodes(text: str) -> Nodes:
    return parse_nodes(Role.FINANCE, msgspec.json.decode(text, type=list[str]))


def _row(token: Token) -> dict[str, object]:
    return {
        "token_id": token.id,
        "name": token.name,
        "role": token.role.value,
        "nodes": msgspec.json.encode(show_nodes(token.nodes)).decode(),
        "agent": token.agent,
        "digest": token.digest,
        "shown": token.shown,
        "at_us": token.created_us,
        "by_whom": token.created_by,
        "expires_us": token.expires_us,
        "uses": token.uses,
    }


def _details(token: Token, join: Token | None) -> dict[str, str | int | list[str] | None]:
    said: dict[str, str | int | list[str] | None] = {"name": token.name, "role": token.role.value, "token": token.id}
    if join:
        return {**said, "by": join.name}
    expires = None if token.expires_us is None else iso(token.expires_us)
    return {**said, "teams": show_nodes(token.nodes), "expires": expires, "uses": token.uses}
