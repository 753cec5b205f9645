"""The Contract Commitment dataset (FOCUS 1.4): one record a contract of GPUs that are paid, there or not.

A contract comes as a row of `CONTRACTS`: its scope as the price book has it (globs but for cluster and pool), how many
GPUs, the rate of a GPU's hour, and when it runs. A contract without an end is committed, as far as a record can say it,
until the end of what is exported.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import msgspec
import polars as pl

from analytics.reports.focus_columns import CONTRACT_COMMITMENT
from analytics.reports.focus_periods import Issuer, second
from gpuledger.accounting.money import cost_quanta, from_quanta, quanta
from gpuledger.accounting.periods import parse_instant
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR, US_PER_SECOND

CONTRACTS: Final[dict[str, pl.DataType]] = {
    **dict.fromkeys(("name", "vendor", "cluster", "pool", "model", "mig_profile", "node"), pl.String()),
    "gpus": pl.Int64(),
    "currency": pl.String(),
    "rate_quanta": pl.Int64(),  # of a committed hour of a GPU
    "list_rate_quanta": pl.Int64(),  # before the discount; null where there is none
    "from_us": pl.Int64(),
    "to_us": pl.Int64(),  # null: it has no end
    "since_us": pl.Int64(),  # since when it stands as it does
}
_GLOB: Final = frozenset("*?[")
_PLACES: Final = Decimal("0.000000000001")


def contract_frame(answer: Mapping[str, Any]) -> pl.DataFrame:
    """Return the contracts of a `/v1/contracts` answer, each as its newest row has it, in the order of their names.

    The answer says when a contract runs, not when somebody entered it: it stands since it began.
    """
    newest = {row["contract"]: row for row in answer["rows"]}
    rows = [
        {
            **{name: row[name] for name in ("vendor", "cluster", "pool", "model", "mig_profile", "node", "gpus")},
            "name": name,
            "currency": answer["currency"],
            "rate_quanta": quanta(Decimal(row["rate"])),
            "list_rate_quanta": quanta(Decimal(row["list_rate"])),
            "from_us": parse_instant(row["valid_from"]),
            "to_us": parse_instant(row["valid_to"]) if row["valid_to"] else None,
            "since_us": parse_instant(row["valid_from"]),
        }
        for name, row in sorted(newest.items())
    ]
    return pl.DataFrame(rows, schema=CONTRACTS)


def contract_commitment_rows(contracts: pl.DataFrame, issuer: Issuer, *, at_us: int, until_us: int) -> pl.DataFrame:
    """Return the records of contracts (columns as in CONTRACTS) as they stand at `at_us`, in their order.

    `until_us` is where one that has no end is taken to end, or an hour after it began, whichever is later.
    """
    rows = [_record(row, issuer, at_us, until_us) for row in contracts.select(*CONTRACTS).iter_rows(named=True)]
    return pl.DataFrame(rows, schema=dict.fromkeys(CONTRACT_COMMITMENT, pl.String()))


def _record(row: Mapping[str, Any], issuer: Issuer, at_us: int, until_us: int) -> dict[str, str | None]:
    end_us = row["to_us"] if row["to_us"] is not None else max(until_us, row["from_us"] + US_PER_HOUR)
    term_us = end_us - row["from_us"]
    cost = _amount(from_quanta(cost_quanta(row["rate_quanta"] * row["gpus"], term_us)))
    start, end, since = (second(instant) for instant in (row["from_us"], end_us, row["since_us"]))
    seller = row["vendor"] or issuer.name
    return {
        "BillingCurrency": row["currency"],
        "ContractCommitmentApplicability": msgspec.json.encode(_applicability(row)).decode(),
        "ContractCommitmentBenefitCategory": "Availability",
        "ContractCommitmentCategory": "Usage",
        "ContractCommitmentCost": cost,
        "ContractCommitmentCreated": since,
        "ContractCommitmentDescription": f"{row['gpus']:,} GPUs of {row['cluster']}, paid whether there or not",
        "ContractCommitmentDiscountPercentage": _discount(row["rate_quanta"], row["list_rate_quanta"]),
        "ContractCommitmentDurationType": duration(row["from_us"], end_us),
        "ContractCommitmentFulfillmentInterval": "Hourly",
        "ContractCommitmentId": row["name"],
        "ContractCommitmentLastUpdated": since,
        "ContractCommitmentLifecycleStatus": _status(row, at_us),
        "ContractCommitmentModel": "Continuous",
        "ContractCommitmentOfferCategory": "Negotiated",
        "ContractCommitmentPaymentInterval": "Monthly",
        "ContractCommitmentPaymentModel": "No Upfront",
        "ContractCommitmentPaymentUpfrontPercentage": "0.0",
        "ContractCommitmentPeriodEnd": end,
        "ContractCommitmentPeriodStart": start,
        "ContractCommitmentQuantity": _amount(_rounded(Decimal(row["gpus"] * term_us) / US_PER_HOUR)),
        "ContractCommitmentType": "GPU capacity",
        "ContractCommitmentUnit": "GPU-Hours",
        "ContractId": row["name"],
        "ContractPeriodEnd": end,
        "ContractPeriodStart": start,
        "InvoiceIssuerName": seller,
        "PricingCurrency": row["currency"],
        "PricingCurrencyContractCommitmentCost": cost,
        "ServiceProviderName": seller,
    }


def duration(from_us: int, to_us: int) -> str:
    """Return a term as FOCUS words it: years or months of the calendar, else days, hours or minutes, rounded up."""
    months = _months(from_us, to_us)
    if months and months % 12 == 0:
        return _count(months // 12, "Year")
    if months:
        return _count(months, "Month")
    for unit, name in ((US_PER_DAY, "Day"), (US_PER_HOUR, "Hour")):
        if (to_us - from_us) % unit == 0:
            return _count((to_us - from_us) // unit, name)
    return _count(-(-(to_us - from_us) // (60 * US_PER_SECOND)), "Minute")


def _months(from_us: int, to_us: int) -> int:
    """Return how many months of the calendar a term has; 0 where it is not a whole number of them."""
    start, end = (datetime.fromtimestamp(at_us // US_PER_SECOND, UTC) for at_us in (from_us, to_us))
    whole = (start.day, start.time(), from_us % US_PER_SECOND) == (end.day, end.time(), to_us % US_PER_SECOND)
    return (end.year - start.year) * 12 + end.month - start.month if whole else 0


def _count(number: int, name: str) -> str:
    return f"{number} {name}" if number == 1 else f"{number} {name}s"


def _status(row: Mapping[str, Any], at_us: int) -> str:
    if at_us < row["from_us"]:
        return "Pending"
    return "Expired" if row["to_us"] is not None and at_us >= row["to_us"] else "Active"


def _applicability(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the scope as rules over columns of Cost and Usage; complex where FOCUS has no operator for a pattern."""
    rules = list(_rules(row))
    if None in rules:
        return {"IsComplexScope": True}
    return {"InclusionOperator": "And", "Inclusions": rules}


