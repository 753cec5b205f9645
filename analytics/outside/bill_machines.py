"""A bill's rows for GPU machines: found, checked, told apart by what they are, and summed by machine and UTC day.

A machine is a node of the ledger (see `bill_map`), or a resource that no node is known for and that the bill calls a
GPU machine: its SKU counts GPUs, or the map says so. Everything else is counted and left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.outside.bill_files import COSTS, FILE, PLACES, ROW, atoms, collect, instant
from analytics.outside.bill_map import BillMap, Nodes
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import OutsideError

TIME: Final = "time"
DUPLICATES: Final = ("refuse", "drop", "keep")
_CATEGORIES: Final = {"Purchase": "purchase", "Tax": "tax", "Credit": "credit", "Adjustment": "adjustment"}
_HOURS: Final = r"(?i)^(?:(?:1|gpu|vm|instance|machine|node|device|compute)[- ])?(?:h|hrs?|hours?)$"
_ANY_TIME: Final = r"(?i)(?:^|[^a-z])(?:h|hrs?|hours?)$"
_GPU_COUNT: Final = r'"(?:x_)?GpuCount"\s*:\s*"?(\d+)'
_SKU_TEXTS: Final = ("SkuId", "SkuMeter", "SkuPriceDetails", "ChargeDescription")
_WRONG: Final = {
    "ChargePeriodStart": "which is no time",
    "ChargePeriodEnd": "which is no time after its start",
    "ChargeCategory": "which FOCUS does not have",
    "BillingCurrency": "so that its amount means nothing",
}
_DAY: Final = (pl.col("start_us") // US_PER_DAY * US_PER_DAY).alias("day_us")
_MOST_HOURS: Final = 10**6  # of one row: what is more is no time of a machine


class MachineDay(NamedTuple):
    """A machine's day on a bill, amounts in atoms by currency and kind (`time`, or a cause); `gpus` 0: not said."""

    atoms: Mapping[tuple[str, str], int]
    hours_us: int
    gpus: int


class LeftOut(NamedTuple):
    """Rows that are not compared, and why."""

    why: str
    currency: str
    rows: int
    cost_atoms: int
    unreadable: int  # of the rows, those whose amount is no number


class BillReading(NamedTuple):
    """What a bill says of GPU machines: their days, their resources, and what was left out."""

    days: Mapping[tuple[str, int], MachineDay]  # by machine and start of the day
    resources: Mapping[str, tuple[str, ...]]  # by machine
    left_out: Sequence[LeftOut]
    rows: int
    duplicates: int


def read_machines(
    bill: pl.LazyFrame, *, period: Period, cost: str, nodes: Nodes, bill_map: BillMap, duplicates: str = "refuse"
) -> BillReading:
    """Return what a bill says of GPU machines in `period`. Raises OutsideError on a row that cannot be right."""
    marked = bill.with_columns(
        _gpu_count().alias("gpus"),
        _says_gpu(bill_map).alias("says_gpu"),
        instant("ChargePeriodStart").alias("start_us"),
        instant("ChargePeriodEnd").alias("end_us"),
        atoms(COSTS[cost]).alias("atoms"),
    )
    told_by = ["ResourceId", "ResourceName", *(["Tags"] if bill_map.tag else [])]
    machines = _machines(marked, nodes, told_by)
    joined = marked.join(machines.lazy(), on=told_by, how="left", nulls_equal=True)
    apart = (pl.col("end_us") <= period.start_us) | (pl.col("start_us") >= period.end_us)
    wanted = pl.col("machine").is_not_null() & ~apart.fill_null(value=False)
    rows = collect(_compact(joined.filter(wanted), cost), "the bill")
    _require_sound(rows, joined)
    distinct = _without_duplicates(rows, duplicates)
    days = _by_day(distinct, period)
    left_out = _left_out(joined.filter(~wanted))
    resources = machines.filter(pl.col("machine").is_not_null()).group_by("machine").agg(pl.col("ResourceId").unique())
    named = {name: tuple(sorted(ids)) for name, ids in resources.iter_rows()}
    return BillReading(days, named, left_out, len(distinct), len(rows) - len(distinct))


def _compact(rows: pl.LazyFrame, cost: str) -> pl.LazyFrame:
    """Return what counts of each row in small columns: a bill has millions, and most of what it says is text.

    `wrong` is the column that cannot be right, or null; a row is told from others by the hash of what it says.
    """
    told = pl.struct(pl.exclude(FILE, ROW))
    return rows.select(
        FILE,
        ROW,
        pl.col("machine"),
        pl.col("BillingCurrency").alias("currency"),
        "start_us",
        "end_us",
        "atoms",
        "gpus",
        pl.col("SkuId").alias("sku"),
        _kind().alias("kind"),
        _stated_us().alias("stated_us"),
        pl.coalesce(pl.when(is_wrong).then(pl.lit(name)) for name, is_wrong in _checks(cost)).alias("wrong"),
        told.hash(seed=1).alias("told_1"),
        told.hash(seed=2).alias("told_2"),
    )


