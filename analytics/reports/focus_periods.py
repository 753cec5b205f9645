"""Which billing periods an export takes, and the Billing Period dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.reports.focus_columns import BILLING_PERIOD
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period, iso, parse_instant
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.errors import ConfigError

Document = Mapping[str, Any]
CLOSED: Final = "closed"
SERVICE: Final = "GPU Compute"


class Issuer(NamedTuple):
    """Who bills: the name on the invoices, the account of owners without an organisation, and the terms of payment."""

    name: str
    account: str
    terms: str


class BillingPeriod(NamedTuple):
    """A billing period, and the part `[start_us, end_us)` of it that is exported; a closed one only whole."""

    label: str
    from_us: int
    to_us: int
    start_us: int
    end_us: int
    closed: bool
    updated_us: int
    cost: Decimal | None  # what a closed one comes to

    @property
    def part(self) -> Period:
        """Return the exported part."""
        return Period(self.start_us, self.end_us, f"{iso(self.start_us)}..{iso(self.end_us)}")

    @property
    def whole(self) -> Period:
        """Return the period as it is billed."""
        return Period(self.from_us, self.to_us, f"{iso(self.from_us)}..{iso(self.to_us)}")


def select_periods(answer: Document, wanted: Period, known_until: str | None) -> list[BillingPeriod]:
    """Return the billing periods of a `periods` answer that lie in `wanted`, in order of time.

    Of an open one only the hours are taken that are over and known. Raises ConfigError where `wanted` cuts a closed
    period, whose bill is one whole, or where nothing is left.
    """
    known_us = parse_instant(known_until) // US_PER_HOUR * US_PER_HOUR if known_until else 0
    found = [_selected(row, wanted, known_us) for row in answer["rows"]]
    taken = [period for period in found if period.end_us > period.start_us]
    if not taken:
        raise ConfigError(f"nothing is known of {wanted.label}", hint='"gpuledger period list" shows what there is')
    return taken


def billing_period_rows(periods: Sequence[BillingPeriod], issuer: Issuer) -> pl.DataFrame:
    """Return the Billing Period dataset."""
    rows = [
        {
            "BillingPeriodCreated": second(period.from_us),
            "BillingPeriodEnd": second(period.to_us),
            "BillingPeriodLastUpdated": second(period.updated_us),
            "BillingPeriodStart": second(period.from_us),
            "BillingPeriodStatus": "Closed" if period.closed else "Open",
            "InvoiceIssuerName": issuer.name,
        }
        for period in periods
    ]
    return pl.DataFrame(rows, schema=dict.fromkeys(BILLING_PERIOD, pl.String()))


def issued(currency: str, period: BillingPeriod, issuer: Issuer) -> dict[str, str]:
    """Return what all rows of Cost and Usage on one bill have in common: whose it is, of when, and of what service."""
    return {
        "BillingAccountType": "Organization",
        "BillingCurrency": currency,
        "BillingPeriodEnd": second(period.to_us),
        "BillingPeriodStart": second(period.from_us),
        "HostProviderName": issuer.name,
        "InvoiceIssuerName": issuer.name,
        "PricingCurrency": currency,
        "ProviderName": issuer.name,
        "PublisherName": issuer.name,
        "ServiceCategory": "Compute",
        "ServiceName": SERVICE,
        "ServiceProviderName": issuer.name,
        "ServiceSubcategory": "Other (Compute)",
    }


def second(at_us: int) -> str:
    """Return an instant as FOCUS writes it, to the second."""
    return iso(at_us // US_PER_SECOND * US_PER_SECOND)


def _selected(row: Document, wanted: Period, known_us: int) -> BillingPeriod:
    from_us, to_us = parse_instant(row["from"]), parse_instant(row["to"])
    closed = row["state"] == CLOSED
    both = Interval(max(from_us, wanted.start_us), min(to_us, wanted.end_us))
    if closed and both.end_us > both.start_us and both != (from_us, to_us):
        raise ConfigError(
            f"{wanted.label} cuts the billing period {row['label']}, which is closed: its bill is one whole",
            hint=f"ask for {row['from']}..{row['to']}, or for a period that holds all of it",
        )
    end_us = both.end_us if closed else min(both.end_us, known_us)
    return BillingPeriod(
        label=row["label"],
        from_us=from_us,
        to_us=to_us,
        start_us=both.start_us,
        end_us=end_us,
        closed=closed,
        updated_us=parse_instant(row["closed_at"]) if closed else max(from_us, end_us),
        cost=Decimal(row["cost"]) if closed else None,
    )
