"""The My team page (team lead): what we spent, on what, what of it did nothing, and what to do about it."""

from __future__ import annotations

from typing import Final

import polars as pl
import streamlit as st

from analytics.overview import OWNER, timeline_costs
from dashboards import address, charts, data, downloads, drill_models, links, pieces, shell, team_models, wording
from dashboards.periods import Choice, earlier, grain, in_words
from dashboards.theme import team_colours
from gpuledger.accounting.periods import parse_instant
from gpuledger.within import OWNER as OWNED
from gpuledger.within import Within

BY: Final = ("workload", "user", "project", "model")
ROWS: Final = 12


def render() -> None:
    """Draw the page, or what to do where it has nothing to show."""
    shell.draw(_page)


def _page(status: data.Document) -> None:
    chosen = shell.choose_period(status)
    until_us, as_of = parse_instant(status["watermark"]), shell.as_of(status)
    whole = data.answer("chargeback", {"period": chosen.period.label, "by": "team"}, as_of)
    teams = [row["key"] for row in whole["rows"] if row["kind"] == OWNER]
    if not teams:
        st.html(
            pieces.empty(
                "No team held a GPU in this period",
                "Owner rules say whose namespaces, accounts and users are: import some, or choose another period.",
                command="gpuledger owner import FILE",
            )
        )
        return
    team = _choose(teams)
    part = _part(team, "workload", chosen.period.label, as_of)
    within = str(Within(OWNED, (None, None, team)))
    idle = data.answer("idle_workloads", {"period": chosen.period.label, "within": within}, as_of)
    wasted = team_models.idle_of(idle, team)
    before, before_name = _before(team, chosen, status, as_of)
    st.html(
        pieces.title(
            team_models.finding(team, part, wasted, in_words(chosen, until_us)),
            team_models.lead(part, whole, before, before_name),
        )
        + pieces.kpis(team_models.kpis(part, wasted))
    )
    if not part["groups"]:
        st.html(pieces.empty("Nothing to show for this team", "Choose another team or another period above."))
        return
    left, right = st.columns(2, gap="large")
    with left:
        _over_time(team, teams, chosen, until_us, as_of)
    with right:
        currency = part["currency"] or ""
        st.html(
            pieces.heading(team_models.advice_finding(wasted, currency), "What to do, the dearest first")
            + pieces.table(team_models.advice_table(wasted, currency))
        )
    _on_what(team, chosen, as_of)
    st.html(pieces.foot("Cost by what was held, before adjustments; a workload's name leads to its charges."))


def _choose(teams: list[str]) -> str:
    asked = st.session_state.get("team") or st.query_params.get("team")
    known = teams if asked is None or asked in teams else [*teams, asked]
    address.seed("team", known, teams[0])
    box, _ = st.columns([1, 2])
    team = box.selectbox("Team", known, format_func=lambda key: wording.title(key) or key, key="team") or teams[0]
    address.remember("team", team, teams[0])
    return team


def _part(team: str, by: str, period: str, as_of: str) -> data.Document:
    within = str(Within(OWNED, (None, None, team)))
    asked = {"period": period, "by": by, "within": within, "limit": str(ROWS)}
    return data.answer("chargeback", asked, as_of)


def _before(team: str, chosen: Choice, status: data.Document, as_of: str) -> tuple[data.Document | None, str]:
    """Return what the team spent in the time before that is fair to compare with, where the ledger has it."""
    before = earlier(chosen, parse_instant(status["watermark"]))
    if not before or before[0].start_us < parse_instant(status["first_usage"]):
        return None, ""
    return _part(team, "workload", before[0].label, as_of), before[1]


def _over_time(team: str, teams: list[str], chosen: Choice, until_us: int, as_of: str) -> None:
    step = grain(chosen.period, until_us)
    timeline = data.answer("timeline", {"period": chosen.period.label, "grain": step}, as_of)
    name = wording.title(team)
    costs = timeline_costs(timeline).filter(pl.col("key") == team).with_columns(pl.lit(name).alias("label"))
    colours = {name: team_colours([wording.title(each) for each in teams])[name]}
    st.html(pieces.heading("What it cost over time", f"Cost per {step}, {timeline['currency'] or 'without prices'}"))
    chart = charts.cost_over_time(costs, colours, timeline["currency"] or "", step, shell.mode())
    st.altair_chart(chart, theme=None, width="stretch", alt=f"Cost of {name} over time")


@shell.part
def _on_what(team: str, chosen: Choice, as_of: str) -> None:
    st.html(pieces.heading("What it was spent on"))
    address.seed("on", BY, BY[0])
    by = st.segmented_control(
        "By",
        BY,
        required=True,
        format_func=lambda name: wording.DIMENSION_WORDS[name][1],
        label_visibility="collapsed",
        key="on",
    )
    by = by or BY[0]
    address.remember("on", by, BY[0])
    answer = _part(team, by, chosen.period.label, as_of)
    within = Within(OWNED, (None, None, team))
    table = drill_models.parts_table(answer, within, by, period=chosen.slug)
    left_out = answer["groups"] - len(answer["rows"])
    if left_out > 0 and by in drill_models.levels_below(within):
        everything = links.link("chargeback", period=chosen.slug, within=str(within), level=by)
        words = f"All {answer['groups']:,} {wording.DIMENSION_WORDS[by][1].lower()}"
        st.html(pieces.table(table) + pieces.more(words, everything))
    else:
        st.html(pieces.table(table._replace(left_out=max(0, left_out))))
    downloads.offer(table, f"{team}-{chosen.slug}-by-{by}")
