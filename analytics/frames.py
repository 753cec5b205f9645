"""The ledger as Polars frames, for notebooks and scripts: from a collector, or lazily from exported Parquet files.

    from gpuledger.client import CollectorClient
    from analytics import frames
    frames.charges(CollectorClient("http://127.0.0.1:8470", timeout_s=120), "2026-11")

Money is an exact Decimal, instants are in UTC, and what is not known is null. Periods are read as everywhere (2026-11,
2026-Q4, FROM..TO), by the days of the billing zone. A large period is fetched in pages. `lines` is what the functions
of analytics take: `energy`, `spending`, `waste`, `utilisation`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import polars as pl
import pyarrow as pa

from analytics import overview
from analytics.bill_lines import read_charges
from analytics.overview import INSTANT, MONEY
from analytics.reports.tables import charge_table
from gpuledger.accounting.periods import Period, parse_instant, parse_period, require_hours
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.client import CollectorClient
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

ARROW: Final = "application/vnd.apache.arrow.stream"
CARBON: Final = pl.Decimal(18, 6)
MOST_USAGE: Final = 1_000_000  # rows that one question about usage may have
_AMOUNTS: Final = ("cost", "rate", "payable")
_INSTANTS: Final = (
    "at",
    "hour",
    "start",
    "end",
    "from",
    "to",
    "first_seen",
    "until",
    "closed_at",
    "issued_at",
    "received",
)
_NUMBERS: Final = ("hours", "kwh", "kg", "ratio", "share")


def lines(client: CollectorClient, period: str) -> pl.DataFrame:
    """Return the lines of bills of a period, as they are: whole quanta, microseconds, millijoules."""
    return pl.concat(list(_pages(client, period)), how="vertical_relaxed")


def keep_lines(client: CollectorClient, period: str, folder: str | Path) -> pl.LazyFrame:
    """Write the lines of a period into Parquet files below `folder`, page by page; return all lines kept there, lazily.

    So a year takes the memory of a page. Raises AnalysisError where the folder has lines of that period already.
    """
    known = known_period(client, period)
    kept = Path(folder) / f"{known.start_us}-{known.end_us}"
    if kept.exists():
        raise AnalysisError(f"{kept} has the lines of {period} already", hint="remove it, or read it with scan_lines")
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".lines-", dir=folder) as writing:
        whole = Path(writing) / "whole"
        whole.mkdir()
        for count, page in enumerate(_pages(client, period)):
            typed = page.with_columns(pl.col("carbon_g_per_kwh").cast(CARBON))  # all-null has no scale of its own
            typed.write_parquet(whole / f"lines-{count:06d}.parquet", compression="zstd")
        whole.rename(kept)
    return scan_lines(folder)


def scan_lines(folder: str | Path) -> pl.LazyFrame:
    """Return all lines that `keep_lines` wrote below `folder`, lazily. Raises AnalysisError where there are none."""
    files = sorted(Path(folder).rglob("lines-*.parquet"))
    if not files:
        raise AnalysisError(f"{folder} holds no lines of bills", hint="write them with analytics.frames.keep_lines")
    return pl.scan_parquet(files)


def charges(client: CollectorClient, period: str) -> pl.DataFrame:
    """Return a period's charges: a device's hour that one holder (or nobody) spent in one state, with its price."""
    return pl.concat([charge_table(page) for page in _pages(client, period)])


def chargeback(client: CollectorClient, period: str, by: str = "team", view: str = "allocation") -> pl.DataFrame:
    """Return what each group of `by` held, used and cost; a column for the hours in each state."""
    return read(client, "chargeback", {"period": period, "by": by, "view": view})


def utilisation(client: CollectorClient, period: str, by: str = "team") -> pl.DataFrame:
    """Return time in each state and both ratios for each group of `by`."""
    return read(client, "utilization", {"period": period, "by": by})


def timeline(client: CollectorClient, period: str, grain: str = "day") -> pl.DataFrame:
    """Return the cost of each team in each step: columns `at`, `key`, `cost`."""
    return overview.timeline_costs(client.get_json("/v1/timeline", {"period": period, "grain": grain}))


def states(client: CollectorClient, period: str, grain: str = "day") -> pl.DataFrame:
    """Return the GPU-hours in each state in each step: columns `at`, `state`, `gpu_hours`."""
    return overview.timeline_states(client.get_json("/v1/timeline", {"period": period, "grain": grain}))


def usage(client: CollectorClient, period: str, device: str = "") -> pl.DataFrame:
    """Return usage records as the agents reported them. Raises AnalysisError where there are a million or more."""
    found = read(client, "usage", {"period": period, "device": device, "limit": str(MOST_USAGE)})
    if len(found) >= MOST_USAGE:
        raise AnalysisError(
            f"{period} has more usage records than {MOST_USAGE:,}", hint="name a device, or fewer hours"
        )
    return found


def events(client: CollectorClient, period: str = "") -> pl.DataFrame:
    """Return what happened to devices, holders and agents, the newest first; without a period, ever."""
    return read(client, "events", {"period": period, "limit": str(MOST_USAGE)})


def devices(client: CollectorClient) -> pl.DataFrame:
    """Return every device that the ledger has seen; `until` is null while it can be held."""
    return read(client, "devices")


def idle(client: CollectorClient, period: str) -> pl.DataFrame:
    """Return who held devices without work, the dearest first."""
    return read(client, "idle", {"period": period})


def periods(client: CollectorClient) -> pl.DataFrame:
    """Return all billing periods: open, closing and closed."""
    return read(client, "periods")


def invoices(client: CollectorClient) -> pl.DataFrame:
    """Return all invoices and credit notes."""
    return read(client, "invoices")


def scan(folder: str | Path, table: str = "charges") -> pl.LazyFrame:
    """Return a table of `gpuledger export parquet`, lazily: that of every export in `folder` and in what lies in it.

    `charges` has the columns of the function of that name. Raises AnalysisError where there is none.
    """
    files = sorted(Path(folder).rglob(f"{table}.parquet"))
    if not files:
        raise AnalysisError(
            f"{folder} holds no {table}.parquet",
            hint=f"gpuledger export parquet --period 2026-11 --out {folder}/2026-11",
        )
    return pl.scan_parquet(files)


def read(client: CollectorClient, name: str, params: Mapping[str, str] | None = None) -> pl.DataFrame:
    """Return the rows of `GET /v1/<name>`, any that has rows, with money, instants and figures as what they are."""
    found = pl.from_arrow(_Tables(client).table(name, params or {}))
    assert isinstance(found, pl.DataFrame)
    return found.with_columns(_typed(column, kind) for column, kind in found.schema.items())


def known_period(client: CollectorClient, text: str) -> Period:
    """Return the period that `text` names, until where the ledger's data reaches. Raises ConfigError on none."""
    status = client.get_json("/v1/status")
    asked = require_hours(parse_period(text, find_zone(status["zone"])))
    if status["watermark"] is None:
        return asked._replace(end_us=asked.start_us)
    until_us = -(-parse_instant(status["watermark"]) // US_PER_HOUR) * US_PER_HOUR
    return asked._replace(end_us=max(asked.start_us, min(asked.end_us, until_us)))


def _pages(client: CollectorClient, text: str) -> Iterator[pl.DataFrame]:
    """Yield the pages of a period; of one without data a page without rows, which has columns."""
    tables, period = _Tables(client), known_period(client, text)
    whole = period if period.end_us > period.start_us else period._replace(end_us=period.start_us + US_PER_HOUR)
    yield from read_charges(tables, whole)


class _Tables:
    """A collector that answers with Arrow tables."""

    def __init__(self, client: CollectorClient) -> None:
        self._client = client

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of an answer."""
        body = self._client.get(f"/v1/{name}", {key: text for key, text in params.items() if text}, accept=ARROW)
        with pa.ipc.open_stream(body) as stream:
            return stream.read_all()


def _typed(column: str, kind: pl.DataType) -> pl.Expr:
    """Return a column as what its name says: answers write money and instants as text, and all-null has no type."""
    name, last = column.rpartition(".")[2], column.rpartition("_")[2]
    if last in _AMOUNTS or column.startswith("costs."):
        return pl.col(column).cast(MONEY)
    if name in _INSTANTS:
        return pl.col(column).cast(pl.String).str.to_datetime("%+", time_unit="us", time_zone="UTC").cast(INSTANT)
    if kind == pl.Null:
        return pl.col(column).cast(pl.Float64 if last in _NUMBERS else pl.String)
    return pl.col(column)
