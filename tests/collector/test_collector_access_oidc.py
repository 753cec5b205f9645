"""Tokens of an OIDC issuer: taken where they hold, mapped as configured, and refused in every way to forge one."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from collector.access.gate import DENIED
from collector.access.identity import Identity
from collector.access.oidc import IssuerError, Keys, Oidc
from collector.access.refusals import NotKnownError
from collector.access.roles import Role
from collector.app import running
from collector.config import CollectorSettings, OidcSettings
from gpuledger.errors import ConfigError
from tests.collector.oidc_issuer import Issuer, issuing
from tests.collector.test_collector_api import Site, settings

ROLES = {"gpu-finance": "finance", "gpu-lead": "team-lead", "gpu-admin": "admin"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as found:
        yield found


def settings_of(issuer: Issuer, /, **changes: Any) -> OidcSettings:
    given = {
        "issuer": issuer.url, "audience": "gpuledger", "role_claim": "groups", "roles": ROLES, "leeway_s": 5,
        "teams_claim": "gpu.teams", "teams": {"vis": "acme/research/vision"},
    }  # fmt: skip
    return OidcSettings(**{**given, **changes})


def test_a_token_that_holds_is_somebody(issuer: Issuer) -> None:
    """By name, role and teams of the claims that are configured."""
    oidc = Oidc(settings_of(issuer))
    assert oidc.identify(issuer.token()) == Identity("oidc:fin@example.com", Role.FINANCE)
    lead = issuer.token(groups=["gpu-lead"], gpu={"teams": ["vis", "acme/products"]}, email=None)
    nodes = (("acme", "research", "vision"), ("acme", "products", ""))
    assert oidc.identify(lead) == Identity("oidc:u1", Role.TEAM_LEAD, nodes)
    both = issuer.token(groups="gpu-admin")
    assert oidc.identify(both) == Identity("oidc:fin@example.com", Role.ADMIN)
    assert oidc.identify("gpuledger_abc") is None, "a token of ours"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": 1_000_000_000}, {"exp": None}, {"iat": None}, {"sub": None}, {"aud": "another"}, {"aud": None},
        {"iss": "https://evil.example"}, {"iss": None}, {"nbf": 4_000_000_000}, {"iat": 4_000_000_000},
        {"groups": ["everyone"]}, {"groups": None}, {"groups": {"gpu-finance": True}}, {"groups": ["agent"]},
        {"groups": ["gpu-lead"]}, {"groups": ["gpu-lead"], "gpu": {"teams": ["*"]}},
        {"groups": ["gpu-lead"], "gpu": {"teams": [7]}}, {"email": "a\nb"}, {"exp": "soon"},
    ],
    ids=str,
)  # fmt: skip
def test_a_token_with_wrong_claims_is_nobody(issuer: Issuer, changes: dict[str, Any]) -> None:
    """Expired, of another issuer, for another audience, from the future, without a role or without teams."""
    with pytest.raises(NotKnownError):
        Oidc(settings_of(issuer)).identify(issuer.token(**changes))


def encoded(part: object) -> bytes:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=")


def forged(issuer: Issuer) -> dict[str, str]:
    """Return tokens by how they were forged."""
    claims = issuer.claims(groups=["gpu-admin"])
    none = [encoded({"alg": alg, "kid": "one"}) + b"." + encoded(claims) + b"." for alg in ("none", "NONE")]
    signed = encoded({"alg": "HS256", "kid": "one"}) + b"." + encoded(claims)
    mac = base64.urlsafe_b64encode(hmac.new(issuer.public_pem(), signed, hashlib.sha256).digest()).rstrip(b"=")
    stranger = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    head, body, signature = issuer.token().split(".")
    inside = jwt.algorithms.RSAAlgorithm.to_jwk(stranger.public_key(), as_dict=True)
    return {
        "no algorithm": none[0].decode(),
        "no algorithm, loudly": none[1].decode(),
        "HS256 with the public key": (signed + b"." + mac).decode(),
        "another key under the name of theirs": issuer.token(signed_by=stranger),
        "a key of its own": jwt.encode(claims, stranger, "RS256", headers={"kid": "one", "jwk": inside}),
        "a key from elsewhere": jwt.encode(
            claims, stranger, "RS256", headers={"kid": "x", "jku": "http://evil.example"}
        ),
        "an unknown key": jwt.encode(claims, stranger, "RS256", headers={"kid": "two"}),
        "no name of a key": jwt.encode(claims, stranger, "RS256"),
        "other claims under a good signature": f"{head}.{encoded(claims).decode()}.{signature}",
        "no signature": f"{head}.{body}.",
        "no token": "a.b.c",
        "deep nesting": f"{encoded({'alg': 'RS256'}).decode()}.{base64.urlsafe_b64encode(b'[' * 50_000).decode()}.x",
    }


@pytest.mark.parametrize("how", ["no algorithm", "no algorithm, loudly", "HS256 with the public key",
    "another key under the name of theirs", "a key of its own", "a key from elsewhere", "an unknown key",
    "no name of a key", "other claims under a good signature", "no signature", "no token", "deep nesting"])  # fmt: skip
def test_a_forged_token_is_nobody(issuer: Issuer, how: str) -> None:
    """In every way that there is a name for."""
    with pytest.raises(NotKnownError):
        Oidc(settings_of(issuer)).identify(forged(issuer)[how])


def test_a_token_that_names_no_key_is_of_the_only_one(tmp_path: Path) -> None:
    """As OpenID Connect has it; with two keys it has to name one."""
    with issuing() as issuer:
        unnamed = jwt.encode(issuer.claims(), issuer.keys["one"], "RS256")
        assert Oidc(settings_of(issuer)).identify(unnamed) == Identity("oidc:fin@example.com", Role.FINANCE)
        issuer.add_key("two", ec.generate_private_key(ec.SECP256R1()))
        keys = tmp_path / "keys.json"
        keys.write_text(json.dumps(issuer.jwks()))
        for given in (settings_of(issuer), settings_of(issuer, jwks_file=keys)):
            with pytest.raises(NotKnownError):
                Oidc(given).identify(unnamed)


def test_clocks_may_lie_apart_by_as_much_as_is_said(issuer: Issuer) -> None:
    """And not by more."""
    oidc, now = Oidc(settings_of(issuer, leeway_s=5)), int(time.time())
    assert oidc.identify(issuer.token(exp=now - 2))
    with pytest.raises(NotKnownError):
        oidc.identify(issuer.token(exp=now - 30))


def test_a_new_key_of_the_issuer_is_found_and_strangers_do_not_make_us_ask(issuer: Issuer) -> None:
    """Keys rotate; a name that nobody has is asked for once in a while only."""
    now = [0.0]
    given = settings_of(issuer, cooldown_s=60)
    oidc = Oidc(given, Keys(given, lambda: now[0]))
    assert oidc.identify(issuer.token())
    issuer.add_key("later", ec.generate_private_key(ec.SECP256R1()))
    asked = issuer.asked
    for _ in range(5):
        with pytest.raises(NotKnownError):
            oidc.identify(issuer.token("later"))
    assert issuer.asked == asked
    now[0] = 61.0
    assert oidc.identify(issuer.token("later"))
    del issuer.keys["later"]


def test_an_issuer_that_does_not_answer_is_no_reason_to_let_anybody_in(issuer: Issuer) -> None:
    """Nor to wait for longer than is said."""
    token = issuer.token()
    issuer.delay_s = 2.0
    try:
        started = time.monotonic()
        with pytest.raises(IssuerError):
            Oidc(settings_of(issuer, timeout_s=0.1)).identify(token)
        assert time.monotonic() - started < 2
    finally:
        issuer.delay_s = 0.0


def test_keys_of_a_file_need_no_issuer_to_answer(issuer: Issuer, tmp_path: Path) -> None:
    """They are read once."""
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps(issuer.jwks()))
    asked = issuer.asked
    assert Oidc(settings_of(issuer, jwks_file=path)).identify(issuer.token())
    assert issuer.asked == asked


@pytest.mark.parametrize(
    "changes",
    [{"audience": ""}, {"issuer": "http://idp.example"}, {"roles": {"x": "king"}}, {"roles": {"x": "agent"}}],
    ids=str,
)
def test_settings_that_would_let_others_in_are_refused(issuer: Issuer, changes: dict[str, Any]) -> None:
    """At the start."""
    with pytest.raises(ConfigError):
        Oidc(settings_of(issuer, **changes))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "a"}]}']
)
def test_a_file_without_public_keys_is_refused(issuer: Issuer, tmp_path: Path, text: str) -> None:
    """A secret in it would let anybody sign who reads it."""
    path = tmp_path / "jwks.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Oidc(settings_of(issuer, jwks_file=path))


def test_over_http_an_oidc_token_is_as_good_as_ours(issuer: Issuer, tmp_path: Path) -> None:
    """Until it expires: then the same token, sent again, opens nothing, and that is on record."""
    given = settings(tmp_path)
    with running(
        CollectorSettings(given.server, given.ledger, given.ingest, oidc=settings_of(issuer, leeway_s=0))
    ) as url:
        site = Site(url)
        token = issuer.token(exp=int(time.time()) + 3)
        who = site.get("/v1/whoami", authorization=f"Bearer {token}")
        assert (who.status, who.json["name"], who.json["role"]) == (200, "oidc:fin@example.com", "finance")
        assert site.get("/v1/tokens", authorization=f"Bearer {token}").status == 403
        time.sleep(3.1)
        assert site.get("/v1/whoami", authorization=f"Bearer {token}").status == 401
        [said] = site.get(f"/v1/audit?act={DENIED}").json["rows"]
        assert said["details"]["why"] == "an OIDC token that does not hold: ExpiredSignatureError"
