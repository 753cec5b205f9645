"""Money: an exact decimal amount and its currency, and the quantum that charges are counted in.

A charge is a whole number of quanta (one thousand-millionth of the currency's unit), so that charges split and sum as
integers; people see them rounded once, where they are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, NamedTuple

from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConservationError

QUANTUM: Final = Decimal("0.000000001")
QUANTA_PER_UNIT: Final = 1_000_000_000


class Money(NamedTuple):
    """An exact amount in one currency (ISO 4217 code)."""

    amount: Decimal
    currency: str

    def plus(self, other: Money) -> Money:
        """Return the sum; raises ConservationError where the currencies differ."""
        if other.currency != self.currency:
            raise ConservationError(
                f"cannot add {other.currency} to {self.currency}",
                hint="convert at a pinned exchange rate first",
            )
        return Money(self.amount + other.amount, self.currency)


def quanta(amount: Decimal) -> int:
    """Return `amount` as a whole number of quanta; raises ValueError where it is not one."""
    scaled = amount.scaleb(9)
    whole = int(scaled)
    if whole != scaled:
        raise ValueError(f"{amount} has more than nine decimals")
    return whole


def from_quanta(count: int) -> Decimal:
    """Return the decimal amount of `count` quanta, with nine decimals."""
    return Decimal(count).scaleb(-9)


def cost_quanta(rate_quanta_per_hour: int, duration_us: int) -> int:
    """Return the cost of `duration_us` at an hourly rate, rounded half to even once, in quanta.

    Raises ValueError on a negative rate or duration.
    """
    if rate_quanta_per_hour < 0 or duration_us < 0:
        raise ValueError("rates and durations are not negative")
    whole, rest = divmod(rate_quanta_per_hour * duration_us, US_PER_HOUR)
    twice = 2 * rest
    if twice > US_PER_HOUR or (twice == US_PER_HOUR and whole % 2):
        whole += 1
    return whole


def split_cost(total_quanta: int, weights_us: Sequence[int]) -> list[int]:
    """Split a cost among uses by time; the shares sum to `total_quanta` exactly."""
    return split_exactly(total_quanta, weights_us)


def display(amount: Decimal, places: int = 2) -> Decimal:
    """Round for people (half to even); the exact amount stays in the ledger."""
    return amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