def _machines(marked: pl.LazyFrame, nodes: Nodes, told_by: Sequence[str]) -> pl.DataFrame:
    """Return each resource of the bill with the machine that it is, or null."""
    identities = marked.group_by(told_by).agg(pl.col("says_gpu").any())
    found = collect(identities, "the bill")
    names = [
        (nodes.find(resource, name, *tags) or (resource if says_gpu else None)) if resource else None
        for resource, name, *tags, says_gpu in found.iter_rows()
    ]
    machine = pl.Series("machine", names, dtype=pl.String)
    return found.drop("says_gpu").with_columns(machine)


def _gpu_count() -> pl.Expr:
    return pl.col("SkuPriceDetails").str.extract(_GPU_COUNT).cast(pl.Int64, strict=False).fill_null(0)


def _says_gpu(bill_map: BillMap) -> pl.Expr:
    says = _gpu_count() > 0
    for pattern in bill_map.gpu_skus:
        for name in _SKU_TEXTS:
            says |= pl.col(name).str.contains(f"(?i){pattern}").fill_null(value=False)
    return says


def _checks(cost: str) -> list[tuple[str, pl.Expr]]:
    """Return which columns must be right, and when they are not."""
    known = pl.col("ChargeCategory").is_in(["Usage", *_CATEGORIES]).fill_null(value=False)
    return [
        (COSTS[cost], pl.col("atoms").is_null()),
        ("ChargePeriodStart", pl.col("start_us").is_null()),
        ("ChargePeriodEnd", pl.col("end_us").is_null() | (pl.col("end_us") <= pl.col("start_us"))),
        ("ChargeCategory", ~known),
        ("BillingCurrency", pl.col("BillingCurrency").is_null()),
    ]


def _require_sound(rows: pl.DataFrame, bill: pl.LazyFrame) -> None:
    """Raise OutsideError on the first row whose amount, time, category or currency cannot be read."""
    bad = rows.filter(pl.col("wrong").is_not_null())
    if bad.is_empty():
        return
    file, row, name = bad.select(FILE, ROW, "wrong").row(0)
    value = collect(bill.filter((pl.col(FILE) == file) & (pl.col(ROW) == row)).select(name), "the bill").item()
    shown = "nothing" if value is None else repr(value[:40])
    more = f" ({len(bad):,} rows cannot be right)" if len(bad) > 1 else ""
    raise OutsideError(
        f"{file}, row {row}: {name} is {shown}, {_WRONG.get(name, 'which is no number')}{more}",
        hint="export the bill again; a bill that cannot be read whole cannot be held against anything",
    )


def _without_duplicates(rows: pl.DataFrame, how: str) -> pl.DataFrame:
    first = rows.select(pl.struct("told_1", "told_2").is_first_distinct()).to_series()
    if how == "keep" or first.all():
        return rows
    if how == "drop":
        return rows.filter(first)
    again = rows.filter(~first)
    file, row = again.select(FILE, ROW).row(0)
    raise OutsideError(
        f"{len(again):,} rows of the bill stand in it twice, the first of them again in {file}, row {row}",
        hint="give each file once; --duplicates drop counts such a row once, --duplicates keep as often as it stands",
    )


def _kind() -> pl.Expr:
    """Return what a row is: machine time, or the cause that it is by itself."""
    is_time = pl.coalesce("PricingUnit", "ConsumedUnit").str.contains(_ANY_TIME).fill_null(value=True)
    return (
        pl.when(pl.col("ChargeClass") == "Correction")
        .then(pl.lit("correction"))
        .when(pl.col("ChargeCategory") != "Usage")
        .then(pl.col("ChargeCategory").replace(_CATEGORIES))
        .when(pl.col("atoms") < 0)
        .then(pl.lit("refund"))
        .when(is_time)
        .then(pl.lit(TIME))
        .otherwise(pl.lit("other_usage"))
    )


def _stated_us() -> pl.Expr:
    """Return the machine time that a row states; null where it states none."""
    priced, used = (pl.col(f"{name}Unit").str.contains(_HOURS) for name in ("Pricing", "Consumed"))
    quantity, unit = (
        pl.coalesce(pl.when(priced).then(pl.col(f"Pricing{what}")), pl.when(used).then(pl.col(f"Consumed{what}")))
        for what in ("Quantity", "Unit")
    )
    spread = pl.when(unit.str.contains("(?i)^gpu") & (pl.col("gpus") > 0)).then(pl.col("gpus")).otherwise(1)
    hours = quantity.str.strip_chars().cast(pl.Decimal(38, PLACES), strict=False).to_physical()
    plausible = pl.when((hours > 0) & (hours < _MOST_HOURS * 10**PLACES)).then(hours)
    stated: pl.Expr = plausible // 10**6 * US_PER_HOUR // 10 ** (PLACES - 6) // spread
    return stated.cast(pl.Int64)


