"""Lines of bills, read as many hours at a time as make a page of a fair size, whatever the size of the fleet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import polars as pl
import pyarrow as pa

from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR

PAGE_LINES: Final = 40_000
PAGE_HOURS: Final = 168


class Tables(Protocol):
    """A ledger that answers with Arrow tables."""

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of an answer that may have very many of them."""
        ...


def read_charges(source: Tables, period: Period) -> Iterator[pl.DataFrame]:
    """Yield the charges of `period` (on the hour) in the order of their hours, whole hours at a time.

    The first page is an hour; each later one is what by the one before it should have about PAGE_LINES lines.
    """
    at_us, hours = period.start_us, 1
    while at_us < period.end_us:
        end_us = min(at_us + hours * US_PER_HOUR, period.end_us)
        lines = read_lines(source, Period(at_us, end_us, f"{iso(at_us)}..{iso(end_us)}"))
        yield lines
        fitting = PAGE_LINES * hours // max(1, len(lines))
        at_us, hours = end_us, max(1, min(fitting, 2 * hours, PAGE_HOURS))


def read_lines(source: Tables, period: Period, kind: str = "charge") -> pl.DataFrame:
    """Return the charges of the hours of `period`, or the corrections that the closed periods inside it bill."""
    label = f"{iso(period.start_us)}..{iso(period.end_us)}"
    found = pl.from_arrow(source.table("bill", {"period": label, "kind": kind}))
    assert isinstance(found, pl.DataFrame)
    return found.with_columns(pl.col("corrects").cast(pl.String))
