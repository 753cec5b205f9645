"""The Waste page (platform and team leads): what was paid for and did nothing, whose it is, what to do."""

from __future__ import annotations

import shlex

import streamlit as st

from analytics.waste import GRACE_HOURS, NOT_KNOWN
from dashboards import data, downloads, pieces, shell, waste_models
from dashboards.periods import in_words
from gpuledger.accounting.periods import parse_instant


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    until_us, as_of = parse_instant(status["watermark"]), shell.as_of(status)
    if chosen.period.start_us >= until_us or chosen.period.end_us <= parse_instant(status["first_usage"]):
        st.html(pieces.empty("No GPU time in this period", "Choose another period above."))
        return
    period = chosen.period.label
    asked = {"period": period, "grace": str(GRACE_HOURS), "limit": str(waste_models.MOST_ROWS)}
    answer = data.answer("waste", asked, as_of)
    title = waste_models.finding(answer, in_words(chosen, until_us))
    st.html(pieces.title(title, waste_models.lead(answer)))
    if answer["rows"]:
        st.html(pieces.heading("The dearest first", "What, whose and why; what to do; what it would have saved"))
        table = waste_models.table(answer)
        st.html(pieces.table(table))
        downloads.offer(table, f"waste-{chosen.slug}")
        with st.expander("Evidence: the dearest charges of each row"):
            for row in answer["rows"]:
                asked_for = (f"gpuledger explain {shlex.quote(name)}" for name in row["evidence"])
                st.code("\n".join(asked_for), language="bash")
    power = data.answer("idle_power", {"period": period, "limit": str(waste_models.MOST_NODES)}, as_of)
    if power["rows"]:
        st.html(pieces.heading("Power that idle boards took", "Energy of time in which nobody held them"))
        st.html(pieces.table(waste_models.power_table(power)))
    st.html(pieces.foot(f"{NOT_KNOWN} Energy has no price in the ledger."))