def _rules(row: Mapping[str, Any]) -> Iterator[dict[str, Any] | None]:
    yield _rule("x_Cluster", "In", row["cluster"])
    if row["pool"]:
        yield _rule("x_Pool", "In", row["pool"])
    for column, pattern in (("SkuId", row["model"]), ("x_Node", row["node"])):
        if pattern not in ("", "*"):
            yield _matching(column, pattern)
    if row["mig_profile"] not in ("", "*"):
        yield None if _GLOB & set(row["mig_profile"]) else _rule("SkuId", "EndsWith", f" MIG {row['mig_profile']}")


def _matching(column: str, pattern: str) -> dict[str, Any] | None:
    """Return a glob as one operator; a model stands at the beginning of a SKU, which goes on with the profile."""
    start = pattern.removesuffix("*")
    if _GLOB & set(start):
        return None
    exact = start == pattern and column != "SkuId"
    return _rule(column, "In" if exact else "StartsWith", start)


def _rule(column: str, operator: str, value: str) -> dict[str, Any]:
    return {"Dimension": column, "Operator": operator, "Values": [value]}


def _discount(rate_quanta: int, list_rate_quanta: int | None) -> str | None:
    """Return the share of the list rate that is not paid; null where there is no list rate above the rate."""
    if not list_rate_quanta or list_rate_quanta < rate_quanta:
        return None
    return _amount(_rounded(1 - Decimal(rate_quanta) / list_rate_quanta))


def _rounded(value: Decimal) -> Decimal:
    return value.quantize(_PLACES)


def _amount(value: Decimal) -> str:
    whole, _, decimals = f"{value:f}".partition(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"
