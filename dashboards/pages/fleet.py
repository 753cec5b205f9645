"""The Fleet health page (operator): which GPUs had faults, which agents deliver, and how much of the time was seen."""

from __future__ import annotations

from typing import Final

import streamlit as st

from analytics.overview import timeline_states
from dashboards import charts, data, downloads, fleet_models, pieces, quality_models, shell, wording
from dashboards.device_names import device_names
from dashboards.periods import grain, in_words
from dashboards.theme import STATE_COLOURS
from gpuledger.accounting.periods import parse_instant

MOST_EVENTS: Final = 5_000
UNWELL: Final = ("unavailable", "unobserved")


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    until_us, as_of = parse_instant(status["watermark"]), shell.as_of(status)
    period = chosen.period.label
    devices = data.answer("devices", {}, as_of)
    events = data.answer("events", {"period": period, "limit": str(MOST_EVENTS)}, as_of)
    by_node = data.answer("utilization", {"period": period, "by": "node"}, as_of)
    found, late = fleet_models.faults(events), len(quality_models.behind(status))
    title = fleet_models.finding(devices, found, late, len(status["agents"]), in_words(chosen, until_us))
    st.html(
        pieces.title(title, f"Data reaches to {wording.instant(status['watermark'])}.")
        + pieces.kpis(fleet_models.kpis(by_node, status, devices))
    )
    names = device_names(devices["rows"])
    if found:
        below = "Errors, and warnings in grey, the newest first; actions are those of NVIDIA's XID catalogue"
        faults = fleet_models.fault_table(found, names)
        st.html(pieces.heading(f"{len(found):,} faults were reported", below) + pieces.table(faults))
        downloads.offer(faults, f"faults-{chosen.slug}")
        if events["more"]:
            st.html(pieces.foot(f"Of the newest {MOST_EVENTS:,} events alone: choose a shorter period for all."))
    else:
        st.html(pieces.heading("No fault was reported", "No XID, no lost GPU, no reset in this period"))
    _over_time(period, as_of, grain(chosen.period, until_us))
    nodes = fleet_models.node_table(by_node, status, devices)
    st.html(pieces.heading("Nodes and their agents", "Those that were seen least come first") + pieces.table(nodes))
    downloads.offer(nodes, f"nodes-{chosen.slug}")
    st.html(pieces.foot("Seen: the share of device time that an agent or a job log accounts for."))


def _over_time(period: str, as_of: str, step: charts.Step) -> None:
    states = timeline_states(data.answer("timeline", {"period": period, "grain": step}, as_of))
    unwell = fleet_models.unwell(states, UNWELL)
    if unwell.is_empty():
        st.html(pieces.heading("Every GPU was in service and seen, all the time"))
        return
    present = [name for name in UNWELL if name in set(unwell["state"].to_list())]
    marks = ((wording.state(name), STATE_COLOURS[name]) for name in present)
    st.html(pieces.heading("When GPUs were out of service or unseen", f"GPU-hours per {step}") + pieces.keys(marks))
    st.altair_chart(
        charts.hours_by_state(unwell, step, shell.mode()), theme=None, width="stretch", alt="GPU-hours not in service"
    )
