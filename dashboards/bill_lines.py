"""Bill lines for the page that compares them: read in parts of a fair size, so that progress can be shown."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Final

import polars as pl

from analytics.waste import READ
from analytics.windows import NARROWED
from dashboards import data
from dashboards.data import collector_url
from dashboards.sign_in import token
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR

PART_LINES: Final = 100_000
PART_HOURS: Final = 168
COLUMNS: Final = (*READ, "active_unknown_us")
DRIFT_COLUMNS: Final = tuple(dict.fromkeys((*COLUMNS, *NARROWED)))


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
