"""Providers' bills for tests, in the columns of each version of FOCUS."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

VERSIONS = ("1.0", "1.2", "1.3", "1.4")
_ALL = (
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory",
    "ChargeClass", "ChargeDescription", "ChargePeriodEnd", "ChargePeriodStart", "ConsumedQuantity", "ConsumedUnit",
    "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit", "ResourceId",
    "ResourceName", "ResourceType", "ServiceCategory", "ServiceName", "SkuId", "SkuPriceId", "Tags",
)  # fmt: skip
COLUMNS = {
    "1.0": (*_ALL, "ProviderName", "PublisherName"),
    "1.2": (*_ALL, "ProviderName", "PublisherName", "SkuMeter", "SkuPriceDetails", "InvoiceId", "BillingAccountType"),
    "1.3": (*_ALL, "ProviderName", "PublisherName", "ServiceProviderName", "HostProviderName", "SkuMeter",
            "SkuPriceDetails", "InvoiceId", "AllocatedMethodId", "ContractApplied"),
    "1.4": (*_ALL, "ServiceProviderName", "HostProviderName", "SkuMeter", "SkuPriceDetails", "InvoiceId",
            "InvoiceDetailId", "AllocatedMethodId", "ContractApplied"),
}  # fmt: skip


def charge(start: str, end: str, resource: str | None, cost: str, **changes: Any) -> dict[str, Any]:
    """Return a row: an hour or more of a machine, priced by the hour."""
    fields = {
        "BilledCost": cost, "EffectiveCost": cost, "ContractedCost": cost, "ListCost": cost, "BillingCurrency": "EUR",
        "ChargeCategory": "Usage", "ChargePeriodStart": start, "ChargePeriodEnd": end, "ResourceId": resource,
        "PricingUnit": "Hours", "PricingQuantity": "1", "SkuId": "p5.48xlarge", "ServiceName": "Compute",
        "SkuPriceDetails": '{"GpuCount":2}', "ProviderName": "Cloud", "ServiceProviderName": "Cloud",
    }  # fmt: skip
    return {**fields, **changes}


def bill_csv(path: Path, rows: Sequence[Mapping[str, Any]], version: str = "1.4") -> Path:
    """Write a bill; compressed where the name ends in .gz."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS[version], extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    data = text.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path
