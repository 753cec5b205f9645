"""Every page of the menu in a real browser, over a real collector with closed periods and names that attack pages."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from dashboards import wording
from dashboards.navigation import PAGES
from gpuledger.client import CollectorClient
from gpuledger.tokens import find_token
from tests.dashboards.browser import DONE, SETTLED, TIMEOUT_MS, chromium, pages, require_chromium, saved_as_csv
from tests.dashboards.page_ledger import FORMULA, HOSTILE, LONG, MARKUP, PERIOD, page_ledger

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a collector with two closed periods and one that is open."""
    require_chromium()
    folder = page_ledger(tmp_path_factory.mktemp("pages") / "ledger")
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


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    opened = browser.new_page(viewport={"width": 1440, "height": 900})
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def asking(collector: str) -> Iterator[CollectorClient]:
    with closing(CollectorClient(collector, token=find_token(collector))) as client:
        yield client


def visit(page: Page, address: str) -> None:
    page.goto(address, timeout=TIMEOUT_MS)
    page.wait_for_selector(DONE, timeout=TIMEOUT_MS)
    assert page.locator('[data-testid="stException"]').count() == 0


def follow(page: Page, name: str, then: str) -> None:
    """Click a name in a table with the keyboard, and wait for the page whose title has `then`."""
    page.wait_for_selector(SETTLED, timeout=TIMEOUT_MS)
    page.get_by_role("link", name=name, exact=True).first.focus()
    page.keyboard.press("Enter")
    page.locator("h1.gl-finding", has_text=then).wait_for(timeout=TIMEOUT_MS)
    page.wait_for_selector(DONE, timeout=TIMEOUT_MS)


@pytest.mark.parametrize("path", [each.path for each in reversed(PAGES)])
def test_every_page_is_drawn_and_fits(page: Page, url: str, path: str) -> None:
    """At a desk and on a phone, the first that a server ever draws too: a title, no error, nothing to scroll sideways."""
    attacks: list[str] = []
    page.on("dialog", lambda dialog: attacks.append(dialog.message))
    visit(page, f"{url}/{path}")
    assert page.locator(".gl-empty").count() == (path == "drift")  # which wants a week of data
    assert page.inner_text("h1")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        page.wait_for_function(f"document.documentElement.scrollWidth <= {width}", timeout=TIMEOUT_MS)
    assert page.title() != "taken"
    assert attacks == []


def test_an_invoice_is_shown_as_it_prints_and_can_be_linked_to(page: Page, url: str) -> None:
    """The address names it; the sheet is the document, with the amount that the list has."""
    page.goto(f"{url}/invoices?invoice=2", timeout=TIMEOUT_MS)
    sheet = page.frame_locator("iframe").first
    sheet.locator("h1").wait_for(timeout=TIMEOUT_MS)
    assert sheet.locator("h1").inner_text() == "Invoice 2"
    amount = sheet.locator(".amount").inner_text().replace("\xa0", " ")
    assert amount in page.locator("table.gl-t").nth(1).inner_text()


def test_the_total_of_chargeback_is_the_collectors(page: Page, url: str, asking: CollectorClient) -> None:
    """By every view that the address asks for, to the cent."""
    for by, view in (("organisation", "allocation"), ("model", "usage")):
        told = asking.get_json("/v1/chargeback", {"period": PERIOD, "by": by, "view": view})
        visit(page, f"{url}/chargeback?period={PERIOD}&by={by}&view={view}")
        total = page.locator("table.gl-t").first.locator("tr.total").inner_text()
        assert f"{Decimal(told['total']['cost']):,.2f}" in total


def test_a_teams_total_leads_down_to_a_usage_record(page: Page, url: str, asking: CollectorClient) -> None:
    """Over its workload and its charges, with the keyboard alone; each step's figure is the collector's."""
    visit(page, f"{url}/chargeback?period={PERIOD}")
    follow(page, "Vision", "Vision cost")
    team = asking.get_json("/v1/chargeback", {"period": PERIOD, "by": "user", "within": "/*/*/vision"})
    assert f"{Decimal(team['total']['cost']):,.2f}" in page.locator("tr.total").first.inner_text()
    page.get_by_role("radio", name="Workloads").click()
    page.wait_for_url("**level=workload**", timeout=TIMEOUT_MS)
    page.locator("h2.gl-h", has_text="By workload").wait_for(timeout=TIMEOUT_MS)
    follow(page, "-train", "-train cost")
    found = asking.get_json("/v1/charges", {"period": PERIOD, "within": "/*/*/vision/*/*/-train"})
    heading = page.locator("h2.gl-h", has_text="charges sum to").inner_text()
    assert heading == f"{found['count']} charges sum to {Decimal(found['cost']):,.2f} EUR"
    charge = found["rows"][0]
    follow(page, wording.instant(charge["hour"]), "minutes of")
    explained = asking.get_json("/v1/explain", {"charge": charge["charge"]})
    assert explained["cost"] in page.inner_text("h1")
    rows = page.locator("table.gl-t").first.locator("tbody tr")
    assert rows.count() == len(explained["rows"]) > 1
    record = explained["rows"][0]
    assert f"{record['start'][11:19]} to {record['end'][11:19]}" in rows.first.inner_text()
    assert f"{record['agent']} #{record['sequence']}" in rows.first.inner_text()
    assert page.locator(".gl-crumbs").inner_text().replace("\n", "") == "All/Vision/-train/One charge"
    page.go_back()
    page.locator("h1.gl-finding", has_text="-train cost").wait_for(timeout=TIMEOUT_MS)


