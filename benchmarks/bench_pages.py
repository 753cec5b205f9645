"""Each page's first render and a change of its filter in headless Chromium, with the API's share, and memory a session.

A month of charges (2,000 GPUs; BENCH_GPUS sets another number, BENCH_MONTHS=12 puts as many months before it) is served
by a real collector, the pages by Streamlit. `first_s` is from the address to the page's last line where no answer is
known yet, `again_s` the same for the next reader, `change_s` from pressing a choice to the end of what follows.
`api_s` is how long the collector was asked during the first, `cpu_s` the CPU time that it took for that, `asked` how
often, `kib` how much it answered. `hello_s` is a Streamlit page of one line on the same machine: what a render costs at
least, and how busy the machine is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Browser, Page

from benchmarks.filled_ledger import MONTH, fill
from benchmarks.process_figures import gpus, tree_of, usage_of
from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from dashboards.launch import command
from gpuledger.cli.processes import free_port
from gpuledger.tokens import TOKEN, find_token
from tests.dashboards.browser import chromium, healthy

GPUS: Final = 2_000
SESSIONS: Final = 8
LAST: Final = '.gl-foot, .gl-empty, [data-testid="stException"]'
IDLE: Final = '[data-testid="stApp"][data-test-script-state="notRunning"]'
TIMEOUT_MS: Final = 600_000
HELLO: Final = "import streamlit as st\nst.html('<p class=gl-foot>hello</p>')\n"


class Case(NamedTuple):
    """A page, and the choice that is pressed on it then."""

    name: str
    address: str
    press: str = ""


CASES: Final = (
    Case("overview", "?period={month}", "User"),
    Case("team", "team?period={month}&team=team-3", "Users"),
    Case("chargeback", "chargeback?period={month}"),
    Case("drill-down", "chargeback?period={month}&within=/acme/research/team-3", "Workloads"),
    Case("charges", "chargeback?period={month}&within=/acme/research/team-3&level=charges", "Users"),
    Case("utilisation", "utilisation?period={month}", "Node"),
    Case("waste", "waste?period={month}"),
    Case("workloads", "workloads?period={month}"),
    Case("fleet", "fleet?period={month}"),
    Case("quality", "quality?period={month}"),
)


class Asked:
    """How long the collector was asked for, added up by a server that passes everything on to it."""

    def __init__(self) -> None:
        self.seconds, self.answers, self.bytes = 0.0, 0, 0
        self._lock = threading.Lock()

    def add(self, seconds: float, size: int) -> None:
        """Count one answer; from any thread."""
        with self._lock:
            self.seconds += seconds
            self.answers += 1
            self.bytes += size


def main() -> int:
    """Fill a ledger, draw each page, print the figures."""
    months = int(os.environ.get("BENCH_MONTHS") or 1)
    with tempfile.TemporaryDirectory() as folder:
        rows = fill(Path(folder) / "ledger", gpus=gpus(GPUS), holders=4_000, months=months, varied=True)
        print(f"charges_of_the_month   {rows:,} of {months} months, {gpus(GPUS):,} GPUs")
        settings = CollectorSettings(
            server=ServerSettings(port=0), ledger=LedgerSettings(directory=Path(folder) / "ledger")
        )
        hello = Path(folder) / "hello.py"
        hello.write_text(HELLO, encoding="utf-8")
        asked = Asked()
        with running(settings) as collector, passing(collector, asked) as url, chromium() as browser:
            with serving(url, hello) as (address, _):
                _visit(browser, address)
                hello_s = _visit(browser, address)
            print(f"hello_s                {hello_s:.2f}")
            with serving(url, token=find_token(collector) or "") as (address, server):
                _visit(browser, f"{address}/audit")  # what is imported once is not a page's
                _pages(browser, address, asked)
                _memory(browser, address, server)
    return 0


def _pages(browser: Browser, address: str, asked: Asked) -> None:
    heads = (("first_s", 8), ("api_s", 7), ("cpu_s", 7), ("asked", 6), ("kib", 7), ("again_s", 8), ("change_s", 9))
    print(f"{'page':<12}" + "".join(f" {name:>{width}}" for name, width in heads))
    for case in CASES:
        where = f"{address}/{case.address.format(month=MONTH)}"
        seconds, answers, size = asked.seconds, asked.answers, asked.bytes
        used = time.process_time()  # the collector runs in this process
        first_s = _visit(browser, where)
        cpu_s = time.process_time() - used
        api = f"{asked.seconds - seconds:7.2f} {cpu_s:7.2f} {asked.answers - answers:6}"
        api += f" {(asked.bytes - size) / 1024:7,.0f}"
        page, again_s = _opened(browser, where)
        change = f"{_changed(page, case.press):9.2f}" if case.press else f"{'':>9}"
        page.context.close()
        print(f"{case.name:<12} {first_s:8.2f} {api} {again_s:8.2f} {change}", flush=True)


def _memory(browser: Browser, address: str, server: int) -> None:
    """Print what a session adds to the server's memory, with the Overview open in each."""
    before = usage_of(tree_of(server)).pss_mib
    opened = [_opened(browser, f"{address}/?period={MONTH}")[0] for _ in range(SESSIONS)]
    after = usage_of(tree_of(server)).pss_mib
    print(f"server_mib             {before:.0f}")
    print(f"session_mib            {(after - before) / SESSIONS:.1f}")
    for page in opened:
        page.context.close()


