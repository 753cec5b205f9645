"""A real OIDC issuer on a free port: discovery, keys, and tokens that it signs."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm


class Issuer:
    """Signs tokens with a key that it publishes, and counts how often it is asked."""

    def __init__(self) -> None:
        self.url = ""
        self.asked = 0
        self.delay_s = 0.0
        self.keys: dict[str, Any] = {}
        self.add_key("one", rsa.generate_private_key(public_exponent=65_537, key_size=2_048))

    def add_key(self, kid: str, key: Any) -> None:
        """Publish another key."""
        self.keys[kid] = key

    def jwks(self) -> dict[str, Any]:
        """Return the keys as they are published."""
        return {
            "keys": [
                {**_algorithm(key).to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}
                for kid, key in self.keys.items()
            ]
        }

    def public_pem(self, kid: str = "one") -> bytes:
        """Return a public key as PEM."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.keys[kid].public_key().public_bytes(serialization.Encoding.PEM, form)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Return claims of somebody of finance, valid for a minute."""
        now = int(time.time())
        found = {
            "iss": self.url, "aud": "gpuledger", "sub": "u1", "email": "fin@example.com", "iat": now, "exp": now + 60,
            "groups": ["gpu-finance", "everyone"],
        }  # fmt: skip
        return {name: value for name, value in {**found, **changes}.items() if value is not None}

    def token(self, kid: str = "one", *, signed_by: Any = None, **changes: Any) -> str:
        """Return a signed token."""
        key = signed_by or self.keys[kid]
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": kid})


def _algorithm(key: Any) -> Any:
    return ECAlgorithm if isinstance(key, ec.EllipticCurvePrivateKey) else RSAAlgorithm


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Run one."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.asked += 1
            time.sleep(issuer.delay_s)
            known = {
                "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                "/keys": issuer.jwks(),
            }
            body = json.dumps(known.get(self.path, {})).encode()
            self.send_response(200 if self.path in known else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
