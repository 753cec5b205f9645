"""What one budget book allows beyond another: amounts, limits that go, stages that stop less."""

from __future__ import annotations

from datetime import UTC

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.budget_gains import added, gains
from gpuledger.accounting.budgets import BLOCK, HOLD, NOTIFY, Budget, Stage

NOW = 1_780_000_000_000_000
LATER = NOW + 1_000_000


def budget(limit: int, owner: str = "acme", stages: tuple[Stage, ...] = (), **more: int | str) -> Budget:
    return Budget(
        **{"owner": owner, "period": "month", "currency": "EUR", "limit_quanta": limit, "stages": stages, **more}
    )  # type: ignore[arg-type]


def test_more_money_counts_and_less_does_not() -> None:
    """A raise by what it is more, a new budget by all of it; a lower one is nothing that anybody has to allow."""
    found = gains([budget(10), budget(9, "b")], [budget(15), budget(5, "b"), budget(4, "c")], NOW, UTC)
    assert [(each.owner, each.added_quanta) for each in found] == [("acme", 5), ("c", 4)]
    assert added(found) == (9, "EUR")


def test_a_limit_that_goes_is_no_amount() -> None:
    """Nor are amounts of two currencies one; a rule that asks for the amount finds it unknown, not small."""
    gone = gains([budget(10), budget(1, "b")], [budget(2, "b")], NOW, UTC)
    assert [(each.owner, each.added_quanta, each.words) for each in gone] == [
        ("acme", None, "has no limit any more"),
        ("b", 1, "has more to spend"),
    ]
    assert added(gone) is None
    assert added(gains([], [budget(1), budget(1, currency="USD")], NOW, UTC)) is None
    assert added([]) is None


def test_a_raise_that_begins_later_counts_and_what_is_over_does_not() -> None:
    """The most that is ever allowed more, from now on."""
    old = [budget(10)]
    assert gains(old, [budget(10, to_us=LATER), budget(30, from_us=LATER)], NOW, UTC)[0].added_quanta == 20
    assert gains(old, [budget(99, to_us=NOW), budget(10, from_us=NOW)], NOW, UTC) == []
    assert gains(old, [budget(10, to_us=LATER)], NOW, UTC)[0].added_quanta is None
    assert gains([budget(9, period="2020-01-01..2020-02-01")], [], NOW, UTC) == []


def test_a_stage_that_stops_later_or_less_is_a_gain() -> None:
    """Whom it tells is none, and neither is one more stage."""
    stops = (Stage(100_000, action=HOLD, tell=("ann",)),)
    for looser in (
        (),
        (Stage(110_000, action=HOLD),),
        (Stage(100_000, action=NOTIFY),),
        (Stage(100_000, "forecast", HOLD),),
    ):
        [found] = gains([budget(1, stages=stops)], [budget(1, stages=looser)], NOW, UTC)
        assert (found.added_quanta, found.loosened, found.words) == (0, True, "is stopped later")
    for stricter in ((Stage(90_000, action=BLOCK),), (Stage(100_000, action=HOLD), Stage(50_000))):
        assert gains([budget(1, stages=stops)], [budget(1, stages=stricter)], NOW, UTC) == []


def test_a_small_amount_beside_a_stage_that_goes_is_no_amount() -> None:
    """Else a rule for small amounts would let one through that takes away what stops all the rest."""
    stops = (Stage(100_000, action=BLOCK),)
    found = gains([budget(10, stages=stops)], [budget(11)], NOW, UTC)
    assert [(each.added_quanta, each.loosened) for each in found] == [(1, True)]
    assert added(found) is None
    elsewhere = gains([budget(10, "b", stops), budget(1)], [budget(10, "b"), budget(2)], NOW, UTC)
    assert added(elsewhere) is None


amounts = st.integers(0, 50)
books = st.lists(st.tuples(st.sampled_from("abc"), amounts), unique_by=lambda each: each[0]).map(
    lambda pairs: [budget(limit, owner) for owner, limit in pairs]
)


@given(books, books)
def test_a_book_gains_nothing_on_itself_and_each_change_has_one_side(old: list[Budget], new: list[Budget]) -> None:
    """Where neither way allows more, both say the same; what is more one way is not more the other."""
    assert gains(old, old, NOW, UTC) == []
    there, back = ({each.owner for each in gains(a, b, NOW, UTC)} for a, b in ((old, new), (new, old)))
    limits = [{each.owner: each.limit_quanta for each in book} for book in (old, new)]
    both = set(limits[0]) & set(limits[1])
    assert not there & back & both
    assert {owner for owner in both if limits[0][owner] != limits[1][owner]} == (there | back) & both