def _visit(browser: Browser, address: str) -> float:
    page, seconds = _opened(browser, address)
    page.context.close()
    return seconds


def _opened(browser: Browser, address: str) -> tuple[Page, float]:
    """Open an address in a context of its own, as another reader would; return the page and how long it took."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    began = time.perf_counter()
    page.goto(address, timeout=TIMEOUT_MS)
    page.wait_for_selector(LAST, timeout=TIMEOUT_MS)
    page.wait_for_selector(IDLE, timeout=TIMEOUT_MS)
    seconds = time.perf_counter() - began
    failed = page.locator('.gl-empty, [data-testid="stException"]')
    assert not failed.count(), f"{address}: {failed.first.inner_text()}"
    return page, seconds


def _changed(page: Page, choice: str) -> float:
    """Press a choice; return how long it took until it was checked and the script had ended."""
    began = time.perf_counter()
    page.get_by_role("radio", name=choice, exact=True).click()
    page.wait_for_selector('[data-testid="stApp"][data-test-script-state="running"]', timeout=TIMEOUT_MS)
    page.wait_for_selector(IDLE, timeout=TIMEOUT_MS)
    return time.perf_counter() - began


@contextmanager
def passing(url: str, asked: Asked) -> Iterator[str]:
    """Serve what `url` serves, and add up how long that takes; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            began = time.perf_counter()
            passed = {name: self.headers[name] for name in ("Accept", "Authorization") if self.headers[name]}
            request = urllib.request.Request(url + self.path, headers=passed)
            try:
                with urllib.request.urlopen(request) as answer:
                    status, kind, body = answer.status, answer.headers["Content-Type"], answer.read()
            except urllib.error.HTTPError as error:
                status, kind, body = error.code, error.headers["Content-Type"], error.read()
            asked.add(time.perf_counter() - began, len(body))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        log_message: Callable[..., None] = lambda *_: None

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def serving(url: str, script: Path | None = None, *, token: str = "") -> Iterator[tuple[str, int]]:
    """Serve the pages, or another script in the same way; yield the address and the process."""
    port = free_port(0)
    line = command(port)
    if script:
        line = [str(script) if part.endswith("app.py") else part for part in line]
    env = {**os.environ, "GPULEDGER_URL": url, TOKEN: token}
    process = subprocess.Popen(line, env=env, stdout=subprocess.DEVNULL, cwd="/")
    try:
        while not healthy(port):
            assert process.poll() is None, "the pages ended"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    sys.exit(main())
