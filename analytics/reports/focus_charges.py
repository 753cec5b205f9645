"""The Cost and Usage dataset: one row a line of the bill, each column as FOCUS defines it, all figures exact text.

`BilledCost` and `EffectiveCost` are what the ledger charged. `ListCost` and `ContractedCost` are the unit price times
`PricingQuantity` to the last digit, as FOCUS asks. The contracted one differs from what was charged by what the ledger
rounds (half a quantum a device-hour, and less than one in its split), and by the twelfth decimal of the quantity; the
list one by the discount too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from analytics.reports import focus_names as names
from analytics.reports.exact import QUANTA_PLACES, decimal_text, money_text, or_null, scaled, wide
from analytics.reports.focus_columns import cost_and_usage
from analytics.reports.focus_invoices import LINE_KEY
from analytics.reports.focus_periods import BillingPeriod, Issuer, issued
from analytics.reports.focus_split import METHOD, PLACES, method_details, with_ends, with_shares
from gpuledger.accounting.units import GPU_PARTS, MJ_PER_KWH, US_PER_HOUR
from gpuledger.model import HELD_STATES, State

_HELD: Final = [int(state) for state in HELD_STATES]
_MICRO: Final = 10**6


def charge_rows(
    lines: pl.DataFrame, *, spec: str, currency: str, period: BillingPeriod, issuer: Issuer, invoices: pl.DataFrame
) -> pl.DataFrame:
    """Return the rows of priced bill lines, in their order; `invoices` is what `line_keys` returns for the period.

    Lines of a device's hour belong together: the split needs all of them. Lines without a price are for the caller to
    refuse or to leave out: no cost is not zero.
    """
    split = with_shares(names.with_tags(with_ends(lines))).with_columns(
        names.state().alias("state_name"), pl.col("corrects").fill_null("")
    )
    owners = _accounts(split, issuer)
    numbered = owners.join(invoices, on=list(LINE_KEY), how="left", maintain_order="left")
    constant = _constants(currency, period, issuer)
    columns: dict[str, pl.Expr] = {**constant, **_costs(), **_quantities(), **_things(), **_split(), **_ours()}
    absent = pl.lit(None, dtype=pl.String)
    return numbered.select(
        (pl.col(name) if name in numbered.columns and name not in columns else columns.get(name, absent)).alias(name)
        for name in cost_and_usage(spec)
    )


def _accounts(lines: pl.DataFrame, issuer: Issuer) -> pl.DataFrame:
    """Add the billing account and the sub-account of each owner."""
    owner = ["organisation", "department", "team"]
    found = lines.select(owner).unique(maintain_order=True)
    accounts = [
        {
            **row,
            "BillingAccountId": names.account_id(row["organisation"], issuer.account),
            "SubAccountId": names.sub_account_id(**row),
        }
        for row in found.iter_rows(named=True)
    ]
    schema = dict.fromkeys([*owner, "BillingAccountId", "SubAccountId"], pl.String())
    return lines.join(pl.DataFrame(accounts, schema=schema), on=owner, how="left", maintain_order="left")


def _constants(currency: str, period: BillingPeriod, issuer: Issuer) -> dict[str, pl.Expr]:
    texts: Mapping[str, str] = {
        **issued(currency, period, issuer),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ConsumedUnit": "GPU-Hours",
        "PricingCategory": "Standard",
        "SkuMeter": "Device time",
    }
    return {name: pl.lit(text) for name, text in texts.items()}


def _costs() -> dict[str, pl.Expr]:
    charged = money_text("cost_quanta")
    price, list_price = money_text("rate_quanta"), money_text("list_rate_quanta")
    product, list_product = (
        decimal_text(wide(rate) * pl.col("hours"), QUANTA_PLACES + PLACES)
        for rate in ("rate_quanta", "list_rate_quanta")
    )
    return {
        "BilledCost": charged,
        "EffectiveCost": charged,
        "PricingCurrencyEffectiveCost": charged,
        "ListCost": list_product,
        "ContractedCost": product,
        "ListUnitPrice": list_price,
        "ContractedUnitPrice": price,
        "PricingCurrencyListUnitPrice": list_price,
        "PricingCurrencyContractedUnitPrice": price,
    }


def _quantities() -> dict[str, pl.Expr]:
    begins = pl.from_epoch(pl.col("hour_us") + pl.col("offset_us"), time_unit="us")
    return {
        "PricingQuantity": decimal_text(pl.col("hours"), PLACES),
        "PricingUnit": names.pricing_unit(),
        "ConsumedQuantity": decimal_text(pl.col("part_hours"), PLACES),
        "ChargePeriodStart": begins.dt.strftime("%FT%TZ"),
        "ChargePeriodEnd": pl.from_epoch("end_us", time_unit="us").dt.strftime("%FT%TZ"),
        "ChargeClass": pl.when(pl.col("corrects") != "").then(pl.lit("Correction")),
        "ChargeDescription": names.description(),
    }


def _things() -> dict[str, pl.Expr]:
    watched = pl.col("state") != int(State.UNOBSERVED)
    used = pl.when(pl.col("state").is_in(_HELD)).then(pl.lit("Used")).otherwise(pl.lit("Unused"))
    part = pl.concat_str(pl.lit('{"x_GpuParts":'), pl.col("parts"), pl.lit(f',"x_PartsOfGpu":{GPU_PARTS}}}'))
    size = pl.when(pl.col("parts") == GPU_PARTS).then(pl.lit('{"GpuCount":1}')).otherwise(part)
    return {
        "ResourceId": pl.col("device"),
        "ResourceType": names.resource_type(),
        "SkuId": names.sku_id(),
        "SkuPriceId": names.sku_price_id(),
        "SkuPriceDetails": size,
        "CapacityReservationId": pl.when(watched).then(pl.col("device")),
        "CapacityReservationStatus": pl.when(watched).then(used),
        "SubAccountName": pl.coalesce(or_null("team"), pl.lit(names.PLATFORM)),
        "SubAccountType": pl.when(pl.col("team") == "").then(pl.lit("Platform")).otherwise(pl.lit("Team")),
        "BillingAccountName": pl.col("BillingAccountId"),
    }


def _split() -> dict[str, pl.Expr]:
    details = method_details(
        decimal_text(pl.col("ratio"), PLACES), decimal_text(pl.col("hours"), PLACES), names.pricing_unit()
    )
    return {
        "AllocatedMethodId": pl.lit(METHOD),
        "AllocatedMethodDetails": details,
        "AllocatedResourceId": names.use_id("x_SplitOriginId"),
        "AllocatedResourceName": names.use_name(),
    }


def _ours() -> dict[str, pl.Expr]:
    known = pl.col("active_us").is_not_null() & ((pl.col("active_unknown_us") == 0) | (pl.col("active_us") > 0))
    hours = scaled(wide("active_us") * wide("parts"), US_PER_HOUR * GPU_PARTS, PLACES)
    metered = (pl.col("energy_unknown_us") == 0) | (pl.col("energy_unknown_us") < pl.col("held_us"))
    grams = wide("energy_mj") * wide(pl.col("carbon_g_per_kwh") * _MICRO)
    return {
        "x_ActiveHours": pl.when(known).then(decimal_text(hours, PLACES)),
        "x_ActiveCost": money_text("active_cost_quanta"),
        "x_EnergyKwh": pl.when(metered).then(decimal_text(scaled(wide("energy_mj"), MJ_PER_KWH, 9), 9)),
        "x_CarbonGramsCo2e": pl.when(metered).then(decimal_text(scaled(grams, MJ_PER_KWH * _MICRO, 6), 6)),
        "x_ChargeId": names.charge_id(),
        "x_Cluster": pl.col("cluster"),
        "x_Node": or_null("node"),
        "x_Pool": or_null("pool"),
        "x_CorrectsPeriod": or_null("corrects"),
        "x_Department": or_null("department"),
        "x_Project": or_null("project"),
        "x_HolderId": pl.col("holder"),
        "x_HolderKind": pl.col("holder_kind"),
        "x_Namespace": or_null("namespace"),
        "x_User": or_null("user_name"),
        "x_Workload": names.workload(),
        "x_WorkloadSystem": or_null("workload_system"),
        "x_RunId": or_null("workload_id"),
        "x_State": pl.col("state_name"),
        "x_Reason": or_null("reason"),
        "x_PriceVersion": pl.col("price_version").cast(pl.String),
        "x_PriceEntry": pl.col("price_entry").cast(pl.String),
        "x_OwnerVersion": pl.col("owner_version").cast(pl.String),
    }
