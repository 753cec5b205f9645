"""Every page of the menu in a real browser, over a real collector with closed periods."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal

import pytest
from playwright.sync_api import Browser

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from dashboards.navigation import PAGES
from gpuledger.client import CollectorClient
from gpuledger.tokens import find_token
from tests.analytics.ledgers import billed_ledger
from tests.dashboards.browser import chromium, pages, require_chromium

pytestmark = pytest.mark.browser
DONE = '.gl-foot, .gl-empty, [data-testid="stException"]'
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a collector with two closed periods and one that is open."""
    require_chromium()
    folder = billed_ledger(tmp_path_factory.mktemp("pages") / "ledger")
    settings = CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(directory=folder))
    with running(settings) as address:
        yield address


@pytest.fixture(scope="module")
def url(collector: str) -> Iterator[str]:
    """Give the address of its pages."""
    with pages(collector) as address:
        yield address


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    assert url
    with chromium() as started:
        yield started


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("path", [page.path for page in PAGES])
def test_every_page_is_drawn_and_fits(browser: Browser, url: str, path: str, width: int) -> None:
    """At a desk and on a phone it has its title, no error, and nothing to be scrolled sideways."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto(f"{url}/{path}", timeout=TIMEOUT_MS)
    page.wait_for_selector(DONE, timeout=TIMEOUT_MS)
    assert page.locator('[data-testid="stException"]').count() == 0
    assert page.locator(".gl-empty").count() == 0
    assert page.inner_text("h1.gl-finding")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()


def test_an_invoice_is_shown_as_it_prints_and_can_be_linked_to(browser: Browser, url: str) -> None:
    """The address names it; the sheet is the document, with the amount that the list has."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{url}/invoices?invoice=2", timeout=TIMEOUT_MS)
    sheet = page.frame_locator("iframe").first
    sheet.locator("h1").wait_for(timeout=TIMEOUT_MS)
    assert sheet.locator("h1").inner_text() == "Invoice 2"
    amount = sheet.locator(".amount").inner_text().replace("\xa0", " ")
    assert amount in page.locator("table.gl-t").nth(1).inner_text()
    page.close()


def test_the_total_of_chargeback_is_the_collectors(browser: Browser, url: str, collector: str) -> None:
    """By every view that the address asks for, to the cent."""
    with closing(CollectorClient(collector, token=find_token(collector))) as client:
        period = "2026-05"
        for by, view in (("team", "allocation"), ("model", "usage")):
            told = client.get_json("/v1/chargeback", {"period": period, "by": by, "view": view})
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{url}/chargeback?period={period}&by={by}&view={view}", timeout=TIMEOUT_MS)
            page.wait_for_selector(DONE, timeout=TIMEOUT_MS)
            total = page.locator("table.gl-t").first.locator("tr.total").inner_text()
            assert f"{Decimal(told['total']['cost']):,.2f}" in total
            page.close()
