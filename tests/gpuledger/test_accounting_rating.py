"""Rating: charges of a device-hour sum to what it cost, whatever the order, and no price is no cost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.rating import Charge, UsageHour, complete, rate_device_hour, total
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.model import State

ROWS = st.lists(
    st.builds(
        UsageHour,
        st.none() | st.sampled_from(["a", "b", "c"]),
        st.sampled_from(State),
        st.sampled_from(["", "free", "memory_held"]),
        st.integers(0, US_PER_HOUR),
        st.integers(0, US_PER_HOUR),
        st.integers(0, 1),
    ),
    max_size=8,
)
RATE = st.integers(0, 10**13)


@given(ROWS, RATE)
def test_charges_sum_to_the_cost_of_the_held_time(rows: list[UsageHour], rate: int) -> None:
    """The costs of a device's hour sum exactly to its rate times its time, rounded once."""
    charges = rate_device_hour(rows, rate)
    assert total(charges).cost_quanta == (cost_quanta(rate, sum(row.held_us for row in rows)) if rows else 0)
    assert total(charges).held_us == sum(row.held_us for row in rows)


@given(ROWS, RATE, st.randoms())
def test_order_does_not_matter(rows: list[UsageHour], rate: int, random: object) -> None:
    """The same rows in another order, or rated again, give the same charges."""
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert rate_device_hour(shuffled, rate) == rate_device_hour(rows, rate) == rate_device_hour(rows, rate)


@given(ROWS, RATE, st.data())
def test_rows_may_come_in_pieces(rows: list[UsageHour], rate: int, data: st.DataObject) -> None:
    """A row that is split in two is rated as if it were one."""
    pieces = []
    for row in rows:
        cut_us = data.draw(st.integers(0, row.held_us))
        pieces += [
            row._replace(held_us=cut_us),
            row._replace(held_us=row.held_us - cut_us, active_us=0, active_unknown_us=0),
        ]
    assert rate_device_hour(pieces, rate) == rate_device_hour(rows, rate)


@given(st.lists(st.tuples(ROWS, RATE | st.none()), max_size=5))
def test_hours_add_up_to_the_period(hours: list[tuple[list[UsageHour], int | None]]) -> None:
    """The total of all hours is the sum of the hours' totals; unpriced time is counted apart."""
    rated = [rate_device_hour(rows, rate) for rows, rate in hours]
    whole = total(charge for charges in rated for charge in charges)
    assert whole.cost_quanta == sum(total(charges).cost_quanta for charges in rated)
    assert whole.unpriced_us == sum(row.held_us for rows, rate in hours if rate is None for row in rows)


def test_no_price_is_no_cost() -> None:
    """Unpriced is None and never zero; a price of zero is zero."""
    row = UsageHour("a", State.ACTIVE, "", US_PER_HOUR, US_PER_HOUR)
    assert rate_device_hour([row], None) == [Charge(row, None, None)]
    assert rate_device_hour([row], 0) == [Charge(row, 0, 0)]


def test_what_is_not_known_to_be_active_has_no_active_cost() -> None:
    """The active cost is of what is known; where nothing is known there is none."""
    watched = UsageHour("a", State.ACTIVE, "", 2_000, 1_000)
    unwatched = UsageHour("b", State.HELD_UNOBSERVED, "", 2_000, 0, 2_000)
    charges = rate_device_hour([watched, unwatched], US_PER_HOUR)
    assert [(c.cost_quanta, c.active_cost_quanta) for c in charges] == [(2_000, 1_000), (2_000, None)]


def test_the_odd_quantum_goes_by_remainder_then_by_name() -> None:
    """Three even shares of ten quanta: the first by holder gets the odd one."""
    rows = [UsageHour(name, State.ACTIVE, "", US_PER_HOUR // 3) for name in "cab"]
    charges = rate_device_hour(rows, 10)
    assert [(c.usage.holder, c.cost_quanta) for c in charges] == [("a", 4), ("b", 3), ("c", 3)]


def test_time_that_no_record_covers_is_unobserved_and_in_a_pool_free() -> None:
    """What is left of the capacity becomes a row of its own; of an unknown capacity nothing is left."""
    row = UsageHour("a", State.ACTIVE, "", 40)
    gap = UsageHour(None, State.UNOBSERVED, "no_data", 60, 0, 60)
    assert complete([row], capacity_us=100) == [gap, row]
    assert complete([row], capacity_us=100, pool=True) == [UsageHour(None, State.IDLE, "free", 60), row]
    assert complete([row], capacity_us=None) == [row]


def test_a_gap_joins_the_gap_that_the_agent_reported() -> None:
    """The agent's own unobserved/no_data and the uncovered rest are one row."""
    reported = UsageHour(None, State.UNOBSERVED, "no_data", 10, 0, 10)
    assert complete([reported], capacity_us=100) == [UsageHour(None, State.UNOBSERVED, "no_data", 100, 0, 100)]


def test_over_booking_is_left_to_be_seen() -> None:
    """Rows that hold more than the capacity are neither cut nor balanced."""
    row = UsageHour("a", State.HELD_UNOBSERVED, "", 200)
    assert complete([row], capacity_us=100, pool=True) == [row]
