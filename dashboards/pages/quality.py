"""The Data quality page: what the figures leave out, which agents are behind, and what to do about each."""

from __future__ import annotations

import streamlit as st

from analytics.overview import chargeback_frame
from dashboards import data, pieces, quality_models, shell
from dashboards.notes import notes


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    answer = data.answer("chargeback", {"period": chosen.period.label, "by": "team"}, shell.as_of(status))
    found = notes(chargeback_frame(answer), answer, status)
    late = quality_models.behind(status)
    lead = "Time and costs are of the chosen period; agents and refused batches are of the whole ledger."
    st.html(pieces.title(quality_models.finding(found, len(late)), lead))
    st.html(pieces.heading("What the figures leave out", "The gravest first") + pieces.notes(found))
    if late:
        below = "Over 15 minutes older than the newest data. On the node: is the agent up, does it reach the collector?"
        st.html(pieces.heading(f"{len(late):,} of {len(status['agents']):,} agents are behind", below))
        st.html(pieces.table(quality_models.agent_table(status)))
    else:
        st.html(pieces.heading(f"No agent is behind, of {len(status['agents']):,}"))
    st.html(pieces.foot("An agent is behind when its data ends more than 15 minutes before the ledger's newest."))
