"""Invoices in FOCUS: the Invoice Detail dataset, one record a line of an invoice, and which line a charge is on.

The cost of a record is what the invoice makes payable, in whole cents; `x_ExactCost` is what its charges sum to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import polars as pl

from analytics.reports.focus_columns import INVOICE_DETAIL
from analytics.reports.focus_names import account_id, sub_account_id
from analytics.reports.focus_periods import BillingPeriod, Document, Issuer, second
from gpuledger.accounting.adjustments import FAULT_CREDIT, FREE_TIER
from gpuledger.accounting.periods import parse_instant

LINE_KEY: Final = (
    "organisation", "department", "team", "corrects", "project", "model", "mig_profile", "state_name",
)  # fmt: skip
HOURLY: Final = ("charge", "correction")  # lines that are sums of hours of devices
_CREDITS: Final = (FAULT_CREDIT, FREE_TIER)
_OWNER: Final = ("organisation", "department", "team")


def invoice_id(number: int) -> str:
    """Return the name of an invoice: with letters, so that nothing takes it for a quantity."""
    return f"INV-{number}"


def invoices_of(period: BillingPeriod, listing: Document) -> list[int]:
    """Return the numbers of a period's invoices, from the answer that lists all of them."""
    return [row["number"] for row in listing["rows"] if period.closed and row["period"] == period.label]


def line_keys(documents: Sequence[Document]) -> pl.DataFrame:
    """Return by what a charge finds its line: owner, what it corrects, project, model, profile and state."""
    rows = [
        {**_owner(document), **_charged(line), **_ids(document, line)}
        for document, line in _lines(documents)
        if line["kind"] in HOURLY
    ]
    return pl.DataFrame(rows, schema={**dict.fromkeys(LINE_KEY, pl.String()), **_ID_TYPES})


def invoice_detail_rows(
    documents: Sequence[Document], listing: Document, period: BillingPeriod, issuer: Issuer
) -> pl.DataFrame:
    """Return the Invoice Detail records of a closed period, from its invoices and the list of all of them."""
    rows = [_record(document, line, listing, period, issuer) for document, line in _lines(documents)]
    return pl.DataFrame(rows, schema=dict.fromkeys(INVOICE_DETAIL, pl.String()))


def line_ids(documents: Sequence[Document]) -> list[tuple[Document, dict[str, str]]]:
    """Return every line of invoices, with its owner, and the FOCUS names of its invoice and itself."""
    return [({**line, **_owner(head)}, _ids(head, line)) for head, line in _lines(documents)]


def charge_category(line: Document) -> str:
    """Return what FOCUS calls a line: credits are what an owner gets, who bears them has an adjustment."""
    if line["kind"] in HOURLY:
        return "Usage"
    return "Credit" if line["kind"] in _CREDITS and line["team"] else "Adjustment"


_ID_TYPES: Final = {"InvoiceId": pl.String(), "InvoiceDetailId": pl.String()}


def _lines(documents: Sequence[Document]) -> Iterator[tuple[Document, Document]]:
    for document in documents:
        for line in document["rows"]:
            yield document["invoice"], line


def _owner(head: Document) -> dict[str, str]:
    return {name: head[name] for name in _OWNER}


def _charged(line: Document) -> dict[str, str]:
    names = ("corrects", "project", "model", "mig_profile")
    return {**{name: line[name] for name in names}, "state_name": line["state"]}


def _ids(head: Document, line: Document) -> dict[str, str]:
    name = invoice_id(head["number"])
    return {"InvoiceId": name, "InvoiceDetailId": f"{name}-{line['line']}"}


def _record(
    head: Document, line: Document, listing: Document, period: BillingPeriod, issuer: Issuer
) -> dict[str, str | None]:
    issued = second(parse_instant(head["issued_at"]))
    return {
        **_ids(head, line),
        "BilledCost": line["payable"],
        "BillingAccountId": account_id(head["organisation"], issuer.account),
        "BillingCurrency": head["currency"],
        "BillingPeriodEnd": second(period.to_us),
        "BillingPeriodStart": second(period.from_us),
        "ChargeCategory": charge_category({**line, **_owner(head)}),
        "InvoiceDetailCreated": issued,
        "InvoiceDetailDescription": _words(line),
        "InvoiceDetailGrain": msgspec.json.encode(_grain(head, line)).decode(),
        "InvoiceDetailLastUpdated": issued,
        "InvoiceIssueDate": issued,
        "InvoiceIssueStatus": "Issued",
        "InvoiceIssuerName": issuer.name,
        "PaymentTerms": issuer.terms,
        "ReferenceInvoiceId": invoice_id(_corrected(head, line, listing)),
        "x_ExactCost": line["cost"],
        "x_GpuHours": f"{Decimal(str(line['gpu_hours'])):f}",
    }


def _grain(head: Document, line: Document) -> dict[str, Any]:
    """Return what tells this line apart from the others of its invoice."""
    ours = {
        "x_Model": line["model"],
        "x_MigProfile": line["mig_profile"],
        "x_Project": line["project"],
        "x_State": line["state"],
        "x_CorrectsPeriod": line["corrects"],
        "x_AdjustmentKind": "" if line["kind"] in HOURLY else line["kind"],
        "x_AdjustmentReason": line["because"],
    }
    sub_account = sub_account_id(*(head[name] for name in _OWNER))
    return {"SubAccountId": sub_account, **{name: value for name, value in ours.items() if value}}


def _corrected(head: Document, line: Document, listing: Document) -> int:
    """Return the invoice that a correction corrects; this one where it corrects none, or where the owner had none."""
    number: int = head["number"]
    same: list[int] = [
        row["number"]
        for row in listing["rows"]
        if line["corrects"] and row["period"] == line["corrects"] and _owner(row) == _owner(head)
    ]
    return same[0] if same else number


def _words(line: Mapping[str, Any]) -> str:
    if line["because"]:
        return str(line["because"])
    what = f"{line['model']} {line['mig_profile']}".strip()
    words = f"{what}: {line['state'].replace('_', ' ')}"
    return f"{words}, correction of {line['corrects']}" if line["corrects"] else words
