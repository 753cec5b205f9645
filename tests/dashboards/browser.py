"""A real browser over the real server, for what only they can show."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from playwright.sync_api import TimeoutError as TookTooLong

from dashboards.launch import command
from gpuledger.cli.processes import free_port
from gpuledger.tokens import TOKEN, find_token

CHROMIUM = Path("/usr/bin/chromium")
INSTALL = "apt-get install --no-install-recommends chromium"
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_TIMEOUT_S = 60
TIMEOUT_MS = 30_000
DONE = '.gl-foot, .gl-empty, [data-testid="stException"]'  # a page that is drawn to its end
SETTLED = '[data-testid="stApp"][data-test-script-state="notRunning"]'


def require_chromium() -> None:
    """Skip where there is no Chromium; in CI that is a failure."""
    if CHROMIUM.exists():
        return
    if os.environ.get("CI") == "true":
        pytest.fail(f"{CHROMIUM} is missing: {INSTALL}")
    pytest.skip(f"{CHROMIUM} is missing: {INSTALL}")


@contextlib.contextmanager
def pages(collector_url: str, *, token: str | None = None, secrets: Path | None = None, port: int = 0) -> Iterator[str]:
    """Serve the pages over a collector, with its administrator's token or another; yield their address."""
    port = port or free_port(0)
    own = (find_token(collector_url) or "") if token is None else token
    process = subprocess.Popen(
        command(port, secrets=secrets),
        env={**os.environ, "GPULEDGER_URL": collector_url, TOKEN: own},
        stdout=subprocess.DEVNULL,
        cwd="/",
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not healthy(port):
            assert process.poll() is None, "the pages ended"
            assert time.monotonic() < deadline, "the pages do not answer"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def saved_as_csv(page: Page) -> str:
    """Return the text of what the first button for CSV saves; a click is lost where the page is drawn again under it."""
    for wait_ms in (TIMEOUT_MS // 6, TIMEOUT_MS // 3, TIMEOUT_MS):
        page.wait_for_selector(SETTLED, timeout=TIMEOUT_MS)
        with contextlib.suppress(TookTooLong), page.expect_download(timeout=wait_ms) as download:
            page.get_by_role("button", name="CSV").first.click()
            return download.value.path().read_text(encoding="utf-8")
    pytest.fail(f"nothing was saved from {page.url}")


def healthy(port: int) -> bool:
    """Return whether Streamlit answers on a port."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
