"""The pages run as a whole against a collector over HTTP, and say what to do where there is nothing to show."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from dashboards import data, shell
from gpuledger.errors import TransientDeliveryError
from tests.dashboards import stub_collector

APP = Path(__file__).parents[2] / "dashboards" / "entry" / "app.py"
TIMEOUT_S = 30


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    st.cache_data.clear()


def open_page(url: str, monkeypatch: pytest.MonkeyPatch, **query: str) -> AppTest:
    monkeypatch.setenv("GPULEDGER_URL", url)
    page = AppTest.from_file(str(APP), default_timeout=TIMEOUT_S)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def text_of(page: AppTest) -> str:
    assert not page.exception, page.exception
    return " ".join(str(element.proto.body) for element in page.get("html"))


def test_the_page_states_who_spent_most_and_what_was_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a month of data the headline, the figures, the list of idle workloads and the reservations are there."""
    with stub_collector.serving() as url:
        page = open_page(url, monkeypatch)
    text = text_of(page)
    assert "Language spent 35 % of €38,841 in November so far" in text
    assert "Paid for, not used" in text
    assert "notebook-lena" in text
    assert "no owner rule matches who held them" in text
    assert page.selectbox[0].value == "2026-11"


def test_the_period_of_the_address_bar_is_the_one_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link to a month opens that month."""
    with stub_collector.serving() as url:
        page = open_page(url, monkeypatch, period="2026-10")
    assert page.selectbox[0].value == "2026-10"
    assert "in October" in text_of(page)


def test_choosing_a_period_puts_it_into_the_address_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown can be linked to."""
    with stub_collector.serving() as url:
        page = open_page(url, monkeypatch)
        page.selectbox[0].select("7d").run()
    assert page.query_params["period"] == "7d"
    assert "in the last 7 days" in text_of(page)


def test_the_breakdown_asks_for_the_chosen_dimension_and_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """`by` and `view` of the address bar reach the collector."""
    asked: list[dict[str, str]] = []

    def recorded(params: dict[str, str]) -> dict[str, Any]:
        asked.append(params)
        return stub_collector.chargeback(params)

    with stub_collector.serving(stub_collector.documents() | {"chargeback": recorded}) as url:
        page = open_page(url, monkeypatch, by="model", view="usage")
    assert "GPU model" in text_of(page)
    assert {"period": "2026-11", "by": "model", "view": "usage"} in asked


def test_an_empty_ledger_says_how_to_get_data(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first batch the page names the commands that bring data."""
    empty = stub_collector.status() | {"watermark": None, "first_usage": None}
    with stub_collector.serving({"status": lambda _: empty}) as url:
        page = open_page(url, monkeypatch)
    assert "The ledger is empty so far" in text_of(page)
    assert "gpuledger agent" in text_of(page)


def test_a_collector_that_is_down_says_how_to_start_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback reaches the reader; a button tries again."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        page = open_page(f"http://127.0.0.1:{closed.getsockname()[1]}", monkeypatch)
    assert "The collector does not answer" in text_of(page)
    assert "gpuledger collector" in text_of(page)
    assert [button.label for button in page.button] == ["Try again"]


def test_a_collector_that_goes_away_and_comes_back_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the middle of a session: no traceback and no stale figure under a new period; one press goes on."""
    with stub_collector.serving() as url:
        page = open_page(url, monkeypatch)
    gone = page.selectbox[0].select("2026-10").run()
    assert "The collector does not answer" in text_of(gone)
    assert "in October" not in text_of(gone)
    with stub_collector.serving(port=int(url.rpartition(":")[2])):
        back = gone.button[0].click().run()
        assert "in October" in text_of(back)


def test_without_prices_hours_are_shown_and_the_price_import_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of the page works without a currency."""

    def unpriced(params: dict[str, str]) -> dict[str, Any]:
        answer = stub_collector.chargeback(params)
        for row in answer["rows"]:
            row["cost"] = None
        return answer | {"currency": None, "unpriced_gpu_hours": 24420.0}

    answers = stub_collector.documents() | {
        "chargeback": unpriced,
        "idle_workloads": lambda _: {
            "currency": None,
            "rows": [row | {"cost": None} for row in stub_collector.idle({})["rows"]],
        },
        "timeline": lambda params: (
            stub_collector.timeline(params)
            | {
                "currency": None,
                "rows": [
                    row | {"costs": dict.fromkeys(row["costs"])} for row in stub_collector.timeline(params)["rows"]
                ],
            }
        ),
    }
    with stub_collector.serving(answers) as url:
        page = open_page(url, monkeypatch)
    text = text_of(page)
    assert "none has a price yet" in text
    assert "gpuledger price import FILE" in text


def test_names_from_outside_are_shown_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A workload called like a tag is escaped."""
    evil = {"workload": "<script>alert(1)</script>", "team": "x", "reason": "", "gpu_hours": 1.0, "cost": "2.00"}
    with stub_collector.serving(stub_collector.documents() | {"idle_workloads": lambda _: {"rows": [evil]}}) as url:
        page = open_page(url, monkeypatch)
    assert "<script>alert" not in text_of(page)
    assert "&lt;script&gt;" in text_of(page)


def test_five_thousand_teams_are_a_short_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dearest are shown, the number of the others is told, and the total is of all."""

    def many(params: dict[str, str]) -> dict[str, Any]:
        rows = [stub_collector.row(f"team-{n}", "owner", 1.0 + n, 1.0, 0.5, {"active": 1.0}) for n in range(5_000)]
        return stub_collector.chargeback(params) | {"rows": rows}

    with stub_collector.serving(stub_collector.documents() | {"chargeback": many}) as url:
        page = open_page(url, monkeypatch)
    text = text_of(page)
    assert "5,000 teams account for" in text
    assert "and 4,988 more" in text
    assert "€12,502,500.00" in text
    assert len(text) < 200_000


def test_one_team_is_told_in_the_singular(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fleet of one team is no special case for anything else."""

    def one(params: dict[str, str]) -> dict[str, Any]:
        return stub_collector.chargeback(params) | {"rows": stub_collector.chargeback(params)["rows"][:1]}

    with stub_collector.serving(stub_collector.documents() | {"chargeback": one}) as url:
        page = open_page(url, monkeypatch)
    assert "1 team accounts for" in text_of(page)


def test_an_answer_is_kept_until_the_ledger_moves_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed period, a new price book or a decision is an act, and no page shows what was before it."""
    asked: list[dict[str, str]] = []

    def counted(params: dict[str, str]) -> dict[str, Any]:
        asked.append(params)
        return stub_collector.chargeback(params)

    with stub_collector.serving(stub_collector.documents() | {"chargeback": counted}) as url:
        monkeypatch.setenv("GPULEDGER_URL", url)
        before = shell.as_of(stub_collector.status())
        after = shell.as_of(stub_collector.status() | {"changes": 8})
        for state in (before, before, after, after):
            data.answer("chargeback", {"period": "2026-11"}, state)
    assert len(asked) == 2


def test_a_collector_that_is_slow_is_told_apart_from_one_that_is_down() -> None:
    """What to do is another thing."""
    slow = TransientDeliveryError("http://x does not answer: timed out", hint="start it")
    title, _, step = shell.trouble(slow)
    assert title == "The collector is slow to answer"
    assert "shorter period" in step
    assert (
        shell.trouble(TransientDeliveryError("http://x does not answer: refused"))[0] == "The collector does not answer"
    )


def test_the_folder_of_the_entry_has_no_pages() -> None:
    """Beside a folder of that name Streamlit runs a page's file alone on a fresh server, and draws nothing."""
    assert not (APP.parent / "pages").exists()
