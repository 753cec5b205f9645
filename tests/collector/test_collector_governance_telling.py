"""Notices to real servers: sent once, tried again, given up, kept back at night; who hangs keeps nobody waiting."""

from __future__ import annotations

import json
import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, NotifySettings, ServerSettings
from collector.governance.addresses import read_addresses, send
from collector.governance.telling import BACK_OFF_MINUTES, NoticeError, Teller
from collector.queries.audit import audit
from collector.queries.budgets import NoticeRow, evaluate_budgets, notices
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.errors import ConfigError
from tests.collector.ask import ask
from tests.collector.batches import START_US
from tests.collector.test_collector_api import Site as Asking
from tests.collector.test_collector_governance_budgets import Site, book
from tests.waiting import until

PATIENCE_S = 30


class Webhook:
    """A server that keeps what it is sent and answers with `status`; while `hang` is clear it does not answer."""

    def __init__(self) -> None:
        self.got: list[dict[str, str]] = []
        self.status = 200
        self.go = threading.Event()
        self.go.set()
        self.asked = threading.Event()
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.asked.set()
                hook.go.wait(PATIENCE_S)
                hook.got.append(body)
                self.send_response(hook.status)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"json://ann:hunter2@127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.go.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def hook() -> Iterator[Webhook]:
    found = Webhook()
    yield found
    found.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.ledger.close()


def spend(site: Site, tell: str = '["ann"]', more: str = "") -> None:
    """Let a budget reach one stage that tells somebody."""
    site.give(book(("acme/ml", "10"), stages=f"[{{ at = 50, tell = {tell} }}]") + more.encode())
    site.hold(1, 1, 0, 3)
    assert len(evaluate_budgets(site.ledger).rows) == 1


def only(site: Site) -> NoticeRow:
    [found] = notices(site.ledger).rows
    return found


def test_a_notice_is_sent_once(site: Site, hook: Webhook) -> None:
    """With figures and a delivery key; the record says so, the audit log too, and neither has the address."""
    spend(site)
    teller = Teller(site.ledger, {"ann": hook.address}, send)
    assert teller.round() == 1
    assert teller.wait(PATIENCE_S)
    assert (only(site).state, only(site).attempts, only(site).key) == ("sent", 1, "1-ann")
    assert teller.round() == 0
    again = Teller(site.ledger, {"ann": hook.address}, send)
    assert again.round() == 0
    [got] = hook.got
    assert got["title"] == "Budget of acme/ml for 2026-05: 50 % of actual spend"
    assert "7.50 of 10.00 EUR spent by acme/ml in 2026-05" in got["message"]
    assert got["message"].endswith("Delivery 1-ann")
    [event] = audit(site.ledger, None, act="notice.sent", actor="", limit=5).rows
    assert event.subject == "notice 1"
    for table in ("notices", "notice_steps", "audit_events"):
        assert "hunter2" not in str(ask(site.ledger, f"SELECT * FROM {table}"))


def test_what_is_not_taken_is_tried_again_later_and_given_up_in_the_end(
    site: Site, hook: Webhook, caplog: pytest.LogCaptureFixture
) -> None:
    """Each time after a longer while; nothing that is logged or kept has the address in it."""
    caplog.set_level(logging.DEBUG)
    spend(site)
    hook.status = 500
    teller = Teller(site.ledger, {"ann": hook.address}, send)
    for attempt, minutes in enumerate(BACK_OFF_MINUTES, 1):
        teller.round()
        assert teller.wait(PATIENCE_S)
        row = only(site)
        assert (row.state, row.attempts, row.reason) == ("waiting", attempt, f"attempt {attempt}: answered with 500")
        assert row.next_at == iso(site.clock.us + minutes * US_PER_MINUTE)
        site.clock.us += minutes * US_PER_MINUTE - 1
        teller.round()
        assert teller.wait(PATIENCE_S)
        assert only(site).attempts == attempt
        site.clock.us += 1
    teller.round()
    assert teller.wait(PATIENCE_S)
    assert (only(site).state, only(site).attempts) == ("failed", len(BACK_OFF_MINUTES) + 1)
    assert teller.round() == 0
    assert "hunter2" not in caplog.text


def test_a_server_that_recovers_gets_it(site: Site, hook: Webhook) -> None:
    """Under the same key."""
    spend(site)
    hook.status = 503
    teller = Teller(site.ledger, {"ann": hook.address}, send)
    teller.round()
    assert teller.wait(PATIENCE_S)
    hook.status = 200
    site.clock.us += US_PER_MINUTE
    teller.round()
    assert teller.wait(PATIENCE_S)
    assert (only(site).state, only(site).attempts) == ("sent", 2)
    assert hook.got[0] == hook.got[1]


