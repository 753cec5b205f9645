"""Money as exact amounts and whole quanta."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.money import Money, cost_quanta, display, from_quanta, quanta, split_cost
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConservationError


@given(st.integers(-(10**24), 10**24))
def test_quanta_and_decimals_are_the_same_amount(count: int) -> None:
    """Going to a decimal and back changes nothing, however large."""
    assert quanta(from_quanta(count)) == count


def test_more_than_nine_decimals_are_refused() -> None:
    """An amount that is no whole number of quanta is an error, not a rounding."""
    assert quanta(Decimal("2.49")) == 2_490_000_000
    with pytest.raises(ValueError, match="nine decimals"):
        quanta(Decimal("0.0000000001"))


def test_a_cost_is_rounded_once_half_to_even() -> None:
    """One quantum an hour for half an hour is a tie: it goes to the even neighbour."""
    half = US_PER_HOUR // 2
    assert [cost_quanta(rate, half) for rate in (1, 2, 3, 4, 5)] == [0, 1, 2, 2, 2]
    assert cost_quanta(2_490_000_000, US_PER_HOUR) == 2_490_000_000
    assert cost_quanta(3, half + 1) == 2
    assert cost_quanta(3, half - 1) == 1


@given(st.integers(0, 10**14), st.integers(0, 10**14))
def test_a_cost_is_within_half_a_quantum_of_exact(rate: int, duration_us: int) -> None:
    """Integer arithmetic never drifts from the exact product."""
    assert 2 * abs(cost_quanta(rate, duration_us) * US_PER_HOUR - rate * duration_us) <= US_PER_HOUR


@pytest.mark.parametrize(("rate", "duration_us"), [(-1, 1), (1, -1)])
def test_negative_rates_and_durations_are_refused(rate: int, duration_us: int) -> None:
    """A negative cost would be a credit by accident."""
    with pytest.raises(ValueError, match="not negative"):
        cost_quanta(rate, duration_us)


@given(st.integers(0, 10**18), st.lists(st.integers(0, 10**12), min_size=1, max_size=9))
def test_a_split_cost_sums_to_the_cost(total: int, held_us: list[int]) -> None:
    """Every quantum is charged to somebody, once."""
    assert sum(split_cost(total, held_us)) == total


def test_currencies_do_not_mix() -> None:
    """Adding two currencies is an error with a next step; adding one is exact."""
    total = Money(Decimal("0.1"), "EUR").plus(Money(Decimal("0.2"), "EUR"))
    assert total == Money(Decimal("0.3"), "EUR")
    with pytest.raises(ConservationError, match="USD to EUR") as refused:
        total.plus(Money(Decimal(1), "USD"))
    assert "exchange rate" in refused.value.hint


def test_people_see_two_decimals_half_to_even() -> None:
    """What is shown is rounded where it is shown."""
    assert [str(display(Decimal(text))) for text in ("1.005", "1.015", "2", "-0.125")] == [
        "1.00",
        "1.02",
        "2.00",
        "-0.12",
    ]
