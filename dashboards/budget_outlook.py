"""Reads where budgets land by the weeks before: daily series of teams, and the forecast of each budget's owner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import streamlit as st

from analytics.budget_outlook import Outlook, outlook, teams_of
from analytics.forecast_series import find_series, step_edges
from analytics.forecast_ways import DAY
from dashboards import data
from dashboards.sign_in import token
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import AnalysisError, DeliveryError
from gpuledger.zones import find_zone

Document = Mapping[str, Any]
LOOKBACK_DAYS: Final = 182
MOST: Final = 50  # budgets with an outlook: each is tried on its own past
FORBIDDEN: Final = 403
LEVELS: Final = 3  # of a team's path
KEPT_FOR_S: Final = 600


def outlooks(status: Document, rows: Sequence[Document], as_of: str) -> dict[int, Outlook]:
    """Return where the first budgets land, by their place among `rows`; none where too little is known of anybody."""
    if status["watermark"] is None or status["currency"] is None:
        return {}
    return _outlooks(data.collector_url(), token(), as_of, list(map(dict, rows[:MOST])), dict(status))


@st.cache_data(ttl=KEPT_FOR_S, show_spinner="Trying forecasts …", max_entries=64)
def _outlooks(
    _url: str, _bearer: str | None, as_of: str, rows: list[dict[str, Any]], _status: dict[str, Any]
) -> dict[int, Outlook]:
    until_us, zone = parse_instant(_status["watermark"]), _status["zone"]
    first_us = max(parse_instant(_status["first_usage"]), until_us - LOOKBACK_DAYS * US_PER_DAY)
    edges = step_edges(first_us, until_us, DAY, find_zone(zone))
    if len(edges) < 2:
        return {}
    label = f"{iso(int(edges[0]))}..{iso(int(edges[-1]))}"
    read = data.table("series", {"period": label, "by": "team", "grain": "day"})
    series = {each.name: each for each in find_series(read, edges, DAY, by="team", metric="cost", zone=zone)}
    teams = _teams(rows, as_of)
    return {place: _one(row, series, teams, until_us) for place, row in enumerate(rows) if row["spent"] is not None}


def _teams(rows: Sequence[Document], as_of: str) -> list[tuple[str, str, str]]:
    """Return all teams by owner rules; to whom those are not shown, the teams that are budgeted, who are their own."""
    try:
        found = data.answer("owners", {}, as_of)["rows"]
    except DeliveryError as error:
        if error.status != FORBIDDEN:
            raise
        paths = (tuple(row["owner"].split("/")) for row in rows)
        return [path for path in paths if len(path) == LEVELS]
    return [(row["organisation"], row["department"], row["team"]) for row in found]


def _one(row: Document, series: Mapping[str, Any], teams: list[tuple[str, str, str]], until_us: int) -> Outlook:
    from_us, to_us = parse_instant(row["from"]), parse_instant(row["to"])
    try:
        return outlook(
            series,
            teams_of(row["owner"], teams),
            known=float(row["spent"]),
            limit=float(row["limit"]) + float(row["raise"] or 0),
            span=(max(from_us, until_us), to_us),
        )
    except AnalysisError as error:
        return Outlook(reason=error.message)
