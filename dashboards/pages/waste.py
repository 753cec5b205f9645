"""The Waste page (platform and team leads): what was paid for and did nothing, whose it is, what to do."""

from __future__ import annotations

import shlex

import streamlit as st

from analytics.waste import GRACE_HOURS, NOT_KNOWN, idle_power, waste
from dashboards import data, downloads, pieces, shell, waste_models
from dashboards.bill_lines import bill_lines
from dashboards.periods import in_words
from gpuledger.accounting.periods import parse_instant


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    until_us, as_of = parse_instant(status["watermark"]), shell.as_of(status)
    lines = bill_lines(chosen.period, until_us, as_of)
    if lines.is_empty():
        st.html(pieces.empty("No GPU time in this period", "Choose another period above."))
        return
    currency = data.answer("idle", {"period": chosen.period.label}, as_of)["currency"] or ""
    frame, power = waste(lines), idle_power(lines)
    title = waste_models.finding(frame, currency, in_words(chosen, until_us))
    st.html(pieces.title(title, waste_models.lead(frame, GRACE_HOURS)))
    if not frame.is_empty():
        st.html(pieces.heading("The dearest first", "What, whose and why; what to do; what it would have saved"))
        table = waste_models.table(frame, currency)
        st.html(pieces.table(table))
        downloads.offer(table, f"waste-{chosen.slug}")
        with st.expander("Evidence: the dearest charges of each row"):
            for row in frame.head(waste_models.MOST_ROWS).iter_rows(named=True):
                asked = (f"gpuledger explain {shlex.quote(name)}" for name in row["evidence"])
                st.code("\n".join(asked), language="bash")
    if not power.is_empty():
        st.html(pieces.heading("Power that idle boards took", "Energy of time in which nobody held them"))
        st.html(pieces.table(waste_models.power_table(power)))
    st.html(pieces.foot(f"{NOT_KNOWN} Energy has no price in the ledger."))
