"""The Audit page: what was done and by whom, and how anybody can prove that the record was not changed."""

from __future__ import annotations

from typing import Final

import streamlit as st

from dashboards import address, audit_models, data, downloads, pieces, shell

LIMIT: Final = "500"
ALL: Final = "everything"
DONE: Final = f"-{audit_models.READ}"  # pages read as well, and what was done would drown in that
PROOF: Final = "gpuledger audit export proof/\ngpuledger audit verify proof/ --key audit.pub --checkpoint KEPT"


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    shell.stand(status)
    as_of = f"{shell.as_of(status)}/{status['acts']}"  # reading is an act, too
    done = data.answer("audit", {"limit": LIMIT, "act": DONE}, as_of)["rows"]
    checkpoints = len(data.answer("audit/checkpoints", {}, as_of)["rows"])
    st.html(pieces.title(audit_models.finding(done, status["acts"]), audit_models.lead(checkpoints)))
    chosen = _filter([DONE, ALL, *sorted({row["act"] for row in done} | {audit_models.READ})])
    asked = {"limit": LIMIT} | ({} if chosen == ALL else {"act": chosen})
    rows = done if chosen == DONE else data.answer("audit", asked, as_of)["rows"]
    table = audit_models.table(rows)
    st.html(pieces.table(table))
    downloads.offer(table, "audit")
    st.html(pieces.heading("Prove it", "On any machine, without this server: the files, the public key, a checkpoint"))
    st.code(PROOF, language=None)
    st.html(pieces.foot(f"The newest {int(LIMIT):,} of them; gpuledger audit list shows others."))


def _filter(acts: list[str]) -> str:
    address.seed("act", acts, DONE)
    words = {DONE: "What was done", ALL: "Everything, with who read what"}
    chosen = st.selectbox("Show", acts, format_func=lambda name: words.get(name) or audit_models.act(name), key="act")
    chosen = chosen or DONE
    address.remember("act", chosen, DONE)
    return chosen
