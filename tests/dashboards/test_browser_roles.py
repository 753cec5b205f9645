"""Every page in every role, in a real browser: drawn or refused in words, at a desk and on a phone; figures as the API's.

One ledger of two teams, one server of pages and one browser; each role is a reader with a token of their own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page

from dashboards.navigation import PAGES
from dashboards.token_page import COOKIE
from tests.collector.two_teams import WALRUS, ZEBRA, Site2, two_teams
from tests.dashboards.browser import DONE, SETTLED, TIMEOUT_MS, chromium, pages, require_chromium, saved_as_csv

pytestmark = pytest.mark.browser
PERIOD = "2026-05"
WIDTHS = (1440, 390)
WHOLE = ("admin", "finance", "approver")
BOUND = ("zebra-viewer", "zebra-lead")
NOBODY = ""
REFUSED = {"audit": {*BOUND, NOBODY}}  # whose page it is not; all else is drawn for everybody


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site2]:
    require_chromium()
    with two_teams(tmp_path_factory.mktemp("roles")) as found:
        yield found


@pytest.fixture(scope="module")
def url(site: Site2) -> Iterator[str]:
    """Give the address of pages whose process has no token."""
    with pages(site.site.url, token="") as address:
        yield address


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    assert url
    with chromium() as started:
        yield started


@pytest.fixture
def page(browser: Browser, request: pytest.FixtureRequest, site: Site2, url: str) -> Iterator[Page]:
    """Give a window of the role that the test is for."""
    role = request.getfixturevalue("role") if "role" in request.fixturenames else "finance"
    context = browser.new_context(viewport={"width": WIDTHS[0], "height": 900})
    if role:
        context.add_cookies([{"name": COOKIE, "value": site.tokens[role], "url": url, "httpOnly": True}])
    yield context.new_page()
    context.close()


def visit(page: Page, address: str) -> str:
    page.goto(address, timeout=TIMEOUT_MS)
    page.wait_for_selector(DONE, timeout=TIMEOUT_MS)
    page.wait_for_selector(SETTLED, timeout=TIMEOUT_MS)
    return page.inner_text("body")


@pytest.mark.parametrize("role", [*WHOLE, *BOUND, NOBODY])
def test_every_page_is_drawn_in_every_role(page: Page, url: str, role: str) -> None:
    """Without an exception and without scrolling sideways; who may not see it is told so; a team sees itself alone."""
    for entry in PAGES:
        said = visit(page, f"{url}/{entry.path}?period={PERIOD}")
        assert page.locator('[data-testid="stException"]').count() == 0, entry
        refused = "This page is not for you" in said or "This page needs a token" in said
        assert refused == (role in REFUSED.get(entry.path, ())), entry
        for width in reversed(WIDTHS):
            page.set_viewport_size({"width": width, "height": 900})
            page.wait_for_function(f"document.documentElement.scrollWidth <= {width}", timeout=TIMEOUT_MS)
        if role in BOUND:
            assert WALRUS not in page.content().lower(), entry


@pytest.mark.parametrize("role", ["zebra-lead", "finance"])
def test_figures_are_those_of_the_api_for_the_same_token(page: Page, url: str, site: Site2, role: str) -> None:
    """What a lead sees of their team is what the API tells that lead, and what finance sees of it."""
    visit(page, f"{url}/chargeback?period={PERIOD}&by=team")
    answer = site.get(role, f"/v1/chargeback?period={PERIOD}&by=team").json
    shown = page.locator("table.gl-t").first.inner_text()
    for row in answer["rows"]:
        assert f"{Decimal(row['cost']):,.2f}" in shown, row["key"]
    assert f"{Decimal(answer['total']['cost']):,.2f}" in shown
    assert (WALRUS in shown.lower()) == (role == "finance")


@pytest.mark.parametrize("role", ["zebra-lead"])
def test_what_a_lead_takes_away_is_their_own(page: Page, url: str, role: str) -> None:
    """A file that was saved has no row of another team."""
    assert role
    visit(page, f"{url}/chargeback?period={PERIOD}&by=team")
    text = saved_as_csv(page)
    assert WALRUS not in text.lower()
    assert ZEBRA in text.lower()
    assert list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("role", ["zebra-lead"])
def test_an_address_of_another_team_shows_nothing_of_it(page: Page, url: str, role: str) -> None:
    """What somebody else sent, or a lead made up: no figure, and nothing that tells whether there is such a team."""
    assert role
    told = [
        visit(page, f"{url}/chargeback?period={PERIOD}&within=/acme/ice/{name}").lower().replace(name, "x")
        for name in (WALRUS, "unicorn")
    ]
    assert told[0] == told[1]
