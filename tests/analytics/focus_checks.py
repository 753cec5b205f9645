"""What no public validator checks of a FOCUS export, checked on every row and to the last digit."""

from __future__ import annotations

import csv
import json
import re
from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from pathlib import Path

from analytics.reports.focus_columns import cost_and_usage

Row = dict[str, str]
DECIMALS = (
    "BilledCost", "EffectiveCost", "ListCost", "ContractedCost", "ListUnitPrice", "ContractedUnitPrice",
    "PricingQuantity", "ConsumedQuantity", "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
)  # fmt: skip
INSTANTS = ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd")
NEVER_NULL = (
    *DECIMALS, *INSTANTS, "BillingAccountId", "BillingAccountType", "BillingCurrency", "ChargeCategory",
    "ChargeDescription", "ChargeFrequency", "ConsumedUnit", "InvoiceIssuerName", "PricingCategory", "PricingCurrency",
    "PricingUnit", "ResourceId", "ResourceType", "ServiceCategory", "ServiceName", "ServiceSubcategory", "SkuId",
    "SkuMeter", "SkuPriceDetails", "SkuPriceId", "SubAccountId", "SubAccountName", "SubAccountType", "Tags",
)  # fmt: skip
ONLY = {
    "ChargeCategory": {"Usage"},
    "ChargeClass": {"", "Correction"},
    "ChargeFrequency": {"Usage-Based"},
    "CapacityReservationStatus": {"", "Used", "Unused"},
    "PricingCategory": {"Standard"},
    "PricingUnit": {"GPU-Hours", "Device-Hours"},
    "ServiceCategory": {"Compute"},
    "ServiceSubcategory": {"Other (Compute)"},
}
_CUT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:")  # the name of a charge that begins within its hour
ROUNDING = Decimal("0.0000000015")  # of a charge: half a quantum of its hour's cost, and less than one of its split
TWELFTH = Decimal("0.000000000001")  # of its quantity


def read(path: Path) -> list[Row]:
    """Return the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def total(rows: list[Row], column: str = "BilledCost") -> Decimal:
    """Return an exact sum."""
    return sum((Decimal(row[column]) for row in rows), Decimal(0))


def by(rows: list[Row], column: str) -> dict[str, Decimal]:
    """Return exact sums of the billed cost by a column."""
    found: dict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row[column]] += Decimal(row["BilledCost"])
    return dict(found)


def check_cost_and_usage(rows: list[Row], spec: str) -> None:
    """Hold every row, and in 1.4 every split, against the rules."""
    with localcontext(prec=60):
        for row in rows:
            assert tuple(row) == cost_and_usage(spec)
            if row["x_AdjustmentKind"]:
                _check_adjustment(row, spec)
                continue
            _check_values(row)
            _check_figures(row)
            _check_times(row)
        if spec == "1.4":
            _check_splits([row for row in rows if not row["x_AdjustmentKind"]])


def _check_values(row: Row) -> None:
    assert not [name for name in NEVER_NULL if not row[name]]
    assert not [name for name, value in row.items() if value.strip().upper() in {"NULL", "NONE", "N/A", "''"}]
    for name, allowed in ONLY.items():
        assert row[name] in allowed, (name, row[name])
    assert bool(row["CapacityReservationId"]) == bool(row["CapacityReservationStatus"])
    for name in ("Tags", "SkuPriceDetails", "AllocatedTags"):
        values = json.loads(row.get(name) or "{}").values()
        assert all(isinstance(value, (str, int)) for value in values), "key-value JSON is flat"


def _check_figures(row: Row) -> None:
    for name in DECIMALS:
        assert re.fullmatch(r"-?\d+\.\d+", row[name]), (name, row[name])
    quantity = Decimal(row["PricingQuantity"])
    for kind in ("List", "Contracted"):
        assert Decimal(row[f"{kind}UnitPrice"]) * quantity == Decimal(row[f"{kind}Cost"])
    assert row["BilledCost"] == row["EffectiveCost"] == row["PricingCurrencyEffectiveCost"]
    roundings = 2 if row["ChargeClass"] else 1  # a correction is the difference of two charges
    most = roundings * ROUNDING + Decimal(row["ContractedUnitPrice"]) * TWELFTH
    assert abs(Decimal(row["BilledCost"]) - Decimal(row["ContractedCost"])) < most
    assert Decimal(row["ListUnitPrice"]) >= Decimal(row["ContractedUnitPrice"])


def _check_times(row: Row) -> None:
    for name in INSTANTS:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", row[name])
    start, end = (datetime.fromisoformat(row[f"ChargePeriod{name}"]) for name in ("Start", "End"))
    assert start < end <= start.replace(minute=0, second=0) + timedelta(hours=1)
    if not _CUT.match(row["x_ChargeId"]):
        assert (start.minute, start.second) == (0, 0)
    inside = row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
    assert inside == (row["ChargeClass"] == ""), "a correction is of an earlier period, a charge of its own"


def _check_adjustment(row: Row, spec: str) -> None:
    """Hold a row of no device to what it is: no split, no consumption, no price."""
    costs = {row[name] for name in ("BilledCost", "EffectiveCost", "ListCost", "ContractedCost")}
    assert len(costs) == 1
    assert re.fullmatch(r"-?\d+\.\d+", row["BilledCost"])
    assert row["ChargeCategory"] in {"Credit", "Adjustment"}
    assert row["ChargeFrequency"] != "Usage-Based"
    absent = (
        "PricingQuantity", "PricingUnit", "ListUnitPrice", "ContractedUnitPrice", "SkuPriceId", "PricingCategory",
        "ConsumedQuantity", "ConsumedUnit", "ResourceId", "CapacityReservationStatus",
    )  # fmt: skip
    assert not [name for name in absent if row[name]]
    assert row["InvoiceId"]
    assert row["ChargeDescription"]
    inside = row["BillingPeriodStart"] <= row["ChargePeriodStart"] < row["BillingPeriodEnd"]
    assert inside == (row["ChargeClass"] == ""), "a correction is of an earlier period"
    if spec == "1.4":
        assert not any(row[name] for name in ("x_SplitOriginId", "AllocatedMethodId", "AllocatedResourceId"))


def _check_splits(rows: list[Row]) -> None:
    origins: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        origins[row["x_SplitOriginId"]].append(row)
    for name, shares in origins.items():
        assert {Decimal(row["x_SplitOriginCost"]) for row in shares} == {total(shares)}, name
        elements = [_element(row) for row in shares]
        assert sum(element["AllocatedRatio"] for element in elements) == 1, name
        assert all(0 <= element["AllocatedRatio"] <= 1 for element in elements), name
        assert len({row["AllocatedResourceId"] for row in shares}) == len(shares), name
        for same in ("ListUnitPrice", "PricingUnit", "ResourceId", "SkuPriceId", "AllocatedMethodId", "Tags"):
            assert len({row[same] for row in shares}) == 1, (name, same)
        for row, element in zip(shares, elements, strict=True):
            assert element["UsageQuantity"] == Decimal(row["PricingQuantity"])
            assert json.loads(row["Tags"]).items() <= json.loads(row["AllocatedTags"]).items()
        assert (len(shares) == 1) or not any(row["ChargeClass"] for row in shares), "a correction is its own origin"


def _element(row: Row) -> dict[str, Decimal]:
    [element] = json.loads(row["AllocatedMethodDetails"], parse_float=Decimal)["Elements"]
    found: dict[str, Decimal] = element
    return found
