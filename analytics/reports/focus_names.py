"""What a line of a bill is called in FOCUS: its SKU, the resource, the use that it is allocated to, and its tags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import polars as pl

from analytics.reports.exact import or_null
from gpuledger.accounting.units import GPU_PARTS, US_PER_SECOND
from gpuledger.model import State

STATE_NAMES: Final = {int(state): state.label for state in State}
RESOURCE_TYPES: Final = {
    "gpu": "GPU",
    "mig": "MIG Instance",
    "remainder": "MIG Remainder",
    "pool": "GPU Pool",
}
PLATFORM: Final = "platform"
_DEVICE_TAGS: Final = ("cluster", "node", "pool", "model", "mig_profile")
_USE_TAGS: Final = (
    "organisation", "department", "team", "project", "namespace", "user_name", "slurm_account", "slurm_job",
    "workload_system", "workload_id", "workload_name",
)  # fmt: skip


def state() -> pl.Expr:
    """Return the name of a line's state."""
    return pl.col("state").replace_strict(STATE_NAMES, return_dtype=pl.String)


def sku_id() -> pl.Expr:
    """Return what the price book prices: the model, and which part of it."""
    part = (
        pl.when(pl.col("device_kind") == "remainder")
        .then(pl.format(" MIG remainder {}/{}", "parts", pl.lit(GPU_PARTS)))
        .when(pl.col("mig_profile") != "")
        .then(" MIG " + pl.col("mig_profile"))
        .otherwise(pl.lit(""))
    )
    return pl.col("model") + part


def sku_price_id() -> pl.Expr:
    """Return where the SKU is priced: prices may differ by cluster and pool. It outlives each version of the prices."""
    return pl.format("{}@{}/{}", sku_id(), "cluster", "pool")


def pricing_unit() -> pl.Expr:
    """Return the unit that a rate is for: an hour of a whole GPU, or of a device that is a part of one."""
    return pl.when(pl.col("parts") == GPU_PARTS).then(pl.lit("GPU-Hours")).otherwise(pl.lit("Device-Hours"))


def resource_type() -> pl.Expr:
    """Return what kind of device it is."""
    return pl.col("device_kind").replace_strict(RESOURCE_TYPES, default=pl.col("device_kind"))


def workload() -> pl.Expr:
    """Return the most telling name that a holder has; null where nobody holds."""
    job = "job " + or_null("slurm_job")
    names = ("workload_name", "workload_id", "pod")
    return pl.coalesce(*map(or_null, names), job, or_null("container"), "holder")


def use_name() -> pl.Expr:
    """Return what a line is allocated to, for people."""
    return pl.coalesce(workload(), state())


def use_id(origin: str) -> pl.Expr:
    """Return what a line is allocated to, unique in its origin: a holder in a state, as the ledger charges it."""
    reason = pl.when(pl.col("reason") == "").then(pl.lit("")).otherwise(":" + pl.col("reason"))
    use = pl.concat_str(
        pl.when(pl.col("holder").is_null()).then(pl.lit("")).otherwise(pl.col("holder") + "#"), state(), reason
    )
    turn = pl.int_range(pl.len()).over(origin, use)
    return pl.when(turn == 0).then(use).otherwise(pl.format("{}~{}", use, turn + 1))


def charge_id() -> pl.Expr:
    """Return what the ledger calls the charge of a line (of a correction: the one that it corrects)."""
    begins = pl.from_epoch(pl.col("hour_us") + pl.col("offset_us"), time_unit="us")
    within = pl.when(pl.col("offset_us") % US_PER_SECOND == 0).then(begins.dt.strftime("%FT%T"))
    hour = (
        pl.when(pl.col("offset_us") == 0)
        .then(begins.dt.strftime("%FT%H"))
        .otherwise(within.otherwise(begins.dt.strftime("%FT%T%.6f")))
    )
    names = [
        pl.col(name).fill_null("").str.replace_all("%", "%25", literal=True).str.replace_all("@", "%40", literal=True)
        for name in ("cluster", "node", "device", "holder")
    ]
    return pl.concat_str(hour, *names, state(), "reason", separator="@")


def description() -> pl.Expr:
    """Return a charge in words."""
    reason = pl.when(pl.col("reason") == "").then(pl.lit("")).otherwise(pl.format(" ({})", "reason"))
    by = pl.when(pl.col("holder").is_null()).then(pl.lit("")).otherwise(pl.format(", held by {}", workload()))
    return pl.concat_str(sku_id(), pl.lit(": "), state().str.replace_all("_", " "), reason, by)


def account_id(organisation: str, account: str) -> str:
    """Return the billing account of an organisation; `account` stands in where the owner names none."""
    return organisation or account


def sub_account_id(organisation: str, department: str, team: str) -> str:
    """Return the sub-account of a team, which no other has: its levels, without the widest that are empty."""
    levels = [part.replace("%", "%25").replace("/", "%2F") for part in (organisation, department, team)]
    return f"team:{'/'.join(levels).lstrip('/')}" if any(levels) else PLATFORM


def with_tags(lines: pl.DataFrame) -> pl.DataFrame:
    """Add `Tags` (of the device) and `AllocatedTags` (those, and those of the use), each as flat JSON."""
    device = _joined(lines, _DEVICE_TAGS, "Tags", lambda row: _tags(row, _DEVICE_TAGS))
    by = (*_DEVICE_TAGS, *_USE_TAGS, "labels")
    return _joined(device, by, "AllocatedTags", lambda row: {**_labels(row["labels"]), **_tags(row, by[:-1])})


def _joined(lines: pl.DataFrame, by: Sequence[str], name: str, make: Any) -> pl.DataFrame:  # noqa: ANN401 - a function
    found = lines.select(by).unique(maintain_order=True)
    texts = [msgspec.json.encode(make(row)).decode() for row in found.iter_rows(named=True)]
    column = pl.Series(name, texts, dtype=pl.String)
    return lines.join(found.with_columns(column), on=list(by), how="left", nulls_equal=True, maintain_order="left")


def _tags(row: Mapping[str, Any], names: Iterable[str]) -> dict[str, str]:
    return {name: row[name] for name in names if row[name]}


def _labels(text: str | None) -> dict[str, str]:
    """Return a holder's labels as tags that no tag of ours can be taken for."""
    labels = msgspec.json.decode(text, type=dict[str, str]) if text else {}
    return {f"label/{name}": value for name, value in labels.items()}
