"""Bill lines for pages: read in parts of a fair size, kept for as long as the ledger does not move on."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl
import streamlit as st

from analytics.waste import READ
from analytics.windows import NARROWED
from dashboards import data
from dashboards.data import ANSWER_TTL_S, collector_url
from dashboards.sign_in import token
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR

PART_LINES: Final = 100_000
PART_HOURS: Final = 168
COLUMNS: Final = (*READ, "active_unknown_us")
DRIFT_COLUMNS: Final = tuple(dict.fromkeys((*COLUMNS, *NARROWED)))


def bill_lines(period: Period, until_us: int, as_of: str) -> pl.DataFrame:
    """Return the charges of `period` that are known until `until_us`; `as_of` names the state of the ledger."""
    end_us = min(period.end_us, -(-until_us // US_PER_HOUR) * US_PER_HOUR)
    return _lines(collector_url(), token(), period.start_us, max(period.start_us, end_us), as_of)


@st.cache_data(ttl=ANSWER_TTL_S, show_spinner="Reading the ledger …", max_entries=4)
def _lines(url: str, bearer: str | None, start_us: int, end_us: int, as_of: str) -> pl.DataFrame:  # noqa: ARG001 - a cache key
    parts = _parts(url, bearer, (start_us, end_us), COLUMNS)
    return pl.concat([part for part, _ in parts], how="vertical_relaxed")


def read_parts(start_us: int, end_us: int, columns: Sequence[str]) -> Iterator[tuple[pl.DataFrame, int]]:
    """Yield the charges of whole hours in `[start_us, end_us)`, part by part, each with where it ends."""
    return _parts(collector_url(), token(), (start_us, end_us), columns)


def _parts(
    url: str, bearer: str | None, span: tuple[int, int], columns: Sequence[str]
) -> Iterator[tuple[pl.DataFrame, int]]:
    start_us, end_us = span
    client = data.client(url, bearer)
    at_us, hours = start_us, 1
    try:
        while True:
            until_us = min(at_us + hours * US_PER_HOUR, max(end_us, at_us + US_PER_HOUR))
            asked = {"period": f"{iso(at_us)}..{iso(until_us)}", "kind": "charge"}
            part = pl.read_ipc_stream(io.BytesIO(client.get("/v1/bill", asked, accept=data.ARROW))).select(columns)
            yield part, until_us
            fitting = PART_LINES * hours // max(1, part.height)
            at_us, hours = until_us, max(1, min(fitting, 8 * hours, PART_HOURS))
            if at_us >= end_us:
                return
    finally:
        client.close()
