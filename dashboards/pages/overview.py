"""The Overview page: what the fleet cost, who spent it, what was paid for and not used, what is incomplete."""

from __future__ import annotations

from typing import Final

import streamlit as st

from analytics.overview import OWNER, chargeback_frame, timeline_costs, timeline_states
from dashboards import address, charts, data, downloads, drill_models, findings, pieces, shell, view_models, wording
from dashboards.periods import Choice, earlier, grain, in_words
from dashboards.theme import NOT_A_TEAM, OTHERS, STATE_COLOURS, STATE_ORDER, Mode, team_colours
from dashboards.view_models import Answers
from gpuledger.accounting.periods import parse_instant

VIEWS: Final = {"allocation": "By what was held", "usage": "By what was used"}
BAR_KEYS: Final = (("Held idle", STATE_COLOURS["held_idle"]), ("No team", STATE_COLOURS["idle"]))
SHOWN: Final = ("team", "user", "project", "workload", "namespace", "model", "node")
DIMENSIONS: Final = {name: wording.DIMENSION_WORDS[name][0] for name in SHOWN}


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    as_of = shell.as_of(status)
    answers = _answers(chosen, status, as_of)
    currency = answers.chargeback["currency"] or ""
    model = view_models.overview(answers)
    st.html(pieces.headline(model))
    if not answers.chargeback["rows"]:
        st.html(pieces.empty("No GPU time in this period", "Choose another period above."))
        return
    mode = shell.mode()
    _who_and_waste(answers, currency, mode)
    _over_time(answers, chosen, status, as_of, mode)
    _breakdown(chosen, as_of)
    st.html(pieces.heading("What these figures leave out") + pieces.notes(model.notes))
    st.html(pieces.foot(_small_print(chosen)))


def _answers(chosen: Choice, status: data.Document, as_of: str) -> Answers:
    period = chosen.period.label
    before = earlier(chosen, parse_instant(status["watermark"]))
    compared = None
    if before and before[0].start_us >= parse_instant(status["first_usage"]):
        compared = data.answer("chargeback", {"period": before[0].label, "by": "team"}, as_of)
    return Answers(
        chargeback=data.answer("chargeback", {"period": period, "by": "team"}, as_of),
        idle=data.answer("idle_workloads", {"period": period}, as_of),
        status=status,
        spoken=in_words(chosen, parse_instant(status["watermark"])),
        adjustments=data.answer("adjustments", {"period": period}, as_of),
        before=compared,
        before_name=before[1] if before else "",
    )


def _who_and_waste(answers: Answers, currency: str, mode: Mode) -> None:
    frame = chargeback_frame(answers.chargeback)
    left, right = st.columns([11, 9], gap="large")
    with left:
        title = findings.bars_finding(frame, currency)
        keys = ((view_models.worked_words(frame), STATE_COLOURS["active"]), *BAR_KEYS)
        st.html(pieces.heading(title, "Cost of GPU time by team") + pieces.keys(keys))
        bars = view_models.team_bars(frame, answers.idle)
        st.altair_chart(charts.cost_bars(bars, currency, mode), theme=None, width="stretch", alt="Cost by team")
    with right:
        st.html(
            pieces.heading(findings.idle_finding(answers.idle, currency), "Held-idle time, the most expensive first")
            + pieces.table(view_models.idle_table(answers.idle, currency))
        )


def _over_time(answers: Answers, chosen: Choice, status: data.Document, as_of: str, mode: Mode) -> None:
    step = grain(chosen.period, parse_instant(status["watermark"]))
    timeline = data.answer("timeline", {"period": chosen.period.label, "grain": step}, as_of)
    states = timeline_states(timeline)
    frame = chargeback_frame(answers.chargeback)
    currency = answers.chargeback["currency"] or ""
    left, right = st.columns(2, gap="large")
    with left:
        present = set(states["state"].to_list())
        st.html(
            pieces.heading(findings.states_finding(answers.chargeback), f"GPU-hours per {step} by state")
            + pieces.keys(
                ((wording.state(name), STATE_COLOURS[name]) for name in STATE_ORDER if name in present), tall=True
            )
        )
        st.altair_chart(
            charts.hours_by_state(states, step, mode), theme=None, width="stretch", alt="GPU-hours by state"
        )
    with right:
        costs, labels = view_models.cost_series(timeline_costs(timeline), frame)
        owners = [wording.title(key) for key in frame.filter(frame["kind"] == OWNER)["key"].to_list()]
        known = team_colours(owners, owners) | {view_models.OTHERS: OTHERS, view_models.NOT_BILLED: NOT_A_TEAM}
        colours = {label: known[label] for label in labels}
        title = findings.costs_finding(timeline_costs(timeline), frame, currency, step)
        st.html(pieces.heading(title, f"Cost per {step} by team, {currency}") + pieces.keys(colours.items(), tall=True))
        chart = charts.cost_over_time(costs, colours, currency, step, mode)
        st.altair_chart(chart, theme=None, width="stretch", alt="Cost over time by team")


@shell.part
def _breakdown(chosen: Choice, as_of: str) -> None:
    st.html(pieces.heading("Where it went"))
    left, right = st.columns([3, 1], vertical_alignment="center")
    address.seed("by", SHOWN, "team")
    by = left.segmented_control(
        "Break down by",
        SHOWN,
        required=True,
        format_func=DIMENSIONS.__getitem__,
        label_visibility="collapsed",
        key="by",
    )
    address.seed("view", list(VIEWS), "allocation")
    view = right.selectbox(
        "View",
        list(VIEWS),
        format_func=VIEWS.__getitem__,
        label_visibility="collapsed",
        key="view",
    )
    by, view = by or "team", view or "allocation"
    address.remember("by", by, "team")
    address.remember("view", view, "allocation")
    asked = {"period": chosen.period.label, "by": by} | ({} if view == "allocation" else {"view": view})
    answer = data.answer("chargeback", asked, as_of)  # asked as the page's other parts ask: by team it is known
    leads = drill_models.leads(answer["rows"], by, period=chosen.slug) if view == "allocation" else {}
    table = view_models.breakdown(answer, by, leads)
    st.html(pieces.table(table))
    downloads.offer(table, f"costs-{chosen.slug}-by-{by}")


def _small_print(chosen: Choice) -> str:
    start, end = (wording.instant(at) for at in (chosen.period.start_us, chosen.period.end_us))
    days = "" if chosen.period.zone == "UTC" else f", by the days of {chosen.period.zone}"
    return (
        f"{start} to {end}{days}, the end excluded."
        " Capacity is every GPU the ledger knows, from the day it was first seen."
    )
