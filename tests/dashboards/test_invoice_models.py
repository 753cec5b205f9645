"""The Invoices and Audit pages' words and tables, without a page."""

from __future__ import annotations

from typing import Any

from analytics.compliance.acts import ACTS
from dashboards import audit_models, invoice_models


def period(label: str, state: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "label": label, "state": state, "charge_cost": "100.004", "correction_cost": "0.00", "corrections": 0,
        "adjustments": 2, "adjustment_cost": "-1.5", "cost": "98.504", "closed_at": None, "closed_by": "",
        "exception": "", "late_until": None,
    }  # fmt: skip
    return {**fields, **changes}


def periods(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"currency": "EUR", "zone": "UTC", "rows": list(rows)}


INVOICE = {
    "number": 3, "kind": "credit_note", "period": "2026-10", "team": "", "gpu_hours": 12.5, "complete_ratio": None,
    "payable": "-2.50", "currency": "EUR",
}  # fmt: skip
CLOSED = period("2026-10", "closed", closed_at="2026-11-02T08:00:00Z", closed_by="ann", exception="agreed")


def test_what_waits_to_be_closed_comes_first() -> None:
    """Somebody has to act: the headline says so, and the sentence below says how, and until when to wait."""
    waiting = periods(CLOSED, period("2026-11", "closing"))
    assert invoice_models.finding(waiting, {"rows": []}) == "November 2026 has ended and waits to be closed"
    assert invoice_models.lead(waiting).endswith("gpuledger period close 2026-11")
    late = periods(period("2026-11", "closing", late_until="2026-12-03T00:00:00Z"))
    assert "until 3 Dec 2026" in invoice_models.lead(late)
    assert "No billing period is closed" in invoice_models.finding(periods(period("2026-11", "open")), {"rows": []})


def test_a_closed_month_says_what_it_came_to() -> None:
    """Its bill, on how many documents, and in spite of what it was closed."""
    assert (
        invoice_models.finding(periods(CLOSED), {"rows": [INVOICE]}) == "October 2026 is closed: €98.50 on 1 document"
    )
    [line] = invoice_models.period_table(periods(CLOSED)).lines
    assert line.cells == ("October 2026", "closed", "100.00", "\N{EN DASH}", "-1.50", "98.50")
    assert line.small == "closed on 2 Nov 2026, 08:00 UTC by ann, with an exception: agreed"


def test_documents_have_names() -> None:
    """The platform's own one is called that, and a credit note is no invoice."""
    [line] = invoice_models.document_table({"rows": [INVOICE]}).lines
    assert line.cells[0] == "Credit note 3 to Platform"
    assert line.cells[3:] == ("\N{EN DASH}", "-2.50 EUR")


def test_acts_are_told_in_words() -> None:
    """Known ones by name, events and new ones by what they are called; digests by their beginning."""
    row = {
        "sequence": 7, "act": "period.close", "actor": "ann", "subject": "2026-10", "at": "2026-11-02T08:00:00Z",
        "details": {"digest": "ab" * 32, "exception": "", "closed_by": "ann"},
    }  # fmt: skip
    assert audit_models.finding([row], 8) == "8 acts are on record; the last: period closed"
    [line] = audit_models.table([row]).lines
    assert line.cells == ("Period closed", "2026-10", "ann", "2 Nov 2026, 08:00 UTC")
    assert line.small == "digest abababababab…, closed by ann"
    words = [audit_models.act(name) for name in ("event.gpu_lost", "quota.change")]
    assert words == ["Event: gpu lost", "Quota: change"]
    assert set(ACTS) <= audit_models.ACT_WORDS.keys()
    assert "Nothing is signed" in audit_models.lead(0)
    assert "3 signed checkpoints" in audit_models.lead(3)
