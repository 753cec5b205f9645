"""What a decision gives back: never more than is in question, to the quantum, and over all bills exactly once."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.disputes import About, Decision, Resolution, due, granted, share

ABOUTS = st.builds(About, st.sampled_from("pq"), st.sampled_from("mn"), st.just(""), st.integers(1, 3))
AMOUNTS = st.dictionaries(ABOUTS, st.integers(-(10**12), 10**12), max_size=5)
RESOLUTIONS = st.one_of(
    st.sampled_from([Resolution(Decision.UPHELD), Resolution(Decision.REJECTED)]),
    st.integers(1, 10**12).map(lambda quanta: Resolution(Decision.PARTLY, amount_quanta=quanta)),
    st.integers(1, 10**8).map(lambda part: Resolution(Decision.PARTLY, percent=Decimal(part).scaleb(-6))),
)


@given(RESOLUTIONS, AMOUNTS)
def test_no_more_than_is_in_question(resolution: Resolution, amounts: dict[About, int]) -> None:
    """Each part is between nothing and what is charged, and the parts sum to what the whole gives back."""
    given_back = granted(resolution, amounts)
    assert set(given_back) == set(amounts)
    assert all(0 <= quanta <= max(0, amounts[about]) for about, quanta in given_back.items())
    assert sum(given_back.values()) == share(resolution, sum(max(0, quanta) for quanta in amounts.values()))


@given(RESOLUTIONS, st.lists(AMOUNTS, min_size=1, max_size=5))
def test_bills_give_back_what_is_granted_now(resolution: Resolution, history: list[dict[About, int]]) -> None:
    """However often what is in question changes between bills: all bills together are what is granted of the last."""
    posted: dict[About, int] = {}
    for amounts in history:
        for about, quanta in due(granted(resolution, amounts), posted).items():
            posted[about] = posted.get(about, 0) + quanta
        now = granted(resolution, amounts)
        assert {about: quanta for about, quanta in posted.items() if quanta} == {
            about: quanta for about, quanta in now.items() if quanta
        }
        assert not due(now, posted), "a bill that follows has nothing more"


def test_what_each_decision_gives() -> None:
    """All of it, a share rounded half to even, an amount at most, or nothing."""
    half = Resolution(Decision.PARTLY, percent=Decimal(50))
    assert [share(half, quanta) for quanta in (10, 5, 7)] == [5, 2, 4]
    fixed = Resolution(Decision.PARTLY, amount_quanta=6)
    assert [share(fixed, quanta) for quanta in (10, 5)] == [6, 5]
    assert (share(Resolution(Decision.UPHELD), 7), share(Resolution(Decision.REJECTED), 7)) == (7, 0)
