"""The Audit page: what was done and by whom, and how anybody can prove that the record was not changed."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboards import address, audit_models, data, downloads, pieces, shell

LIMIT: Final = "500"
ALL: Final = "everything"
PROOF: Final = "gpuledger audit export proof/\ngpuledger audit verify proof/ --key audit.pub --checkpoint KEPT"


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    shell.stand(status)
    as_of = f"{shell.as_of(status)}/{status['acts']}"  # reading is an act, too
    answer = data.answer("audit", {"limit": LIMIT}, as_of)
    checkpoints = len(data.answer("audit/checkpoints", {}, as_of)["rows"])
    rows = answer["rows"]
    known = rows[0]["sequence"] + 1 if rows else 0
    st.html(pieces.title(audit_models.finding(rows, known), audit_models.lead(checkpoints)))
    chosen = _filter([ALL, *sorted({row["act"] for row in rows})])
    shown = [row for row in rows if chosen in (ALL, row["act"])]
    table = audit_models.table(shown)
    st.html(pieces.table(table))
    downloads.offer(table, "audit")
    st.html(pieces.heading("Prove it", "On any machine, without this server: the files, the public key, a checkpoint"))
    st.code(PROOF, language=None)
    st.html(pieces.foot(f"The newest {int(LIMIT):,} acts; gpuledger audit list shows others."))


def _filter(acts: list[str]) -> str:
    address.seed("act", acts, ALL)
    words = {ALL: "Everything", **{name: audit_models.act(name) for name in acts[1:]}}
    chosen = st.selectbox("Show", acts, format_func=words.__getitem__, key="act") or ALL
    address.remember("act", chosen, ALL)
    return chosen
