"""The Overview page in a real browser: at a desk and on a phone, in light and in dark, and calling nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.dashboards import stub_collector
from tests.dashboards.browser import chromium, pages, require_chromium

pytestmark = pytest.mark.browser
READY = ".gl-foot"
CHARTS = '[data-testid="stVegaLiteChart"] canvas, [data-testid="stVegaLiteChart"] svg'
TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    require_chromium()
    with stub_collector.serving() as collector, pages(collector) as address:
        yield address


@pytest.fixture(scope="module")
def browser(url: str) -> Iterator[Browser]:
    with chromium() as started:
        yield started


def open_page(browser: Browser, url: str, width: int, height: int, scheme: str = "light") -> Page:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(url, timeout=TIMEOUT_MS)
    page.wait_for_selector(READY, timeout=TIMEOUT_MS)
    page.wait_for_function(f"document.querySelectorAll({CHARTS!r}).length >= 3", timeout=TIMEOUT_MS)
    return page


@pytest.mark.parametrize(("name", "width", "height"), [("desktop", 1440, 1000), ("phone", 390, 844)])
def test_the_page_fits_its_screen(
    browser: Browser, url: str, tmp_path: Path, name: str, width: int, height: int
) -> None:
    """All three charts are drawn, nothing has to be scrolled sideways, and a picture of it is kept."""
    page = open_page(browser, url, width, height)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert "Language spent 35 %" in page.inner_text("h1")
    picture = tmp_path / f"{name}.png"
    page.screenshot(path=str(picture))
    assert picture.stat().st_size > 20_000
    page.context.close()


def test_dark_readers_get_a_dark_page_with_readable_text(browser: Browser, url: str) -> None:
    """The headline is light on dark where the reader's system is dark."""
    page = open_page(browser, url, 1440, 1000, "dark")
    text, background = page.evaluate(
        "[getComputedStyle(document.querySelector('h1.gl-finding')).color,"
        " getComputedStyle(document.querySelector('.stApp')).backgroundColor]"
    )
    assert _lightness(text) > 200 > 60 > _lightness(background)
    page.context.close()


def test_choosing_a_period_and_a_breakdown_is_kept_in_the_address(browser: Browser, url: str) -> None:
    """What one reader sees can be sent to another."""
    page = open_page(browser, url, 1440, 1000)
    page.locator('[data-testid="stSelectbox"]').first.click()
    page.get_by_role("option", name="October 2026").click()
    page.wait_for_url("**period=2026-10**", timeout=TIMEOUT_MS)
    page.get_by_text("in October", exact=False).first.wait_for(timeout=TIMEOUT_MS)
    page.get_by_role("radio", name="GPU model").click()
    page.wait_for_url("**by=model**", timeout=TIMEOUT_MS)
    page.get_by_role("columnheader", name="GPU model").wait_for(timeout=TIMEOUT_MS)
    address = page.url
    page.goto(address, timeout=TIMEOUT_MS)
    page.wait_for_selector(READY, timeout=TIMEOUT_MS)
    assert "in October" in page.inner_text("h1")
    page.context.close()


def test_the_page_asks_nothing_of_the_internet(browser: Browser, url: str) -> None:
    """Fonts, icons and scripts all come from our own server: cost figures are read behind firewalls."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url, timeout=TIMEOUT_MS)
    page.wait_for_selector(READY, timeout=TIMEOUT_MS)
    page.wait_for_function(f"document.querySelectorAll({CHARTS!r}).length >= 3", timeout=TIMEOUT_MS)
    foreign = [
        address for address in asked if not address.startswith((url, "data:", "blob:", url.replace("http", "ws")))
    ]
    assert foreign == []
    context.close()


def _lightness(colour: str) -> float:
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(numbers) / 3
