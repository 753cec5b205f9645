"""The pages, one line each: what the menu calls it, its address, and who draws it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

import streamlit as st

from dashboards.pages import (
    audit,
    budgets,
    chargeback,
    drift,
    fleet,
    invoices,
    overview,
    quality,
    team,
    utilisation,
    waste,
    workloads,
)


class Entry(NamedTuple):
    """One page."""

    title: str
    path: str  # in the address; empty: the first page
    draw: Callable[[], None]


PAGES: Final = (
    Entry("Overview", "", overview.render),
    Entry("My team", "team", team.render),
    Entry("Chargeback", "chargeback", chargeback.render),
    Entry("Utilisation", "utilisation", utilisation.render),
    Entry("Waste", "waste", waste.render),
    Entry("Workloads", "workloads", workloads.render),
    Entry("Drift & forecast", "drift", drift.render),
    Entry("Fleet health", "fleet", fleet.render),
    Entry("Budgets & approvals", "budgets", budgets.render),
    Entry("Invoices", "invoices", invoices.render),
    Entry("Audit", "audit", audit.render),
    Entry("Data quality", "quality", quality.render),
)


def run() -> None:
    """Draw the menu and the page that the address names."""
    pages = [st.Page(page.draw, title=page.title, url_path=page.path, default=not page.path) for page in PAGES]
    st.navigation(pages, position="top").run()