def _windows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return machine time by charge period: no more than the period is long, however many rows price one machine.

    Rows of one SKU add up (a reserved part and one on demand); of several SKUs (cores and memory beside GPUs) the one
    with the most time counts. Where none states hours the machine is taken to have run for the whole charge period.
    """
    span = ["machine", "start_us", "end_us"]
    time = rows.filter(pl.col("kind") == TIME)
    by_sku = time.group_by([*span, "sku"]).agg(
        pl.when(pl.col("stated_us").is_not_null().any()).then(pl.col("stated_us").sum()).alias("stated_us"),
        pl.col("gpus").max(),
    )
    length = pl.col("end_us") - pl.col("start_us")
    longest = by_sku.group_by(span).agg(pl.col("stated_us").max(), pl.col("gpus").max())
    return longest.with_columns(pl.min_horizontal(pl.col("stated_us").fill_null(length), length).alias("hours_us"))


def _by_day(rows: pl.DataFrame, period: Period) -> dict[tuple[str, int], MachineDay]:
    within = _within_a_day(period)
    amounts: dict[tuple[str, int], dict[tuple[str, str], int]] = defaultdict(dict)
    summed = rows.filter(within).group_by("machine", _DAY, "currency", "kind").agg(pl.col("atoms").sum())
    spread = (
        (row["machine"], day_us, row["currency"], row["kind"], part)
        for row in rows.filter(~within).iter_rows(named=True)
        for day_us, part in _spread(row["atoms"], row["start_us"], row["end_us"], period)
    )
    for machine, day_us, currency, kind, amount in chain(summed.iter_rows(), spread):
        cell = amounts[machine, day_us]
        cell[currency, kind] = cell.get((currency, kind), 0) + amount
    hours = _hours_by_day(_windows(rows), period)
    return {key: MachineDay(cell, *hours.get(key, (0, 0))) for key, cell in sorted(amounts.items())}


def _hours_by_day(windows: pl.DataFrame, period: Period) -> dict[tuple[str, int], tuple[int, int]]:
    """Return machine time and GPUs by machine and day."""
    within = _within_a_day(period)
    found: dict[tuple[str, int], tuple[int, int]] = {}
    summed = windows.filter(within).group_by("machine", _DAY).agg(pl.col("hours_us").sum(), pl.col("gpus").max())
    spread = (
        (row["machine"], day_us, part, row["gpus"])
        for row in windows.filter(~within).iter_rows(named=True)
        for day_us, part in _spread(row["hours_us"], row["start_us"], row["end_us"], period)
    )
    for machine, day_us, hours_us, gpus in chain(summed.iter_rows(), spread):
        before_us, most = found.get((machine, day_us), (0, 0))
        found[machine, day_us] = before_us + hours_us, max(most, gpus)
    return found


def _within_a_day(period: Period) -> pl.Expr:
    """Return whether a charge period lies in one UTC day, and in the period."""
    last_us = pl.col("end_us") - 1
    one_day = pl.col("start_us") // US_PER_DAY == last_us // US_PER_DAY
    return one_day & (pl.col("start_us") >= period.start_us) & (pl.col("end_us") <= period.end_us)


def _spread(amount: int, start_us: int, end_us: int, period: Period) -> list[tuple[int, int]]:
    """Split an amount over the UTC days of `[start_us, end_us)` by time; the part outside `period` is left out."""
    from_us, to_us = max(start_us, period.start_us), min(end_us, period.end_us)
    length, parts, at_us = end_us - start_us, [], from_us
    while at_us < to_us:
        day_us = at_us // US_PER_DAY * US_PER_DAY
        until_us = min(day_us + US_PER_DAY, to_us)
        parts.append((day_us, amount * (until_us - start_us) // length - amount * (at_us - start_us) // length))
        at_us = until_us
    return parts


def _left_out(rows: pl.LazyFrame) -> list[LeftOut]:
    why = (
        pl.when(pl.col("machine").is_not_null())
        .then(pl.lit("of a GPU machine, in another period"))
        .when(pl.col("ResourceId").is_null())
        .then(pl.format("{} of no resource", pl.col("ChargeCategory").fill_null("a charge").str.to_lowercase()))
        .otherwise(pl.lit("of no GPU machine"))
    )
    grouped = rows.group_by(why.alias("why"), pl.col("BillingCurrency").fill_null("?").alias("currency")).agg(
        pl.len(), pl.col("atoms").sum().alias("cost"), pl.col("atoms").is_null().sum().alias("unreadable")
    )
    found: list[dict[str, Any]] = collect(grouped.sort("why", "currency"), "the bill").to_dicts()
    return [LeftOut(row["why"], row["currency"], row["len"], row["cost"], row["unreadable"]) for row in found]
