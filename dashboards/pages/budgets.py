"""The Budgets & approvals page (leads and finance): budgets, quotas, what waits for whom, and what was decided."""

from __future__ import annotations

import streamlit as st

from dashboards import budget_models, budget_outlook, data, downloads, pieces, quota_models, shell, wording
from dashboards.notes import Note


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    shell.stand(status)
    as_of = shell.as_of(status)
    budgets, requests = data.answer("budgets", {}, as_of), data.answer("approvals", {}, as_of)["rows"]
    rows, waiting = budgets["rows"], budget_models.waiting_table(requests)
    words = budget_models.lead(rows, len(waiting.lines), budgets["forecast_by"])
    st.html(pieces.title(budget_models.finding(rows), words))
    if rows:
        st.html(pieces.heading("Budgets of the running periods", "The fullest first"))
        ranked = budget_models.fullest_first(rows)
        found = budget_outlook.outlooks(status, ranked, as_of)
        table = budget_models.budget_table(ranked, found)
        st.html(pieces.table(table))
        downloads.offer(table, "budgets")
        st.html(pieces.foot(budget_models.FORECASTS))
        st.html(pieces.notes(Note(owner, words) for owner, words in budget_models.notes_of(rows)))
    else:
        st.html(pieces.notes([Note("0", "A file says how much an owner may spend.", "gpuledger budget import FILE")]))
    _quotas(data.answer("quotas/status", {}, as_of))
    if waiting.lines:
        st.html(pieces.heading(f"Waiting for a decision: {len(waiting.lines):,}", "What expires first on top"))
        st.html(pieces.table(waiting))
        st.code("gpuledger approval approve NUMBER\ngpuledger approval deny NUMBER --why WHY", language="bash")
    decided = budget_models.decided_table(requests)
    if decided.lines:
        st.html(pieces.heading("Decided", "What became of earlier requests, the newest first"))
        st.html(pieces.table(decided))
    st.html(pieces.foot("Ask with gpuledger approval request; each step is in the audit log."))


def _quotas(answer: data.Document) -> None:
    """Draw where quotas stand; nothing where nobody has one."""
    if not answer["rows"]:
        return
    heard = f"GPUs held as devices reported until {wording.instant(answer['as_of'])}" if answer["as_of"] else ""
    st.html(pieces.heading("Quotas: what each owner may hold and use", heard))
    table = quota_models.quota_table(answer["rows"])
    st.html(pieces.table(table))
    downloads.offer(table, "quotas")
    st.html(pieces.notes(Note(owner, words) for owner, words in quota_models.notes_of(answer)))
