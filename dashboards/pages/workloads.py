"""The Workloads page (whoever runs models): what a run, a step or an endpoint cost, and what an hour of it costs."""

from __future__ import annotations

import streamlit as st

from dashboards import address, data, downloads, links, pieces, shell, wording, workload_models
from dashboards.periods import in_words
from gpuledger.accounting.periods import parse_instant


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    as_of = shell.as_of(status)
    page = {"period": chosen.period.label, "limit": str(links.PAGE_ROWS), "offset": "0"}
    whole = data.answer("workloads", page, as_of)
    spoken = in_words(chosen, parse_instant(status["watermark"]))
    st.html(pieces.title(workload_models.finding(whole, spoken), workload_models.lead(whole) if whole["rows"] else ""))
    if not whole["rows"]:
        st.html(pieces.empty("No workload held a GPU in this period", "Choose another period above."))
        return
    if len(whole["systems"]) > 1:
        st.html(pieces.heading("By the tool that started them") + pieces.table(workload_models.system_table(whole)))
    system = _choose([row["system"] or workload_models.NOT_RECOGNISED for row in whole["systems"]])
    first = links.first_row(st.query_params.get("first"))
    asked = page | {"offset": str(first)}
    if system != workload_models.EVERY:
        asked["system"] = "" if system == workload_models.NOT_RECOGNISED else system
    answer = data.answer("workloads", asked, as_of)
    below = "Cost an hour is of the hours in which it ran, with all its GPUs; each name leads to its charges"
    st.html(pieces.heading("The dearest first", below))
    table = workload_models.table(answer, chosen.slug)
    st.html(pieces.table(table))
    count, shown = answer["count"], len(answer["rows"])
    if count > shown:
        kept = {"period": chosen.slug, "system": "" if system == workload_models.EVERY else system}
        before, after = links.beside("workloads", first, count, **kept)
        st.html(pieces.pager(f"{links.rows_shown(first, shown, count)} workloads", before, after))
    downloads.offer(table, f"workloads-{chosen.slug}")
    st.html(
        pieces.foot(
            "Pods, steps and replicas of one name, user and owner are one workload. A tool is recognised by labels,"
            " environment and process of what holds the GPU."
        )
    )


def _choose(systems: list[str]) -> str:
    known = [workload_models.EVERY, *systems]
    words = {workload_models.EVERY: "All tools", workload_models.NOT_RECOGNISED: wording.system("")}
    address.seed("system", known, workload_models.EVERY)
    box, _ = st.columns([1, 2])
    system = box.selectbox(
        "Started by",
        known,
        format_func=lambda name: words.get(name) or wording.system(name),
        key="system",
        on_change=address.forget,
        args=("first",),
    )
    system = system or workload_models.EVERY
    address.remember("system", system, workload_models.EVERY)
    return system
