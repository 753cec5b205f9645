"""The Chargeback page (finance): who is charged what, by any dimension, in both views, and why they differ."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboards import address, chargeback_models, data, downloads, drill_models, pieces, shell, view_models, wording
from dashboards.device_names import device_names
from dashboards.pages import drilldown
from dashboards.periods import Choice, in_words
from gpuledger.accounting.periods import parse_instant
from gpuledger.rows import csv_bytes, flat_rows, with_context

VIEWS: Final = {"allocation": "By what was held", "usage": "By what was used"}
DIMENSIONS: Final = {name: words[0] for name, words in wording.DIMENSION_WORDS.items()}


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    as_of = shell.as_of(status)
    period = chosen.period.label
    spoken = in_words(chosen, parse_instant(status["watermark"]))
    within = drilldown.asked()
    if within is not None:
        drilldown.draw(within, chosen, spoken, as_of)
        return
    whole = data.answer("chargeback", {"period": period, "by": "team"}, as_of)
    st.html(pieces.title(chargeback_models.finding(whole, spoken), chargeback_models.lead(whole)))
    if not whole["rows"]:
        st.html(pieces.empty("No GPU time in this period", "Choose another period above."))
        return
    _charged(chosen, as_of)
    gap = data.answer("gap", {"period": period}, as_of)
    st.html(pieces.heading("Why what was held costs more than what was used", "By team; the causes sum to the gap"))
    table = chargeback_models.gap_table(gap)
    st.html(pieces.table(table))
    downloads.offer(table, f"gap-{chosen.slug}")
    adjustments = data.answer("adjustments", {"period": period}, as_of)
    if adjustments["rows"]:
        below = "Of billing periods that lie in this one; grey lines are what an open bill would have"
        st.html(pieces.heading("On bills beside charges", below))
        st.html(pieces.table(chargeback_models.adjustment_table(adjustments)))
    st.html(pieces.foot("Both views have the same total. A name leads down to workloads, charges and their evidence."))


def _named(answer: data.Document, as_of: str) -> data.Document:
    """Return an answer by device with what people call devices in the place of their keys."""
    names = device_names(data.answer("devices", {}, as_of)["rows"])
    return {**answer, "rows": [{**row, "key": names.get(row["key"], row["key"])} for row in answer["rows"]]}


def _charged(chosen: Choice, as_of: str) -> None:
    """Show charges by what the reader chooses, and give them to take away."""
    left, middle, right = st.columns([3, 3, 1], vertical_alignment="bottom")
    address.seed("by", list(DIMENSIONS), "team")
    by = left.selectbox("By", list(DIMENSIONS), format_func=DIMENSIONS.__getitem__, key="by") or "team"
    address.remember("by", by, "team")
    address.seed("view", list(VIEWS), "allocation")
    view = middle.selectbox("View", list(VIEWS), format_func=VIEWS.__getitem__, key="view") or "allocation"
    address.remember("view", view, "allocation")
    answer = data.answer("chargeback", {"period": chosen.period.label, "by": by, "view": view}, as_of)
    columns, rows = flat_rows(with_context(answer, answer["rows"]))
    name = f"chargeback-{chosen.slug}-by-{by}.csv"
    right.download_button("All as CSV", lambda: csv_bytes(columns, rows), name, "text/csv", width="stretch")
    if by == "device":
        answer = _named(answer, as_of)
    leads = drill_models.leads(answer["rows"], by, period=chosen.slug) if view == "allocation" else {}
    table = view_models.breakdown(answer, by, leads)
    st.html(pieces.table(table))