def test_who_hangs_keeps_nobody_waiting(site: Site, hook: Webhook) -> None:
    """Evaluation and ingest go on, others are told, and the one that hangs is asked once only."""
    spend(site, '["ann", "bob"]')
    other = Webhook()
    hook.go.clear()
    try:
        teller = Teller(site.ledger, {"ann": hook.address, "bob": other.address}, send)
        teller.round()
        assert hook.asked.wait(PATIENCE_S)
        teller._busy["bob"].join(PATIENCE_S)
        assert len(other.got) == 1
        site.hold(1, 1, 3, 4)
        assert evaluate_budgets(site.ledger).rows == []
        assert teller.round() == 1
        assert hook.got == []
    finally:
        hook.go.set()
        other.close()
    assert teller.wait(PATIENCE_S)
    assert [row.state for row in notices(site.ledger).rows] == ["sent", "sent"]
    assert len(hook.got) == 1


def test_nobody_at_the_address(site: Site) -> None:
    """A refused connection is an attempt like any other."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(NoticeError, match="no answer"):
            send(f"json://127.0.0.1:{taken.getsockname()[1]}/", "title", "body")


def test_a_name_without_an_address_is_on_record(site: Site) -> None:
    """Suppressed, with the reason, for ever: an address that comes later is for later notices."""
    spend(site)
    Teller(site.ledger, {}, send).round()
    assert (only(site).state, only(site).reason) == ("suppressed", "the collector has no address of ann")
    assert Teller(site.ledger, {"ann": "json://127.0.0.1:1"}, send).round() == 0


def test_in_quiet_hours_a_notice_waits_until_they_end(site: Site, hook: Webhook) -> None:
    """By the clocks of their zone."""
    site.clock.us = START_US // (24 * US_PER_HOUR) * 24 * US_PER_HOUR + 45 * US_PER_HOUR  # 21:00 UTC
    spend(site, more='[[quiet]]\nname = "ann"\nhours = "20:00..07:00"\nzone = "UTC"\n')
    teller = Teller(site.ledger, {"ann": hook.address}, send)
    teller.round()
    ends_us = site.clock.us + 10 * US_PER_HOUR
    assert (only(site).state, only(site).next_at, only(site).attempts) == ("waiting", iso(ends_us), 0)
    assert only(site).reason == f"quiet hours until {iso(ends_us)}"
    site.clock.us = ends_us
    teller.round()
    assert teller.wait(PATIENCE_S)
    assert only(site).state == "sent"


def test_mail_is_delivered() -> None:
    """Over SMTP, to a real server."""
    mails: list[bytes] = []

    class Keep:
        async def handle_DATA(self, _server: object, _session: object, envelope: object) -> str:  # noqa: N802 - aiosmtpd's name
            mails.append(envelope.content)  # type: ignore[attr-defined]
            return "250 OK"

    controller = Controller(Keep(), hostname="127.0.0.1", port=0)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        controller.port = free.getsockname()[1]
    controller.start()
    try:
        send(f"mailto://127.0.0.1:{controller.port}?from=gpuledger@example.com&to=ann@example.com", "a title", "a body")
    finally:
        controller.stop()
    [mail] = mails
    assert b"Subject: a title" in mail
    assert b"ann@example.com" in mail


@pytest.mark.parametrize(
    "text", ['ann = "nothing://hunter2"', "ann = 3", 'ann = "hunter2', 'ann = "hunter2"', '[ann]\nx = "hunter2"']
)
def test_addresses_that_cannot_be_used_are_refused_unseen(tmp_path: Path, text: str) -> None:
    """At the start of the collector, by the name alone."""
    path = tmp_path / "addresses.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_addresses(path)
    assert "hunter2" not in str(caught.value)
    assert caught.value.hint


def test_without_addresses_the_library_is_not_even_imported(tmp_path: Path) -> None:
    """It costs memory that most collectors do not need to spend."""
    code = (
        "import sys, collector.app\n"
        "from collector.governance.addresses import read_addresses\n"
        "assert read_addresses(None) == {} and 'apprise' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=PATIENCE_S)
    with pytest.raises(ConfigError, match="cannot read"):
        read_addresses(tmp_path / "none.toml")


def test_the_collector_evaluates_and_tells_by_itself(tmp_path: Path, hook: Webhook) -> None:
    """From a budget that is there when it starts, to the webhook that its settings name; whose address nobody sees."""
    site = Site(tmp_path / "ledger")
    site.give(book(("acme/ml", "10"), period="2020-01-01..2999-01-01", stages='[{ at = 50, tell = ["ann"] }]'))
    site.hold(1, 1, 0, 3)
    site.ledger.close()
    addresses = tmp_path / "addresses.toml"
    addresses.write_text(f'ann = "{hook.address}"\n')
    wanted = CollectorSettings(
        server=ServerSettings(port=0),
        ledger=LedgerSettings(directory=tmp_path / "ledger"),
        notify=NotifySettings(addresses),
    )
    with running(wanted) as url:
        asking = Asking(url)
        assert hook.asked.wait(PATIENCE_S)
        assert until(lambda: asking.get("/v1/budgets/notices").json["rows"][0]["state"] == "sent")
        assert b'gpuledger_budget_spent{currency="EUR",owner="acme/ml"' in asking.get("/metrics").body
        for path in ("/v1/budgets/notices", "/v1/budgets/book", "/v1/budgets", "/v1/audit", "/metrics"):
            assert b"hunter2" not in asking.get(path).body
    assert len(hook.got) == 1
