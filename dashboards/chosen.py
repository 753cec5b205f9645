"""The line on top of a page about a period: how fresh it is, and the selector, kept in the address."""

from __future__ import annotations

import streamlit as st

from dashboards import address, data, pieces, wording
from dashboards.periods import Choice, choices, choose
from gpuledger.accounting.periods import parse_instant
from gpuledger.zones import find_zone


def chosen_period(status: data.Document) -> Choice:
    """Draw the line and return the period that the reader, or the address, chose."""
    zone = find_zone(status["zone"])
    known = choices(parse_instant(status["first_usage"]), parse_instant(status["watermark"]), zone)
    asked = choose(st.query_params.get("period"), known, zone)
    by_slug = {choice.slug: choice for choice in (known if asked in known else [*known, asked])}
    address.seed("period", list(by_slug), asked.slug)
    left, right = st.columns([3, 1], vertical_alignment="center")
    left.html(pieces.brand(wording.instant(status["watermark"])))
    slug = right.selectbox(
        "Period", list(by_slug), format_func=lambda slug: by_slug[slug].name, label_visibility="collapsed", key="period"
    )
    chosen = by_slug[slug or asked.slug]
    address.remember("period", chosen.slug, known[0].slug)
    return chosen
