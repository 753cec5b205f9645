"""Adjustments as rows of Cost and Usage: lines of a bill that are no hours of a device, each on its invoice's line.

What an owner gets for a fault or free of charge is a `Credit`; everything else is an `Adjustment`, capacity that is
paid without being there too: a `Purchase` in FOCUS pays for what comes later and counts as such. None of them is split,
so that none has an origin; one that is for a closed period is a `Correction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import polars as pl

from analytics.reports.focus_columns import cost_and_usage
from analytics.reports.focus_invoices import charge_category, line_ids
from analytics.reports.focus_names import PLATFORM, account_id, sub_account_id
from analytics.reports.focus_periods import BillingPeriod, Issuer, issued, second
from gpuledger.accounting.adjustments import COMMITMENT
from gpuledger.accounting.money import quanta
from gpuledger.accounting.periods import parse_instant

Document = Mapping[str, Any]
CONTRACT: Final = "contract "  # how the reference to a contract begins
_KEY: Final = (
    "organisation", "department", "team", "kind", "corrects", "project", "model", "mig_profile", "state", "because",
)  # fmt: skip


def adjustment_rows(
    adjustments: Sequence[Document],
    documents: Sequence[Document],
    *,
    spec: str,
    currency: str,
    period: BillingPeriod,
    issuer: Issuer,
) -> pl.DataFrame:
    """Return the rows of a closed period's adjustments, in their order; `documents` are its invoices.

    Raises KeyError where an adjustment is on no line of them.
    """
    ids = {tuple(line[name] for name in _KEY): found for line, found in line_ids(documents)}
    rows = [
        {
            **issued(currency, period, issuer),
            **_owner(each, issuer),
            **ids[tuple(each[name] for name in _KEY)],
            **_charge(each),
        }
        for each in adjustments
    ]
    columns = cost_and_usage(spec)
    known = [{name: row.get(name) for name in columns} for row in rows]
    return pl.DataFrame(known, schema=dict.fromkeys(columns, pl.String()))


def adjusted_quanta(adjustments: Sequence[Document]) -> int:
    """Return what they sum to."""
    return sum(quanta(Decimal(each["cost"])) for each in adjustments)


def _owner(each: Document, issuer: Issuer) -> dict[str, str | None]:
    account = account_id(each["organisation"], issuer.account)
    return {
        "BillingAccountId": account,
        "BillingAccountName": account,
        "SubAccountId": sub_account_id(each["organisation"], each["department"], each["team"]),
        "SubAccountName": each["team"] or PLATFORM,
        "SubAccountType": "Team" if each["team"] else "Platform",
        "x_Department": each["department"] or None,
        "x_Project": each["project"] or None,
    }


def _charge(each: Document) -> dict[str, str | None]:
    cost = _decimal(each["cost"])
    return {
        **dict.fromkeys(
            ("BilledCost", "EffectiveCost", "ContractedCost", "ListCost", "PricingCurrencyEffectiveCost"), cost
        ),
        "ChargeCategory": charge_category(each),
        "ChargeClass": "Correction" if each["corrects"] else None,
        "ChargeDescription": each["because"],
        "ChargeFrequency": "Recurring" if each["kind"] == COMMITMENT else "One-Time",
        "ChargePeriodStart": second(parse_instant(each["from"])),
        "ChargePeriodEnd": second(parse_instant(each["to"])),
        "ContractApplied": _applied(each),
        "x_AdjustmentKind": each["kind"],
        "x_AdjustmentReference": each["reference"] or None,
        "x_CorrectsPeriod": each["corrects"] or None,
        "x_State": each["state"] or None,
    }


def _applied(each: Document) -> str | None:
    """Return which contract a commitment is of, its cost a JSON number as exact as the charge's."""
    contract = each["reference"].removeprefix(CONTRACT)
    if each["kind"] != COMMITMENT or contract == each["reference"]:
        return None
    name, cost = msgspec.json.encode(contract).decode(), _decimal(each["cost"])
    return (
        f'{{"Elements":[{{"ContractId":{name},"ContractCommitmentId":{name},"ContractCommitmentAppliedCost":{cost}}}]}}'
    )


def _decimal(text: str) -> str:
    """Return an amount as the other rows have it: one decimal at least, no needless zeros."""
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals.rstrip('0') or '0'}"
