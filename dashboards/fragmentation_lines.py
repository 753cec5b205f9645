"""What would have fitted in a period: read once somebody asks, and kept for as long as the ledger does not move on."""

from __future__ import annotations

import polars as pl
import streamlit as st

from analytics.fragmentation import READ, fragmentation
from dashboards.bill_lines import read_parts
from dashboards.data import ANSWER_TTL_S, collector_url
from dashboards.sign_in import token
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_HOUR


def fitted(period: Period, until_us: int, as_of: str) -> pl.DataFrame:
    """Return the requests of `fragmentation` in the hours of `period` that are over by `until_us`."""
    end_us = min(period.end_us, until_us // US_PER_HOUR * US_PER_HOUR)
    return _fitted(collector_url(), token(), period.start_us, max(period.start_us, end_us), as_of)


@st.cache_data(ttl=ANSWER_TTL_S, show_spinner="Reading the ledger …", max_entries=4)
def _fitted(url: str, bearer: str | None, start_us: int, end_us: int, as_of: str) -> pl.DataFrame:  # noqa: ARG001 - a cache key
    lines = [part for part, _ in read_parts(start_us, end_us, READ)]
    found = pl.concat(lines, how="vertical_relaxed").filter(pl.col("hour_us") < end_us)
    return fragmentation(found).requests
