"""Whose token the pages read with: a page that may not be read says so, and how a token is kept and forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards.launch import check_secrets
from dashboards.token_page import safe_back
from gpuledger.errors import ConfigError
from gpuledger.tokens import TOKEN, TOKEN_FILE, write_token
from tests.collector.two_teams import WALRUS, Site2, two_teams
from tests.dashboards.browser import pages


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site2]:
    with two_teams(tmp_path_factory.mktemp("teams")) as found:
        yield found


@pytest.fixture(autouse=True)
def _fresh(site: Site2, monkeypatch: pytest.MonkeyPatch) -> None:
    st.cache_data.clear()
    monkeypatch.setenv("GPULEDGER_URL", site.site.url)
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv(TOKEN_FILE, raising=False)


def opened(page: str, token: str, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Open a page of the menu, with a token for everybody (readers' own are in test_browser_sign_in)."""
    monkeypatch.setenv(TOKEN, token)

    def script(name: str) -> None:
        from importlib import import_module  # noqa: PLC0415 - a script of its own

        import_module(f"dashboards.pages.{name}").render()

    app = AppTest.from_function(script, default_timeout=60, kwargs={"name": page})
    return app.run()


def text_of(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " ".join(str(element.proto.body) for element in app.get("html"))


def test_a_page_that_needs_a_token_says_where_to_give_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit log, which nobody reads without a name; the address leads back to it."""
    app = opened("audit", "", monkeypatch)
    assert "This page needs a token" in text_of(app)
    assert "/sign-in?back=" in text_of(app)


def test_a_page_that_a_role_may_not_see_says_so(site: Site2, monkeypatch: pytest.MonkeyPatch) -> None:
    """With who they are here, and without a figure of it."""
    text = text_of(opened("audit", site.tokens["zebra-viewer"], monkeypatch))
    assert "This page is not for you" in text
    assert "zebra-viewer (viewer bound to acme/plains/zebra) may not read the audit log" in text


@pytest.mark.parametrize("page", ["overview", "chargeback", "utilisation", "waste", "invoices", "quality"])
def test_no_page_shows_another_team(site: Site2, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page is drawn for a team of its own, and what was read for another reader is not shown to this one."""
    opened(page, site.tokens["walrus-viewer"], monkeypatch)
    app = opened(page, site.tokens["zebra-viewer"], monkeypatch)
    shown = text_of(app) + "".join(str(frame.value) for frame in app.dataframe)
    assert WALRUS not in shown.lower()


def test_the_token_of_the_process_is_that_of_its_file(
    site: Site2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where none is in its environment."""
    write_token(tmp_path / "token", site.tokens["finance"])
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    assert "Prove it" in text_of(opened("audit", "", monkeypatch))


@pytest.mark.parametrize(
    ("given", "went"),
    [
        ("/chargeback?period=2026-05&within=%2Facme", "/chargeback?period=2026-05&within=%2Facme"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\nSet-Cookie: x=y", "/"),
        ("", "/"),
    ],
)
def test_the_way_back_stays_on_the_pages(given: str, went: str) -> None:
    """Whoever sends a link to the form cannot lead its reader elsewhere."""
    assert safe_back(given) == went


def form(url: str, path: str, origin: str, body: str) -> tuple[int, str]:
    """Send a form as a browser would that shows a page of `origin`; return the status and what is said of cookies."""
    parts = urlsplit(url)
    with closing(HTTPConnection(parts.hostname or "", parts.port, timeout=30)) as connection:
        kind = "application/x-www-form-urlencoded"
        headers = {"Content-Type": kind, **({"Origin": origin} if origin else {})}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Set-Cookie", "")


def test_only_our_own_form_keeps_and_forgets_tokens(site: Site2) -> None:
    """Another site can neither sign a reader in as somebody else nor out; what is no token, or too long, is not kept."""
    good = urlencode({"token": site.tokens["finance"], "back": "//evil.example"})
    with pages(site.site.url, token="") as url:
        for origin in ("", "null", "http://evil.example", url.replace("http://", "http://evil.")):
            assert form(url, "/sign-in", origin, good) == (403, "")
            assert form(url, "/sign-out", origin, "") == (403, "")
        for token in ("", "two words", "é", "a;b", "x" * 5_000, "y" * 50_000, "gpuledger_wrong"):
            status, cookie = form(url, "/sign-in", url, urlencode({"token": token}))
            assert status in (400, 403)
            assert cookie == ""
        status, cookie = form(url, "/sign-in", url, good)
        assert status == 303
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        status, cookie = form(url, "/sign-out", url, "")
        assert status == 303
        assert "Max-Age=0" in cookie


GOOD = """[auth]
redirect_uri = "https://pages.example/oauth2callback"
cookie_secret = "0123456789abcdef0123456789abcdef"
client_id = "gpuledger"
server_metadata_url = "https://login.example/.well-known/openid-configuration"
expose_tokens = ["id"]
"""


def test_secrets_that_would_not_work_are_refused_before_anything_is_served(tmp_path: Path) -> None:
    """With what is missing; the identity has to reach the collector, and the cookie's secret is one."""
    path = tmp_path / "secrets.toml"
    path.write_text(GOOD)
    check_secrets(path)
    for taken, put, said in (
        ("[auth]", "[other]", "has no [auth]"),
        ('client_id = "gpuledger"', "", "has no client_id"),
        ('["id"]', '["access"]', "keeps identities to itself"),
        ("89abcdef0123456789abcdef", "", "can be guessed"),
        ("[auth]", "[auth", "cannot be read"),
    ):
        path.write_text(GOOD.replace(taken, put))
        with pytest.raises(ConfigError, match=re.escape(said)):
            check_secrets(path)