def test_names_are_text_wherever_they_stand(page: Page, url: str, asking: CollectorClient) -> None:
    """Each team of such a name is shown as it is called, leads down to its part alone, and has its own page."""
    visit(page, f"{url}/chargeback?period={PERIOD}&by=team")
    table = page.locator("table.gl-t").first
    links = table.get_by_role("link").all_inner_texts()
    for name in HOSTILE:
        title = wording.title(name)
        assert title in links or (name == LONG and any("…" in link for link in links))
    told = {row["key"]: row["cost"] for row in _teams(asking)}
    follow(page, MARKUP, MARKUP)
    assert f"{Decimal(told[MARKUP]):,.2f}" in page.locator("tr.total").first.inner_text()
    assert page.locator("h1 script, h1 b").count() == 0
    visit(page, f"{url}/workloads?period={PERIOD}&system=kserve")
    assert page.locator("table.gl-t").nth(1).locator("tbody tr").count() == 1
    assert FORMULA in page.locator("table.gl-t").nth(1).inner_text()


def test_a_teams_page_has_the_collectors_figures(page: Page, url: str, asking: CollectorClient) -> None:
    """What it spent, and what of that did nothing."""
    visit(page, f"{url}/team?period={PERIOD}&team=vision")
    told = {row["key"]: row for row in _teams(asking)}["vision"]
    idle = [row for row in asking.get_json("/v1/idle", {"period": PERIOD})["rows"] if row["team"] == "vision"]
    wasted = sum((Decimal(row["cost"]) for row in idle), Decimal(0))
    title = page.inner_text("h1")
    assert wording.money_short(Decimal(told["cost"]), "EUR") in title
    assert wording.money_short(wasted, "EUR") in title
    page.wait_for_selector(SETTLED, timeout=TIMEOUT_MS)
    page.get_by_role("radio", name="GPU models").click()
    page.get_by_role("columnheader", name="GPU model").wait_for(timeout=TIMEOUT_MS)
    total = page.locator("table.gl-t").last.locator("tr.total").inner_text()
    assert f"{Decimal(told['cost']):,.2f}" in total


def test_a_fault_names_its_gpu_and_what_to_do(page: Page, url: str) -> None:
    """By node and slot, not by key; the driver's words are text."""
    visit(page, f"{url}/fleet?period={PERIOD}")
    rows = page.locator("table.gl-t").first.locator("tbody tr")
    lines = [rows.nth(n).inner_text() for n in range(rows.count())]
    lost = next(line for line in lines if "XID 79" in line)
    assert "node-b, GPU 00" in lost
    assert "The GPU has fallen off the bus" in lost
    assert "Reboot the node" in lost
    assert any("<script>" in line for line in lines)


def test_a_page_that_was_saved_has_no_formula(page: Page, url: str) -> None:
    """What a spreadsheet would run is text in it, and the figures are those of the table."""
    visit(page, f"{url}/workloads?period={PERIOD}&system=kserve")
    [row] = csv.DictReader(io.StringIO(saved_as_csv(page)))
    assert row["Workload"] == f"'{FORMULA}"
    assert row["Cost, EUR"] == "4.98"


def test_an_address_that_names_nothing_says_how_to_write_one(page: Page, url: str) -> None:
    """No traceback, no silent showing of everything."""
    visit(page, f"{url}/chargeback?within=vision")
    assert "This address names nothing" in page.inner_text(".gl-empty")
    visit(page, f"{url}/chargeback?within=/*/*/vision&charge=nothing")
    assert "There is no such charge" in page.inner_text(".gl-empty")


def _teams(asking: CollectorClient) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = asking.get_json("/v1/chargeback", {"period": PERIOD, "by": "team"})["rows"]
    return rows
