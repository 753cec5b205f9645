"""Series of a ledger, read over its API: the whole steps that are known, and what a period has so far."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import polars as pl

from analytics.drift_samples import Integers
from analytics.forecast_series import Series, find_series, step_edges
from analytics.forecast_ways import GRAINS, Grain
from analytics.line_groups import UNATTRIBUTED, UNKNOWN
from analytics.windows import BY_DEVICE
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone

if TYPE_CHECKING:
    import pyarrow as pa

LOOKBACK_DAYS: Final = {"day": 182, "hour": 91}
TOTAL: Final = "total"


class Source(Protocol):
    """A ledger that answers questions."""

    def query(self, name: str, params: Mapping[str, str]) -> dict[str, Any]:
        """Return the answer called `name`."""
        ...

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        """Return the rows of an answer that may have very many of them."""
        ...


class Known(NamedTuple):
    """What is known of a ledger: up to when, the days' zone, the currency of its prices."""

    first_us: int
    until_us: int
    zone: str
    currency: str | None


class History(NamedTuple):
    """The whole steps between `edges`: their rows, and the series that these make by one metric."""

    grain: Grain
    edges: Integers
    rows: pl.DataFrame
    series: list[Series]


def read_known(source: Source) -> Known:
    """Return how far the ledger is known. Raises AnalysisError where it holds no usage."""
    status = source.query("status", {})
    if status["watermark"] is None:
        raise AnalysisError("the ledger holds no usage", hint="start an agent, or import jobs")
    return Known(
        parse_instant(status["first_usage"]), parse_instant(status["watermark"]), status["zone"], status["currency"]
    )


def read_history(source: Source, known: Known, *, by: str, metric: str, grain: str, until_us: int) -> History:
    """Return the whole steps before `until_us`, as many as LOOKBACK_DAYS are.

    Raises AnalysisError where there is none, and on spend without a price book.
    """
    if metric == "cost" and known.currency is None:
        raise AnalysisError("the ledger has no prices, so that no spend is known", hint="ask for --metric gpu_hours")
    until_us = min(until_us, known.until_us)
    start_us = max(known.first_us, until_us - LOOKBACK_DAYS[grain] * US_PER_DAY)
    edges = step_edges(start_us, until_us, GRAINS[grain], find_zone(known.zone))
    if len(edges) < 2:
        raise AnalysisError(f"no whole {grain} is known before {iso(until_us)}", hint="wait, or name a later period")
    rows = _read(source, int(edges[0]), int(edges[-1]), by, grain)
    series = find_series(rows, edges, GRAINS[grain], by=by, metric=metric, zone=known.zone)
    return History(GRAINS[grain], edges, rows, series)


def read_so_far(source: Source, known: Known, start_us: int, *, by: str, metric: str) -> dict[str, float]:
    """Return what each group has from `start_us` up to what is known; what has no price counts as nothing here."""
    until_us = -(-known.until_us // US_PER_HOUR) * US_PER_HOUR
    start_us = max(start_us, known.first_us // US_PER_HOUR * US_PER_HOUR)
    if start_us >= until_us:
        return {}
    rows = _read(source, start_us, until_us, by, "hour")
    column, unit = ("cost_quanta", QUANTA_PER_UNIT) if metric == "cost" else ("held_part_us", GPU_PARTS * US_PER_HOUR)
    sums = rows.group_by("key").agg(pl.col(column).cast(pl.Int128).sum())
    return {shown_key(key, by): int(amount) / unit for key, amount in sums.iter_rows()}


def shown_key(key: str, by: str) -> str:
    """Return what a group is called that may have no name."""
    return key or (UNKNOWN if by in BY_DEVICE else UNATTRIBUTED)


def total_of(series: list[Series]) -> Series | None:
    """Return the sum of all series, not known where one of them is not; None of none."""
    if not series:
        return None
    return series[0]._replace(name=TOTAL, values=sum((each.values for each in series[1:]), series[0].values.copy()))


def _read(source: Source, start_us: int, end_us: int, by: str, grain: str) -> pl.DataFrame:
    label = f"{iso(start_us)}..{iso(end_us)}"
    found = pl.from_arrow(source.table("series", {"period": label, "by": by, "grain": grain}))
    assert isinstance(found, pl.DataFrame)
    return found
