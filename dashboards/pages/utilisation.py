"""The Utilisation page (platform lead): when GPUs are held and work, over the week, over time, and by whom and what."""

from __future__ import annotations

from typing import Final

import streamlit as st

from analytics.overview import timeline_states
from dashboards import (
    address,
    charts,
    data,
    downloads,
    fragmentation_models,
    heat,
    pieces,
    shell,
    utilisation_models,
    wording,
)
from dashboards.fragmentation_lines import fitted
from dashboards.periods import Choice, grain, in_words
from dashboards.theme import STATE_COLOURS, STATE_ORDER
from gpuledger.accounting.periods import parse_instant

BY: Final = ("model", "node", "team")


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    until_us, as_of = parse_instant(status["watermark"]), shell.as_of(status)
    period = chosen.period.label
    whole = data.answer("utilization", {"period": period, "by": "model"}, as_of)
    if not whole["rows"]:
        st.html(pieces.empty("No GPU time in this period", "Choose another period above."))
        return
    total = whole["total"]
    st.html(pieces.title(utilisation_models.finding(total, in_words(chosen, until_us)), utilisation_models.lead(total)))
    mode = shell.mode()
    by_model = data.answer("week", {"period": period, "by": "model"}, as_of)
    keys = ["", *sorted({row["key"] for row in by_model["rows"]})]
    address.seed("heat", keys, "")
    heading, chooser = st.columns([3, 1], vertical_alignment="bottom")
    key = chooser.selectbox("GPU model", keys, format_func=lambda name: name or "All GPU models", key="heat") or ""
    address.remember("heat", key, "")
    week = utilisation_models.week(by_model, key)
    note = f"Share of the observed time that was held, by hour of the week in {status['zone']}; empty: not observed"
    heading.html(pieces.heading(utilisation_models.week_finding(week), note))
    st.altair_chart(heat.week(week, mode), theme=None, width="stretch", alt="Share held by hour of the week")
    step = grain(chosen.period, until_us)
    states = timeline_states(data.answer("timeline", {"period": period, "grain": step}, as_of))
    present = set(states["state"].to_list())
    marks = ((wording.state(name), STATE_COLOURS[name]) for name in STATE_ORDER if name in present)
    st.html(pieces.heading("What the time was spent as", f"GPU-hours per {step} by state") + pieces.keys(marks))
    st.altair_chart(charts.hours_by_state(states, step, mode), theme=None, width="stretch", alt="GPU-hours by state")
    _by(chosen, as_of)
    _fitted(chosen, until_us, as_of)
    st.html(pieces.foot(utilisation_models.SMALL_PRINT))


@shell.part
def _fitted(chosen: Choice, until_us: int, as_of: str) -> None:
    st.html(pieces.heading("Would a request have fitted?", fragmentation_models.NOTE))
    if st.toggle("Work it out from every hour of every GPU", key="fitted"):
        requests = fitted(chosen.period, until_us, as_of)
        finding = pieces.heading(fragmentation_models.finding(requests))
        st.html(finding + pieces.table(fragmentation_models.table(requests)))


@shell.part
def _by(chosen: Choice, as_of: str) -> None:
    st.html(pieces.heading("By model, node and team"))
    address.seed("by", BY, BY[0])
    by = st.segmented_control(
        "By",
        BY,
        required=True,
        format_func=lambda name: wording.DIMENSION_WORDS[name][0],
        label_visibility="collapsed",
        key="by",
    )
    by = by or BY[0]
    address.remember("by", by, BY[0])
    answer = data.answer("utilization", {"period": chosen.period.label, "by": by}, as_of)
    table = utilisation_models.table(answer, by)
    st.html(pieces.table(table))
    downloads.offer(table, f"utilisation-{chosen.slug}-by-{by}")
