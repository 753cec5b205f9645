"""Why a bill and the ledger differ: causes sum to the difference, whatever the figures."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.bill_differences import (
    ATOMS_PER_QUANTUM,
    CAUSES,
    ROUNDING,
    ROW_CAUSES,
    Billed,
    Lived,
    add_causes,
    explain_bill,
)

amounts = st.integers(-(10**26), 10**26)
times = st.integers(0, 10**16)
bills = st.builds(Billed, st.integers(0, 10**26), times, st.dictionaries(st.sampled_from(ROW_CAUSES), amounts))


@st.composite
def lives(draw: st.DrawFn) -> Lived:
    part_us = draw(times)
    unpriced_us = draw(st.integers(0, part_us))
    return Lived(draw(st.integers(0, 10**15)) if part_us > unpriced_us else 0, part_us, unpriced_us)


@given(bills, lives())
def test_causes_sum_to_the_difference(billed: Billed, lived: Lived) -> None:
    """To the last atom; what is left to rounding is less than a quantum a cause, since charges have no further decimals."""
    causes = explain_bill(billed, lived)
    assert sum(causes.values()) == billed.atoms - lived.atoms
    assert set(causes) <= set(CAUSES)
    assert abs(causes.get(ROUNDING, 0)) <= len(CAUSES) * ATOMS_PER_QUANTUM


@given(bills, lives())
def test_one_side_alone_is_its_own_cause(billed: Billed, lived: Lived) -> None:
    """A machine that only one side knows is named as that, not as hours or as a rate."""
    assert not {"hours", "rate", "unpriced"} & set(explain_bill(billed, Lived(), in_ledger=False))
    assert not {"hours", "rate", "unpriced"} & set(explain_bill(Billed(), lived, on_bill=False))


@given(st.lists(st.tuples(bills, lives()), max_size=5))
def test_sums_of_causes_are_the_sum_of_the_differences(days: list[tuple[Billed, Lived]]) -> None:
    """Nothing is lost where days are added up."""
    total = add_causes(explain_bill(billed, lived) for billed, lived in days)
    assert sum(total.values()) == sum(billed.atoms - lived.atoms for billed, lived in days)


@given(st.integers(1, 10**12), st.integers(1, 10**9), st.integers(1, 10**9))
def test_the_same_rate_leaves_hours_alone(rate_quanta: int, billed_hours: int, lived_hours: int) -> None:
    """Where both charge one rate, all of the difference is hours; where both have the same hours, all of it is the rate."""
    lived = Lived(rate_quanta * lived_hours, lived_hours)
    same_rate = Billed(rate_quanta * billed_hours * ATOMS_PER_QUANTUM, billed_hours)
    assert set(explain_bill(same_rate, lived)) <= {"hours"}
    assert set(explain_bill(Billed(rate_quanta * 7 * ATOMS_PER_QUANTUM, lived_hours), lived)) <= {"rate"}
