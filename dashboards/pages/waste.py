"""The Waste page (platform and team leads): what was paid for and did nothing, whose it is, what to do."""

from __future__ import annotations

import shlex

import streamlit as st

from analytics.over_asked import over_asked
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
    rows, count, currency = answer["rows"], answer["count"], answer["currency"] or ""
    if st.toggle("With advice: work that fewer, smaller or cheaper GPUs would do", key="advice"):
        holdings = data.answer("holdings", {"period": period}, as_of)
        advice = over_asked(holdings["rows"], holdings["kinds"])
        st.html(pieces.heading(waste_models.more(advice, currency)))
        rows, count = waste_models.in_one_list(answer, advice), count + advice.height
    if rows:
        st.html(pieces.heading("The dearest first", "What, whose and why; what to do; what it would have saved"))
        table = waste_models.table(rows, count, currency)
        st.html(pieces.table(table))
        downloads.offer(table, f"waste-{chosen.slug}")
        with st.expander("Evidence: the dearest charges of each row"):
            for row in rows:
                asked_for = (f"gpuledger explain {shlex.quote(name)}" for name in row["evidence"])
                st.code("\n".join(asked_for), language="bash")
    followed = waste_models.advice_table(data.answer("advice", {}, as_of))
    if followed.lines:
        st.html(pieces.heading("What earlier advice saved", "Waste in as long a time after, at the prices of before"))
        st.html(pieces.table(followed))
    power = data.answer("idle_power", {"period": period, "limit": str(waste_models.MOST_NODES)}, as_of)
    if power["rows"]:
        st.html(pieces.heading("Power that idle boards took", "Energy of time in which nobody held them"))
        st.html(pieces.table(waste_models.power_table(power)))
    st.html(pieces.foot(f"{NOT_KNOWN} Energy has no price in the ledger."))
