"""The forecast below drift (platform lead): where the month lands, when budgets are spent, when a model is full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa
import streamlit as st

from analytics.forecast_document import Asked, find
from analytics.series_source import Known, read_known
from dashboards import address, charts, data, downloads, forecast_models, pieces, shell, wording
from dashboards.notes import Note
from dashboards.sign_in import token
from gpuledger.accounting.periods import Period, iso, month_of
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

METRICS: Final = {"cost": "Spend", "gpu_hours": "GPU-hours"}
CAPACITY_DAYS: Final = 30


class Reader:
    """The collector's answers, for the forecast to ask for: as a document, or as rows."""

    def __init__(self, as_of: str) -> None:
        self._as_of = as_of

    def query(self, name: str, params: Mapping[str, str]) -> data.Document:
        """Return an answer, as the pages keep it."""
        return data.status() if name == "status" else data.answer(name, params, self._as_of)

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of an answer."""
        return data.table(name, params).to_arrow()


@shell.part
def section(status: data.Document) -> None:
    """Draw it; what is too short for a forecast is named, and so is what that takes."""
    st.html(pieces.heading("Where this month will land", "What teams spend and hold, carried forward day by day"))
    address.seed("forecast", list(METRICS), "cost")
    chosen = st.segmented_control(
        "Forecast of", list(METRICS), required=True, format_func=METRICS.__getitem__, label_visibility="collapsed",
        key="forecast",
    ) or "cost"  # fmt: skip
    address.remember("forecast", chosen, "cost")
    as_of = shell.as_of(status)
    try:
        answer = _landing(data.collector_url(), token(), as_of, chosen)
    except AnalysisError as error:
        st.html(pieces.notes([Note(wording.UNKNOWN, f"{error.message}. {error.hint}".strip())]))
        return
    st.html(pieces.heading(forecast_models.finding(answer), forecast_models.lead(answer)))
    _draw(answer)
    found = forecast_models.table(answer, "Team")
    st.html(pieces.table(found))
    downloads.offer(found, f"forecast-{chosen}")
    st.html(pieces.sub(forecast_models.how(answer)))
    _full(as_of)


def _draw(answer: data.Document) -> None:
    path = forecast_models.path(answer)
    if path.is_empty():
        return
    money = answer["metric"] == "cost"
    measure = f"Spend, {answer['currency']}" if money else "GPU-hours"
    below = f"{measure} a day; dashed: what is expected, in 80 of 100 days within the band"
    st.html(pieces.sub(below))
    chart = charts.forecast_path(path, measure, wording.symbol(answer["currency"] or "") if money else "", shell.mode())
    st.altair_chart(chart, theme=None, width="stretch", alt=f"{measure} a day, so far and expected to the month's end")


def _full(as_of: str) -> None:
    try:
        answer = _capacity(data.collector_url(), token(), as_of)
    except AnalysisError:
        return
    found = forecast_models.capacity_table(answer)
    if found.lines:
        below = f"Full is 95 % held; over the next {CAPACITY_DAYS} days. What waits in queues is not in the ledger"
        st.html(pieces.heading("When a GPU model will be full", below) + pieces.table(found))
        downloads.offer(found, "forecast-capacity")


@st.cache_data(ttl=data.ANSWER_TTL_S, show_spinner="Reading half a year of days …", max_entries=32)
def _landing(url: str, bearer: str | None, as_of: str, metric: str) -> data.Document:  # noqa: ARG001 - a cache key
    reader = Reader(as_of)
    known = read_known(reader)
    month = month_of(known.until_us, find_zone(known.zone))
    limits = {}
    if metric == "cost":
        rows = reader.query("budgets", {})["rows"]
        limits = forecast_models.limits_of(rows, known.currency, month.start_us)
    return find(reader, known, month, Asked("team", metric, limits=limits))


@st.cache_data(ttl=data.ANSWER_TTL_S, show_spinner="Reading half a year of days …", max_entries=32)
def _capacity(url: str, bearer: str | None, as_of: str) -> data.Document:  # noqa: ARG001 - a cache key
    reader = Reader(as_of)
    known = read_known(reader)
    return find(reader, known, _ahead(known), Asked("model", "gpu_hours"))


def _ahead(known: Known) -> Period:
    end_us = known.until_us + CAPACITY_DAYS * US_PER_DAY
    return Period(known.until_us, end_us, f"{iso(known.until_us)}..{iso(end_us)}", known.zone)
