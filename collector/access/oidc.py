"""Identities of an OIDC issuer: its signed tokens, checked against its keys, give a name, a role and owner nodes.

Taken are tokens of the one issuer for the one audience, signed with an asymmetric algorithm by a key that the issuer
publishes. Which claim values mean which role is configured; what is not configured means nothing.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

import jwt
from jwt import PyJWK, PyJWKSet

from collector.access.identity import EVERYTHING, Identity, parse_nodes
from collector.access.refusals import NotKnownError
from collector.access.roles import Role
from collector.config import OidcSettings
from gpuledger.errors import AccessError, ConfigError, Transient

# No HS256: a public key is no secret to sign with. No `none`.
ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
REQUIRED: Final = ("exp", "iat", "iss", "aud", "sub")
ORDER: Final = (Role.ADMIN, Role.FINANCE, Role.APPROVER, Role.TEAM_LEAD, Role.VIEWER)  # the strongest counts
PREFIX: Final = "oidc:"  # so that nobody is called what a token is called
MAX_DOCUMENT: Final = 1024 * 1024
_PARTS: Final = 3
_log: Final = logging.getLogger(__name__)


class IssuerError(AccessError, Transient):
    """The issuer's keys cannot be had now: who asks cannot be known, and may come back."""


class Keys:
    """The issuer's keys: of a file, or of its address, kept for `refresh_s` and asked for again for an unknown one.

    Not more often than once in `settings.cooldown_s`, whatever tokens name: who has no token of the issuer cannot make
    the collector ask it.
    """

    def __init__(self, settings: OidcSettings, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._monotonic = monotonic
        self._keys: dict[str, PyJWK] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._one = threading.Lock()
        if settings.jwks_file:
            self._keys = _parse(_read(settings.jwks_file), str(settings.jwks_file))

    def find(self, kid: str | None) -> PyJWK | None:
        """Return the key of a name; None where the issuer has none such. Raises IssuerError without an answer of it.

        A token that names no key is one of the issuer's only key (OpenID Connect Core 1.0, 10.1): with more of them it
        has to name one.
        """
        if self._settings.jwks_file:
            return self._named(kid)
        with self._one:
            now = self._monotonic()
            stale = self._read_at is None or now - self._read_at > self._settings.refresh_s
            if (stale or self._named(kid) is None) and self._may_ask(now):
                self._tried_at = now
                self._refresh(now)
            if self._read_at is None:
                raise IssuerError("the issuer of tokens does not answer", hint="try again, or use a token of ours")
            return self._named(kid)

    def _named(self, kid: str | None) -> PyJWK | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    def _may_ask(self, now: float) -> bool:
        return self._tried_at is None or now - self._tried_at >= self._settings.cooldown_s

    def _refresh(self, now: float) -> None:
        issuer = self._settings.issuer
        try:
            said = self._fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            self._keys = _parse(self._fetch(_keys_at(said, issuer)), issuer)
            self._read_at = now
        except (URLError, OSError, ValueError, RecursionError, ConfigError) as error:
            _log.warning("keys of %s cannot be read: %s", issuer, error)

    def _fetch(self, url: str) -> bytes:
        _require_safe(url)
        with _OPENER.open(Request(url), timeout=self._settings.timeout_s) as answer:  # noqa: S310 - checked
            body: bytes = answer.read(MAX_DOCUMENT + 1)
        if len(body) > MAX_DOCUMENT:
            raise ConfigError(f"{url} is too long")
        return body


def _keys_at(discovery: bytes, issuer: str) -> str:
    """Return where an issuer says that its keys are. Raises ConfigError where it says that it is another one."""
    found = json.loads(discovery)
    if not isinstance(found, dict) or found.get("issuer") != issuer:
        raise ConfigError(f"{issuer} says that it is another issuer")
    return str(found.get("jwks_uri"))


class Oidc:
    """Knows who asks with a token of the issuer."""

    def __init__(self, settings: OidcSettings, keys: Keys | None = None) -> None:
        if not settings.audience:
            raise ConfigError("[oidc] audience is missing", hint="say what tokens for this collector have in `aud`")
        if not settings.jwks_file:
            _require_safe(settings.issuer)
        self._settings = settings
        self._roles = {value: _role(value, name) for value, name in settings.roles.items()}
        self._keys = keys or Keys(settings)

    def identify(self, bearer: str) -> Identity | None:
        """Return whose token it is; None where it is none of this kind. Raises NotKnownError where it does not hold."""
        if bearer.count(".") != _PARTS - 1:
            return None
        return self._identity(self._claims(bearer))

    def _claims(self, bearer: str) -> dict[str, Any]:
        settings = self._settings
        try:
            kid = jwt.get_unverified_header(bearer).get("kid")
            key = self._keys.find(kid) if kid is None or isinstance(kid, str) else None
            if key is None:
                raise NotKnownError(why="an OIDC token of an unknown key")
            claims: dict[str, Any] = jwt.decode(
                bearer,
                key,
                algorithms=list(ALGORITHMS),
                audience=settings.audience,
                issuer=settings.issuer,
                leeway=settings.leeway_s,
                options={"require": list(REQUIRED), "enforce_minimum_key_length": True},
            )
        except (jwt.InvalidTokenError, jwt.PyJWKError, ValueError, RecursionError) as error:
            raise NotKnownError(why=f"an OIDC token that does not hold: {type(error).__name__}") from error
        return claims

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        settings = self._settings
        name = _one(claims, settings.name_claim) or str(claims["sub"])
        if not name.isprintable() or len(name) > 200:
            raise NotKnownError(why="an OIDC token whose name cannot be printed")
        name = PREFIX + name
        held = {self._roles[value] for value in _values(claims, settings.role_claim) if value in self._roles}
        role = next((each for each in ORDER if each in held), None)
        if role is None:
            raise NotKnownError(name=name, why="an OIDC token without a role here")
        teams = [settings.teams.get(value, value if value != EVERYTHING else "") for value in
                 _values(claims, settings.teams_claim)] if role is not Role.ADMIN else []  # fmt: skip
        try:
            return Identity(name, role, parse_nodes(role, filter(None, teams)))
        except ConfigError as error:
            raise NotKnownError(name=name, why=f"an OIDC token without teams: {error.message}") from error


class _NoRedirect(HTTPRedirectHandler):
    """Keys come from where the issuer says that they are, and from nowhere else."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


_OPENER: Final = build_opener(_NoRedirect)


def _values(claims: Mapping[str, Any], path: str) -> list[str]:
    """Return the texts of a claim; its path may go into objects, as realm_access.roles. What is no text is nothing."""
    found: Any = claims.get(path) if path in claims else None
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    given = found if isinstance(found, list) else [found]
    return [each for each in given if isinstance(each, str) and each]


def _one(claims: Mapping[str, Any], path: str) -> str:
    return next(iter(_values(claims, path)), "")


def _role(value: str, name: str) -> Role:
    known = {role.value: role for role in ORDER}
    if name not in known:
        raise ConfigError(
            f'[oidc] roles: "{value}" is to be "{name}", which is no role', hint=f"one of: {', '.join(known)}"
        )
    return known[name]


def _require_safe(url: str) -> None:
    """Raise ConfigError where keys would be read from who knows whom."""
    parts = urlsplit(url)
    here = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and here)):
        raise ConfigError(f"[oidc] {url} is not an https address", hint="or give the issuer's keys with jwks_file")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"[oidc] jwks_file: {path} cannot be read: {error}", hint="give the issuer's JWKS") from error


def _parse(text: bytes, source: str) -> dict[str, PyJWK]:
    """Return keys by name. Raises ConfigError where there is none that can be used."""
    try:
        keys = PyJWKSet.from_json(text.decode()).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"{source} has no keys: {error}", hint='a JWKS is a document like {"keys": [...]}') from error
    found = {key.key_id: key for key in keys if key.key_id and key.key_type != "oct" and key.public_key_use != "enc"}
    if not found:
        raise ConfigError(f"{source} has no key that could check a signature", hint="keys need a name (kid)")
    return found
