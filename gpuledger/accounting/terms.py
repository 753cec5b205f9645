"""The terms of a price: a stated rate or one built up from costs, a discount, and an exchange rate.

A rate is worked out as an exact fraction and rounded once, half to even, to a quantum an hour. Its list rate is before
the discount and its contracted rate after it; both come from the fraction, not one from the other.

Depreciation is straight line over real hours: a month is 730.485 hours, the mean of the Gregorian calendar (146,097
days in 4,800 months). So an hour costs the same in February as in March, whenever the card was bought, and over all its
months the hours add up to the capital cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

from gpuledger.accounting.money import QUANTA_PER_UNIT

HOURS_PER_MONTH: Final = Fraction(146_097 * 24, 4_800)
_WATTS: Final = 1_000  # in a kilowatt
_PERCENT: Final = 100


class Component(NamedTuple):
    """One part of a built-up rate: what it is, how it came about in words, and what it adds to an hour."""

    name: str
    because: str
    per_hour: Fraction


class RateTerms(NamedTuple):
    """What an entry states about its rate, as it is kept; what is not stated is None or empty.

    Either `stated_rate` or components: capital cost with its months, an energy price with PUE and the board's nominal
    draw, and overheads (an amount an hour, and a percentage on top of all the rest). Amounts are per hour of what the
    entry prices, in `currency`; that is the book's own where it is empty, and else `exchange_rate` units of the book's
    currency are paid for one of its own.
    """

    stated_rate: Decimal | None = None
    capital_cost: Decimal | None = None
    depreciation_months: int | None = None
    energy_price_per_kwh: Decimal | None = None
    pue: Decimal | None = None
    power_w: Decimal | None = None
    overhead_per_hour: Decimal | None = None
    overhead_percent: Decimal | None = None
    discount_percent: Decimal | None = None
    currency: str = ""
    exchange_rate: Decimal | None = None
    exchange_source: str = ""
    exchange_date: str = ""

    @property
    def components(self) -> tuple[Component, ...]:
        """Return what the rate is built from, in its own currency; nothing where the rate is stated."""
        parts = tuple(self._costs())
        if self.overhead_percent is None:
            return parts
        on_top = sum((part.per_hour for part in parts), Fraction(0)) * Fraction(self.overhead_percent) / _PERCENT
        return (*parts, Component("overhead", f"{plain(self.overhead_percent)}% of the above", on_top))

    @property
    def list_quanta(self) -> int:
        """Return the hourly rate before the discount, in quanta of the book's currency."""
        return round(self._exact() * QUANTA_PER_UNIT)  # a fraction is rounded half to even

    @property
    def rate_quanta(self) -> int:
        """Return the hourly rate that is charged: after the discount, in quanta of the book's currency."""
        kept = 1 - Fraction(self.discount_percent or 0) / _PERCENT
        return round(self._exact() * kept * QUANTA_PER_UNIT)

    def explain(self) -> list[str]:
        """Return in words how the rate comes about, a step each; empty where it is stated in the book's currency."""
        own = f" {self.currency}" if self.currency else ""
        steps = [f"{part.name}: {part.because} = {_amount(part.per_hour)}{own} an hour" for part in self.components]
        if self.stated_rate is not None and own:
            steps.append(f"list rate: {plain(self.stated_rate)}{own} an hour")
        if self.exchange_rate is not None:
            steps.append(
                f"exchange: 1{own} = {plain(self.exchange_rate)} ({self.exchange_source}, {self.exchange_date})"
            )
        if self.discount_percent is not None:
            steps.append(f"discount: {plain(self.discount_percent)}%")
        return steps

    def _costs(self) -> Iterator[Component]:
        if self.capital_cost is not None and self.depreciation_months is not None:
            per_hour = Fraction(self.capital_cost) / (self.depreciation_months * HOURS_PER_MONTH)
            months = f"{plain(self.capital_cost)} over {self.depreciation_months} months of 730.485 hours"
            yield Component("capital", months, per_hour)
        if self.energy_price_per_kwh is not None and self.pue is not None and self.power_w is not None:
            per_hour = Fraction(self.energy_price_per_kwh) * Fraction(self.pue) * Fraction(self.power_w) / _WATTS
            draw = f"{plain(self.energy_price_per_kwh)} per kWh x PUE {plain(self.pue)} x {plain(self.power_w)} W"
            yield Component("energy", draw, per_hour)
        if self.overhead_per_hour is not None:
            yield Component("overhead", "by the hour", Fraction(self.overhead_per_hour))

    def _exact(self) -> Fraction:
        rate = Fraction(self.stated_rate or 0) + sum((part.per_hour for part in self.components), Fraction(0))
        return rate * Fraction(1 if self.exchange_rate is None else self.exchange_rate)


def plain(number: Decimal) -> str:
    """Return a decimal without trailing zeros and without an exponent."""
    return f"{number.normalize():f}"


def _amount(per_hour: Fraction) -> str:
    return f"{Decimal(round(per_hour * QUANTA_PER_UNIT)).scaleb(-9):f}"
