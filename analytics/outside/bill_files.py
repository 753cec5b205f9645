"""A provider's bill in FOCUS form: its files as one lazy frame of the columns that matter, whatever their version.

FOCUS 1.0 to 1.4 name the same costs and charges alike and differ in columns beside them, so that a version is told by
what is there. CSV (gzip too) and Parquet; everything is text until it is asked for, since a bill is not to be trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import polars as pl

from gpuledger.errors import OutsideError

COSTS: Final = {
    "billed": "BilledCost",
    "effective": "EffectiveCost",
    "contracted": "ContractedCost",
    "list": "ListCost",
}
REQUIRED: Final = ("BillingCurrency", "ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart", "ResourceId")
OPTIONAL: Final = (
    "ChargeClass", "ChargeDescription", "ConsumedQuantity", "ConsumedUnit", "InvoiceId", "PricingQuantity",
    "PricingUnit", "ResourceName", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "Tags",
)  # fmt: skip
FILE: Final = "file"
ROW: Final = "row"  # as a person counts them: the first row below the header is 1
PLACES: Final = 18
_NULLS: Final = ["", "NULL", "null"]
_GZIP: Final = ".gz"


class BillFile(NamedTuple):
    """One file: its rows as text, null where its version lacks a column, and the version that its columns are of."""

    path: Path
    version: str
    rows: pl.LazyFrame


def open_bill(path: Path, cost: str) -> BillFile:
    """Return a bill's file. Raises OutsideError where it cannot be read or lacks a column that counts."""
    try:
        scanned = _scan(path)
        schema = scanned.collect_schema()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(path, error) from error
    wanted = (*REQUIRED, COSTS[cost])
    missing = [name for name in wanted if name not in schema]
    if missing:
        raise OutsideError(
            f"{path.name} is no FOCUS bill: it has no column {', '.join(missing)}",
            hint="give the Cost and Usage dataset in FOCUS 1.0, 1.2, 1.3 or 1.4, as CSV or Parquet",
        )
    named = [pl.lit(str(path)).alias(FILE), (pl.col(ROW) + 1).alias(ROW)]
    texts = [_text(name, schema[name]) if name in schema else _absent(name) for name in (*wanted, *OPTIONAL)]
    return BillFile(path, _version(schema.names()), scanned.select(*named, *texts))


def whole_bill(files: Sequence[BillFile]) -> pl.LazyFrame:
    """Return the rows of all files."""
    return pl.concat([file.rows for file in files])


def collect(rows: pl.LazyFrame, what: str) -> pl.DataFrame:
    """Return the frame, read as a stream. Raises OutsideError where a file breaks off or is not what it says."""
    try:
        return rows.collect(engine="streaming")
    except (OSError, pl.exceptions.PolarsError) as error:
        raise _unreadable(Path(what), error) from error


def atoms(name: str) -> pl.Expr:
    """Return an amount in text in units of the eighteenth decimal, what is finer rounded; null where it is none."""
    return pl.col(name).str.strip_chars().cast(pl.Decimal(38, PLACES), strict=False).to_physical()


def instant(name: str) -> pl.Expr:
    """Return an instant in text (UTC) as microseconds; null where it is none."""
    text = pl.col(name).str.strip_chars().str.replace("T", " ").str.replace(r"(?:Z|\+00:?00| UTC)$", "")
    length = text.str.len_bytes()
    rest = pl.when(length == 10).then(pl.lit(" 00:00:00")).when(length == 16).then(pl.lit(":00")).otherwise(pl.lit(""))
    return (text + rest).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False).dt.epoch("us")


def _scan(path: Path) -> pl.LazyFrame:
    stem = path.name.removesuffix(_GZIP)
    if not path.is_file():
        raise FileNotFoundError("no such file")
    if stem.endswith(".parquet"):
        return pl.scan_parquet(path, row_index_name=ROW)
    if not stem.endswith(".csv"):
        raise OutsideError(f"{path.name} is neither CSV nor Parquet", hint="name it .csv, .csv.gz or .parquet")
    return pl.scan_csv(path, infer_schema=False, null_values=_NULLS, row_index_name=ROW)


def _text(name: str, kind: pl.DataType) -> pl.Expr:
    column = pl.col(name)
    if isinstance(kind, pl.Datetime):
        moment = column.dt.convert_time_zone("UTC") if kind.time_zone else column
        return moment.dt.strftime("%Y-%m-%d %H:%M:%S%.6f")
    if isinstance(kind, pl.Struct):
        return column.struct.json_encode()
    if isinstance(kind, pl.List):  # a map, as Parquet has it: pairs of key and value
        return column.map_elements(_pairs, return_dtype=pl.String)
    text = column.cast(pl.String)
    return pl.when(~text.is_in(_NULLS)).then(text).alias(name)


def _pairs(items: pl.Series) -> str:
    """Return a map's pairs as a JSON object; whatever else a list holds is none."""
    pairs = [item for item in items.to_list() if isinstance(item, dict) and item.keys() >= {"key", "value"}]
    return msgspec.json.encode({str(pair["key"]): pair["value"] for pair in pairs}).decode()


def _absent(name: str) -> pl.Expr:
    return pl.lit(None, dtype=pl.String).alias(name)


def _version(columns: Sequence[str]) -> str:
    """Return the version of FOCUS that first had these columns, and still had them."""
    if "ServiceProviderName" in columns:
        return "1.3" if "ProviderName" in columns else "1.4"
    if "InvoiceId" in columns or "BillingAccountType" in columns:
        return "1.2"
    return "1.1" if "SkuMeter" in columns or "CapacityReservationId" in columns else "1.0"


def _unreadable(path: Path, error: Exception) -> OutsideError:
    why = " ".join(str(error).split())[:200] or type(error).__name__
    return OutsideError(f"cannot read {path.name}: {why}", hint="give the files as the provider exports them")
