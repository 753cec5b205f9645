"""A bill as flat tables: charges and corrections line by line, usage by hour, invoices and their lines.

Amounts and hours are exact decimals; what has no price has no cost, and what nobody watched no activity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from analytics.reports import focus_names as names
from analytics.reports.exact import QUANTA_PLACES, decimal_text, money_text, or_null, scaled, wide
from analytics.reports.focus_split import PLACES, with_shares
from gpuledger.accounting.units import GPU_PARTS, MJ_PER_KWH, US_PER_HOUR

Document = Mapping[str, Any]
MONEY: Final = pl.Decimal(38, QUANTA_PLACES)
HOURS: Final = pl.Decimal(38, PLACES)
ENERGY: Final = pl.Decimal(38, 9)
CENTS: Final = pl.Decimal(38, 2)
_TEXTS: Final = (
    "cluster", "node", "device", "model", "mig_profile", "pool", "holder", "holder_kind", "namespace",
)  # fmt: skip
_OWNER: Final = ("organisation", "department", "team", "project")
_INVOICE: Final[dict[str, pl.DataType]] = {
    "number": pl.Int64(),
    "kind": pl.String(),
    "period": pl.String(),
    **dict.fromkeys(_OWNER[:3], pl.String()),
    "gpu_hours": HOURS,
    "unpriced_gpu_hours": HOURS,
    "complete_ratio": pl.Decimal(38, 6),
    "currency": pl.String(),
    "cost": MONEY,
    "payable": CENTS,
    "issued_at": pl.String(),
}
_INVOICE_LINE: Final[dict[str, pl.DataType]] = {
    "invoice": pl.Int64(),
    "line": pl.Int64(),
    **dict.fromkeys(("kind", "project", "model", "mig_profile", "state", "corrects", "because"), pl.String()),
    "gpu_hours": HOURS,
    "unpriced_gpu_hours": HOURS,
    "cost": MONEY,
    "payable": CENTS,
}
_HOUR_KEY: Final = ("hour", "cluster", "model", "mig_profile", "organisation", "department", "team", "state")


def charge_table(lines: pl.DataFrame) -> pl.DataFrame:
    """Return bill lines (whole hours of devices) as people read them: names, GPU-hours, kilowatt-hours, money.

    `charge` is what `explain` and `dispute` call a charge; that of a correction is the one that it corrects.
    """
    shared = with_shares(lines)
    known = (pl.col("active_unknown_us") == 0) | (pl.col("active_us") > 0)
    metered = (pl.col("energy_unknown_us") == 0) | (pl.col("energy_unknown_us") < pl.col("held_us"))
    active = scaled(wide("active_us") * wide("parts"), US_PER_HOUR * GPU_PARTS, PLACES)
    energy = scaled(wide("energy_mj"), MJ_PER_KWH, 9)
    return shared.select(
        pl.from_epoch("hour_us", time_unit="us").dt.replace_time_zone("UTC").alias("hour"),
        *(or_null(name).alias(name) for name in _TEXTS),
        or_null("user_name").alias("user"),
        names.workload().alias("workload"),
        names.state().alias("state"),
        or_null("reason").alias("reason"),
        *(or_null(name).alias(name) for name in _OWNER),
        or_null("corrects").alias("corrects"),
        decimal_text(pl.col("part_hours"), PLACES).cast(HOURS).alias("gpu_hours"),
        pl.when(known).then(decimal_text(active, PLACES)).cast(HOURS).alias("active_gpu_hours"),
        pl.when(metered).then(decimal_text(energy, 9)).cast(ENERGY).alias("energy_kwh"),
        *(money_text(f"{name}_quanta").cast(MONEY).alias(name) for name in ("rate", "cost", "active_cost")),
        "price_version",
        "price_entry",
        "owner_version",
        names.charge_id().alias("charge"),
    )


def hour_table(charges: pl.DataFrame) -> pl.DataFrame:
    """Return a charge table by hour, model, team and state; a cost is null where nothing of it has a price."""
    return charges.group_by(_HOUR_KEY, maintain_order=True).agg(
        pl.col("gpu_hours").sum(),
        _sum_or_null("active_gpu_hours"),
        _sum_or_null("energy_kwh"),
        _sum_or_null("cost"),
        pl.when(pl.col("cost").is_null()).then("gpu_hours").sum().alias("unpriced_gpu_hours"),
    )


def invoice_table(listing: Document, numbers: Sequence[int]) -> pl.DataFrame:
    """Return the invoices with these numbers, from the answer that lists all."""
    rows = [_exact(row, _INVOICE) for row in listing["rows"] if row["number"] in numbers]
    return _typed(rows, _INVOICE)


def invoice_line_table(documents: Sequence[Document]) -> pl.DataFrame:
    """Return the lines of invoices."""
    rows = [
        _exact({**line, "invoice": document["invoice"]["number"]}, _INVOICE_LINE)
        for document in documents
        for line in document["rows"]
    ]
    return _typed(rows, _INVOICE_LINE)


def _sum_or_null(name: str) -> pl.Expr:
    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)


def _exact(row: Document, schema: Mapping[str, pl.DataType]) -> dict[str, Any]:
    """Return a row whose decimals are text: answers write hours as numbers of six decimals, money as text."""
    return {
        name: None if row[name] is None else str(row[name]) if isinstance(kind, pl.Decimal) else row[name]
        for name, kind in schema.items()
    }


def _typed(rows: list[dict[str, Any]], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    as_read = {name: pl.String() if isinstance(kind, pl.Decimal) else kind for name, kind in schema.items()}
    return pl.DataFrame(rows, schema=as_read).cast(pl.Schema(schema))
