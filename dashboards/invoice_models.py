"""What the Invoices page shows: billing periods and documents as tables and sentences. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from analytics.words import PLATFORM
from dashboards import wording
from dashboards.view_models import Line, Table

Document = Mapping[str, Any]
STANDING: Final = {"open": "open, provisional", "closing": "ended, waits to be closed", "closed": "closed"}


def finding(periods: Document, invoices: Document) -> str:
    """Return the headline: what was billed last, or what waits to be closed."""
    waiting = [row for row in periods["rows"] if row["state"] == "closing"]
    closed = [row for row in periods["rows"] if row["state"] == "closed"]
    if waiting:
        return f"{wording.month_name(waiting[0]['label'])} has ended and waits to be closed"
    if not closed:
        return "No billing period is closed yet"
    last = closed[-1]
    count = sum(row["period"] == last["label"] for row in invoices["rows"])
    amount = wording.money_short(Decimal(last["cost"] or 0), periods["currency"])
    documents = "document" if count == 1 else "documents"
    return f"{wording.month_name(last['label'])} is closed: {amount} on {count:,} {documents}"


def lead(periods: Document) -> str:
    """Return the sentence below it: what to do, or what closing means."""
    waiting = [row for row in periods["rows"] if row["state"] == "closing"]
    if not waiting:
        return "A closed period never changes; what is learned later becomes corrections on the next bill."
    late = waiting[0]["late_until"]
    command = f"gpuledger period close {waiting[0]['label']}"
    return (
        f"Late data is waited for until {wording.instant(late)}; then: {command}" if late else f"Next step: {command}"
    )


def period_table(periods: Document) -> Table:
    """Return billing periods, the newest first: what each is made of."""
    lines = [
        Line(
            "owner" if row["state"] == "closed" else "aside",
            (
                wording.month_name(row["label"]),
                STANDING[row["state"]],
                _amount(row["charge_cost"]),
                _amount(row["correction_cost"]) if row["corrections"] else wording.UNKNOWN,
                _amount(row["adjustment_cost"]) if row["adjustments"] else wording.UNKNOWN,
                _amount(row["cost"]),
            ),
            _closed(row),
        )
        for row in reversed(periods["rows"])
    ]
    currency = periods["currency"]
    return Table(("Period", "State", f"Charges, {currency}", "Corrections", "Adjustments", "Bill"), tuple(lines), 2)


def document_table(invoices: Document) -> Table:
    """Return invoices and credit notes, the newest first."""
    lines = [
        Line(
            "owner" if row["team"] else "aside",
            (
                name(row),
                wording.month_name(row["period"]),
                wording.hours(row["gpu_hours"]),
                wording.UNKNOWN if row["complete_ratio"] is None else wording.share(row["complete_ratio"], 1),
                f"{Decimal(row['payable']):,} {row['currency']}",
            ),
        )
        for row in reversed(invoices["rows"])
    ]
    return Table(("Document", "Period", "GPU-hours", "Observed", "Payable"), tuple(lines), 2)


def name(row: Document) -> str:
    """Return what people call a document: `Invoice 3 to Vision`."""
    return f"{row['kind'].replace('_', ' ').capitalize()} {row['number']} to {wording.title(row['team']) or PLATFORM}"


def _closed(row: Document) -> str:
    if not row["closed_at"]:
        return ""
    words = f"closed on {wording.instant(row['closed_at'])} by {row['closed_by']}"
    return f"{words}, with an exception: {row['exception']}" if row["exception"] else words


def _amount(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text):,.2f}"
