"""The bill of a period as a page: sums, what is not known, whose time it was, and no name that becomes markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from analytics.bill_page import bill_html
from tests.analytics.ledgers import adjusted_ledger, export, hours


def row(key: str, cost: str | None, kind: str = "owner", **states: float) -> dict[str, Any]:
    return {
        "key": key, "kind": kind, "gpu_hours": sum(states.values()), "active_gpu_hours": states.get("active"),
        "energy_kwh": None, "carbon_kg": 1.25, "cost": cost, "states": states,
    }  # fmt: skip


def chargeback(*rows: dict[str, Any], **changes: Any) -> dict[str, Any]:
    states: dict[str, float] = {}
    for each in rows:
        for name, found in each["states"].items():
            states[name] = states.get(name, 0.0) + found
    fields = {
        "currency": "EUR", "period": {"label": "2026-10", "to": "2026-11-01T00:00:00Z", "zone": "UTC"}, "rows": list(rows), "total": row("", "100.00", "total", **states),
        "unpriced_gpu_hours": 0.0, "pending_hours": 0, "as_of": "2026-11-01T00:00:00Z", "final": True,
    }  # fmt: skip
    return {**fields, **changes}


BILL = chargeback(
    row("speech", "75.00", active=6.0, held_idle=3.0, held_unobserved=1.0),
    row("", "25.00", "idle", idle=9.0),
    row("<b>x</b>", None, active=1.0),
)


def test_what_is_to_know_comes_first() -> None:
    """The total, what of it is teams', how much of their time was without work, and how much was watched."""
    page = bill_html(BILL, [], [])
    assert "October 2026" in page
    assert "100.00&nbsp;EUR" in page
    assert "75.00 of it for what 2 teams held; 27 % of that time without work" in page
    assert "<dt>Observed</dt><dd>95 %</dd>" in page


def test_nearly_all_is_not_all_and_a_month_is_somebodys() -> None:
    """A minute that nobody watched keeps a page from saying 100 %; whose month it is stands beside it, where not of UTC."""
    period = {"label": "2026-10", "to": "2026-10-31T23:00:00Z", "zone": "Europe/Berlin"}
    page = bill_html(chargeback(row("speech", "75.00", active=999.0, held_unobserved=0.01), period=period), [], [])
    assert "<dt>Observed</dt><dd>&gt;99 %</dd>" in page
    assert "by the days of Europe/Berlin" in page
    assert "by the days of" not in bill_html(BILL, [], [])


def test_unknown_is_a_dash_and_names_are_text() -> None:
    """No price and no energy are dashes; a team's name never becomes markup; idle capacity stands last, in grey."""
    page = bill_html(BILL, [], [])
    assert "<b>x" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    names = re.findall(r"<tr(?: class=\"aside\")?><td><bdi>(.*?)</bdi>", page)
    assert names == ["Speech", "&lt;b&gt;x&lt;/b&gt;", "Idle capacity"]
    assert '<tr class="aside"><td><bdi>Idle capacity' in page


def test_what_is_wrong_is_said() -> None:
    """Hours without a price, hours that wait, periods that were closed in spite of something, what is provisional."""
    closed = {
        "label": "2026-10", "state": "closed", "closed_at": "2026-11-02T00:00:00Z", "closed_by": "ann",
        "exception": "<i>late</i>", "charge_cost": "100.00", "correction_cost": "0.00", "adjustment_cost": "0.00",
        "cost": "100.00",
    }  # fmt: skip
    page = bill_html(chargeback(*BILL["rows"], unpriced_gpu_hours=2.0, pending_hours=3, final=False), [closed], [])
    assert "2.0 GPU-hours have no price" in page
    assert "3 hours wait" in page
    assert "closed with an exception: &lt;i&gt;late" in page
    assert "provisional" in page


def test_a_period_without_anything_is_a_page_too() -> None:
    """No devices, no prices: dashes, and no division by nothing."""
    empty = chargeback(currency=None, as_of=None, total=row("", None, "total"))
    assert "no team held a GPU in this period" in bill_html(empty, [], [])


def test_the_page_has_the_invoices_of_its_periods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a ledger: one file that needs no other, with every invoice of the periods inside and their sum."""
    ledger = adjusted_ledger(tmp_path / "ledger")
    found = export(
        capsys, "html", "--ledger", str(ledger), "--period", hours(0, 4).label, "--out", str(tmp_path / "out")
    )
    page = (tmp_path / "out" / "bill.html").read_text()
    assert {each["table"]: each["rows"] for each in found["rows"]} == {"teams": 2, "billing periods": 2, "invoices": 6}
    assert len(re.findall(r"<tr><td>\d+(?: \(credit note\))?</td>", page)) == 6
    assert not re.search(r"(src|href)=|url\(|@import", page)
