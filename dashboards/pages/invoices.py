"""The Invoices page (finance): what is closed and billed, what waits, and each document as it prints."""

from __future__ import annotations

import streamlit as st

from analytics.invoices import invoice_html
from dashboards import address, data, downloads, invoice_models, pieces, shell

SHEET_HEIGHT = 900


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    shell.stand(status)
    as_of = shell.as_of(status)
    periods = data.answer("periods", {}, as_of)
    invoices = data.answer("invoices", {}, as_of)
    st.html(pieces.title(invoice_models.finding(periods, invoices), invoice_models.lead(periods)))
    st.html(pieces.heading("Billing periods", f"By the days of {periods['zone']}"))
    st.html(pieces.table(invoice_models.period_table(periods)))
    if not invoices["rows"]:
        st.html(pieces.foot("Closing a period makes its invoices: gpuledger period close 2026-10 --by NAME"))
        return
    st.html(pieces.heading("Invoices and credit notes", "Numbers have no gaps; all of a period sum to its bill"))
    table = invoice_models.document_table(invoices)
    st.html(pieces.table(table))
    downloads.offer(table, "invoices")
    _sheet(invoices, as_of)
    st.html(pieces.foot("Payable amounts are whole cents; the exact ones stand on each document."))


def _sheet(invoices: data.Document, as_of: str) -> None:
    """Show one document as it prints, and give it to take away."""
    by_number = {str(row["number"]): row for row in reversed(invoices["rows"])}
    newest = next(iter(by_number))
    address.seed("invoice", list(by_number), newest)
    number = st.selectbox(
        "Show",
        list(by_number),
        format_func=lambda number: f"{invoice_models.name(by_number[number])}, {by_number[number]['period']}",
        key="invoice",
    )
    number = number or newest
    address.remember("invoice", number, newest)
    page = invoice_html(data.answer("invoice", {"number": number}, as_of))
    st.download_button("Download", page, f"invoice-{number}.html", "text/html")
    st.iframe(page, height=SHEET_HEIGHT, alt=f"Document {number} as it prints")
