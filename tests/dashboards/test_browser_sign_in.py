"""Signing in, in a real browser: by a real OIDC provider, and with a token of one's own; and out again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from dashboards.token_page import COOKIE
from tests.collector.two_teams import WALRUS, ZEBRA, Site2, two_teams
from tests.dashboards.browser import DONE, SETTLED, TIMEOUT_MS, chromium, pages, require_chromium
from tests.dashboards.two_teams_pages import signed_in_pages

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    require_chromium()
    with chromium() as started:
        yield started


@pytest.fixture
def reader(browser: Browser) -> Iterator[BrowserContext]:
    """Give a browser that nobody has signed in with."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    yield context
    context.close()


@pytest.fixture(scope="module")
def single(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of pages with single sign-on."""
    assert browser
    with signed_in_pages(tmp_path_factory.mktemp("single")) as address:
        yield address


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site2]:
    with two_teams(tmp_path_factory.mktemp("tokens")) as found:
        yield found


@pytest.fixture(scope="module")
def url(browser: Browser, site: Site2) -> Iterator[str]:
    """Give the address of pages whose process reads with the token of one team, and which take others."""
    assert browser
    with pages(site.site.url, token=site.tokens["zebra-viewer"]) as address:
        yield address


def visit(page: Page, address: str) -> str:
    """Open a page; return all that it says."""
    page.goto(address, timeout=TIMEOUT_MS)
    return said(page)


def said(page: Page) -> str:
    page.wait_for_selector(DONE, timeout=TIMEOUT_MS)
    page.wait_for_selector(SETTLED, timeout=TIMEOUT_MS)
    assert page.locator('[data-testid="stException"]').count() == 0
    return page.inner_text("body")


def sign_in(page: Page, address: str, sub: str) -> str:
    """Go through the provider as somebody."""
    visit(page, address)
    page.get_by_role("button", name="Sign in").first.click()
    page.locator("input[name=sub]").wait_for(timeout=TIMEOUT_MS)
    page.locator("input[name=sub]").fill(sub)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{address.split('?', maxsplit=1)[0].rstrip('/')}/**", timeout=TIMEOUT_MS)
    return said(page)


def test_a_lead_signs_in_sees_one_team_and_signs_out(reader: BrowserContext, single: str) -> None:
    """Nothing is shown before, one team's data after, over links and reloads, and nothing when they have left."""
    page = reader.new_page()
    before = visit(page, single)
    assert "Sign in to see your figures" in before
    assert ZEBRA not in before.lower()
    after = sign_in(page, single, "zoe")
    assert "Signed in as oidc:zoe@acme.example, team-lead of acme/plains/zebra" in after
    for path in ("chargeback?period=2026-05", "team?period=2026-05", "waste?period=2026-05"):
        shown = visit(page, f"{single}/{path}").lower()
        assert ZEBRA in shown
        assert WALRUS not in shown
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/oauth2/end_session**", timeout=TIMEOUT_MS)  # the provider's own session ends, too
    page.locator("form button").first.click()
    page.get_by_role("button", name="Sign in").first.wait_for(timeout=TIMEOUT_MS)
    assert "Sign in to see your figures" in visit(page, f"{single}/chargeback?period=2026-05")


def test_finance_signs_in_and_sees_both(reader: BrowserContext, single: str) -> None:
    """The role is the collector's, from the claims of the token: all teams, and the audit log."""
    page = reader.new_page()
    sign_in(page, single, "finn")
    shown = visit(page, f"{single}/chargeback?period=2026-05").lower()
    assert ZEBRA in shown
    assert WALRUS in shown
    assert "Prove it" in visit(page, f"{single}/audit")


def test_somebody_without_a_role_is_told_so(reader: BrowserContext, single: str) -> None:
    """With who they are to the provider and whom to ask, and no figure, though the process has a token for all."""
    shown = sign_in(reader.new_page(), single, "guest")
    assert "Your sign-in is not known to the collector" in shown
    assert "guest@acme.example" in shown
    assert ZEBRA not in shown.lower()


def test_a_session_that_has_ended_says_so(browser: Browser, reader: BrowserContext, tmp_path: Path) -> None:
    """On the page where it was, with the way back in; what was shown before is not shown any more."""
    with signed_in_pages(tmp_path, life=timedelta(seconds=20)) as address:
        page = reader.new_page()
        assert "Signed in as oidc:zoe" in sign_in(page, address, "zoe")
        ended = page.get_by_text("Your session has ended")
        for _ in range(30):
            visit(page, f"{address}/chargeback?period=2026-05")
            if ended.count():
                break
            page.wait_for_timeout(1_000)
        assert ended.count() == 1
        assert ZEBRA not in page.inner_text("body").lower()
        assert page.get_by_role("button", name="Sign in again").count() == 1


def test_a_token_stays_over_links_and_reloads(reader: BrowserContext, site: Site2, url: str) -> None:
    """It is entered once, decides what is shown from then on, and is where no page can read it."""
    page = reader.new_page()
    assert WALRUS not in visit(page, f"{url}/chargeback?period=2026-05").lower()
    page.get_by_role("link", name="Use a token of your own").click()
    page.get_by_label("Token").fill("gpuledger_wrong")
    page.get_by_role("button", name="Use this token").click()
    assert "does not know this token" in page.get_by_role("alert").inner_text()
    page.get_by_label("Token").fill(site.tokens["finance"])
    page.get_by_role("button", name="Use this token").click()
    page.wait_for_url("**/chargeback?period=2026-05", timeout=TIMEOUT_MS)
    assert WALRUS in said(page).lower()
    page.get_by_role("link", name="Walrus", exact=True).first.click()
    page.locator("h1.gl-finding", has_text="Walrus").wait_for(timeout=TIMEOUT_MS)
    page.reload()
    assert "Your token: finance, finance" in said(page)
    assert "Prove it" in visit(page, f"{url}/audit")
    other = reader.new_page()
    assert "Prove it" in visit(other, f"{url}/audit"), "another tab"
    [kept] = [each for each in reader.cookies() if each["name"] == COOKIE]
    assert kept["httpOnly"]
    assert kept["expires"] == -1
    script = "document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage) + location.href + document.documentElement.outerHTML"
    assert site.tokens["finance"] not in page.evaluate(script)


def test_a_token_is_forgotten(reader: BrowserContext, site: Site2, url: str) -> None:
    """After that the reader sees what everybody sees."""
    page = reader.new_page()
    page.goto(f"{url}/sign-in?back=/audit")
    page.get_by_label("Token").fill(site.tokens["finance"])
    page.get_by_role("button", name="Use this token").click()
    assert "Prove it" in said(page)
    page.get_by_role("link", name="Sign out or use another").click()
    page.get_by_role("button", name="Forget my token").click()
    page.wait_for_url("**/sign-in", timeout=TIMEOUT_MS)
    assert not [each for each in reader.cookies() if each["name"] == COOKIE]
    assert "This page is not for you" in visit(page, f"{url}/audit")
