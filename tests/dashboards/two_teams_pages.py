"""The pages over the ledger of two teams, with single sign-on by a real OIDC provider or without, in one browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from oidc_provider_mock import User, run_server_in_thread

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, OidcSettings, ServerSettings
from gpuledger.cli.processes import free_port
from tests.collector.fleet import open_ledger
from tests.collector.two_teams import NODES, ZEBRA, fill
from tests.dashboards.browser import pages

CLIENT = "gpuledger-pages"
SECRET = "f" * 64
PEOPLE = (
    User(sub="zoe", claims={"email": "zoe@acme.example", "groups": ["gpu-leads"], "teams": [NODES[ZEBRA]]}),
    User(sub="finn", claims={"email": "finn@acme.example", "groups": ["gpu-finance"]}),
    User(sub="guest", claims={"email": "guest@acme.example", "groups": ["everyone"]}),
)


@contextmanager
def signed_in_pages(folder: Path, *, life: timedelta = timedelta(hours=1)) -> Iterator[str]:
    """Run an issuer, a collector that takes its tokens, and pages that sign people in with it; yield their address.

    The process has the collector's own administrator token as well, as it has in a demo.
    """
    with open_ledger(folder / "ledger") as ledger:
        fill(ledger)
    with run_server_in_thread(user_claims=PEOPLE, access_token_max_age=life) as provider:
        issuer = f"http://localhost:{provider.server_port}"
        oidc = OidcSettings(
            issuer=issuer, audience=CLIENT, role_claim="groups", teams_claim="teams", leeway_s=0,
            roles={"gpu-leads": "team-lead", "gpu-finance": "finance"},
        )  # fmt: skip
        settings = CollectorSettings(
            server=ServerSettings(port=0), ledger=LedgerSettings(directory=folder / "ledger"), oidc=oidc
        )
        with running(settings) as collector:
            port = free_port(0)
            secrets = folder / "secrets.toml"
            secrets.write_text(_secrets(issuer, port))
            with pages(collector, secrets=secrets, port=port) as address:
                yield address


def _secrets(issuer: str, port: int) -> str:
    return f"""[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "{SECRET}"
client_id = "{CLIENT}"
client_secret = "not-looked-at"
server_metadata_url = "{issuer}/.well-known/openid-configuration"
expose_tokens = "id"
client_kwargs = {{ prompt = "login", scope = "openid profile email" }}
"""
