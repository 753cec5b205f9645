"""Who pays for time that nobody held: shares by a named policy, exact to the quantum."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.idle_policy import EVEN, PLATFORM, POLICIES, PROPORTIONAL, idle_shares

COSTS = st.dictionaries(st.text(max_size=3), st.integers(0, 10**15), max_size=8)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [(PLATFORM, {}), (PROPORTIONAL, {"a": 2, "b": 6, "c": 2}), (EVEN, {"a": 4, "b": 3, "c": 3})],
)
def test_each_policy_by_hand(policy: str, expected: dict[str, int]) -> None:
    """10 quanta over own costs of 1, 3 and 1; what is left over evenly goes to the first by name."""
    assert idle_shares({"b": 3, "c": 1, "a": 1}, 10, policy) == expected


def test_where_nobody_has_a_cost_the_proportion_is_even() -> None:
    """Owners whose time is unpriced or free share alike; without owners nothing is shared."""
    assert idle_shares({"a": 0, "b": 0}, 5, PROPORTIONAL) == {"a": 3, "b": 2}
    assert idle_shares({}, 5, EVEN) == {}
    with pytest.raises(ValueError, match="no policy"):
        idle_shares({"a": 1}, 1, "fair")


@given(own=COSTS, idle=st.integers(0, 10**15), policy=st.sampled_from(POLICIES))
def test_nothing_is_lost_or_made_up(own: dict[str, int], idle: int, policy: str) -> None:
    """Shares are never negative and sum to the whole, and each is within a quantum of its exact part."""
    shares = idle_shares(own, idle, policy)
    if policy == PLATFORM or not own:
        assert shares == {}
        return
    assert sum(shares.values()) == idle
    assert shares.keys() == own.keys()
    whole = sum(own.values())
    for name, share in shares.items():
        assert share >= 0
        if policy == PROPORTIONAL and whole:
            assert abs(share * whole - idle * own[name]) < whole
        else:
            assert abs(share * len(own) - idle) < len(own)
