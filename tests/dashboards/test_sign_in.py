"""Whose token the pages read with: a page that may not be read says so and takes another, kept for this reader only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from gpuledger.tokens import TOKEN, TOKEN_FILE, write_token
from tests.collector.two_teams import WALRUS, Site2, two_teams

APP = Path(__file__).parents[2] / "dashboards" / "app.py"


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


def opened(page: str, token: str = "") -> AppTest:
    """Open a page of the menu, as a reader who has entered a token."""

    def script(name: str) -> None:
        from importlib import import_module  # noqa: PLC0415 - a script of its own

        import_module(f"dashboards.pages.{name}").render()

    app = AppTest.from_function(script, default_timeout=60, kwargs={"name": page})
    if token:
        app.session_state["token"] = token
    return app.run()


def text_of(app: AppTest) -> str:
    assert not app.exception, app.exception
    return " ".join(str(element.proto.body) for element in app.get("html"))


def test_a_page_that_needs_a_token_takes_one(site: Site2) -> None:
    """The audit log, which nobody reads without a name; a wrong token is told apart from none."""
    app = opened("audit")
    assert "This page needs a token" in text_of(app)
    app.text_input[0].input("gpuledger_wrong")
    app.button[0].click()
    assert "does not know this token" in text_of(app.run())
    app.text_input[0].input(site.tokens["finance"])
    app.button[0].click()
    assert "Prove it" in text_of(app.run())


def test_a_page_that_a_role_may_not_see_says_so(site: Site2) -> None:
    """With who they are here, and without a figure of it."""
    text = text_of(opened("audit", site.tokens["zebra-viewer"]))
    assert "This page is not for you" in text
    assert "zebra-viewer (viewer bound to acme/plains/zebra) may not read the audit log" in text


@pytest.mark.parametrize("page", ["overview", "chargeback", "utilisation", "waste", "invoices", "quality"])
def test_no_page_shows_another_team(site: Site2, page: str) -> None:
    """Each page is drawn for a team of its own, and what was read for another reader is not shown to this one."""
    opened(page, site.tokens["walrus-viewer"])
    app = opened(page, site.tokens["zebra-viewer"])
    shown = text_of(app) + "".join(str(frame.value) for frame in app.dataframe)
    assert WALRUS not in shown.lower()


def test_the_token_of_the_process_is_that_of_its_file(
    site: Site2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader's own goes before it."""
    write_token(tmp_path / "token", site.tokens["finance"])
    monkeypatch.setenv(TOKEN_FILE, str(tmp_path / "token"))
    assert "Prove it" in text_of(opened("audit"))
    assert "not for you" in text_of(opened("audit", site.tokens["zebra-viewer"]))
