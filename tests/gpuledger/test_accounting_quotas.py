"""Quotas in the tree of the organisation: whose counts what, what each has left, and what raises raise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.budgets import EVERYTHING, Stage, is_part
from gpuledger.accounting.quotas import Lane, LaneStand, Quota, Raise, counted, given_too_much, spread_raises, upwards
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR

H100 = Lane("NVIDIA H100*")
ALL = Lane(EVERYTHING)
PATHS = ("*", "a", "a/b", "a/b/c", "a/b/d", "a/e", "g", "g/h")
USERS = (*PATHS[1:], "", "a/b/x", "z/y/x")


def test_the_worked_example_of_the_documentation() -> None:
    """Vision borrows four; speech and the rest of research lend in proportion to what they left and may lend."""
    book = [Quota("acme/research", H100, 16), Quota("acme/research/vision", H100, 8, borrow=4), Quota("acme/research/speech", H100, 6, lend=4)]  # fmt: skip
    before = LaneStand(H100, book, {}, {"acme/research/vision": 8, "acme/research/speech": 2})
    assert before.room("acme/research/vision") == 4
    after = before.with_more({"acme/research/vision": 4})
    found = {each.quota.owner.rpartition("/")[2]: each for each in after.positions()}
    assert (found["vision"].dealt.borrowed, found["speech"].dealt.lent) == (4, 3)
    assert (found["speech"].room, found["research"].used, found["research"].dealt) == (2, 14, (0, 0, 0))


@st.composite
def books(draw: st.DrawFn) -> list[Quota]:
    """Draw quotas of which nobody gives more than it has."""
    limits = st.none() | st.integers(0, 5)
    found = [
        Quota(owner, ALL, draw(st.integers(0, 9)), draw(limits), draw(limits))
        for owner in draw(st.lists(st.sampled_from(PATHS), unique=True, min_size=1))
    ]
    while (wrong := given_too_much(found)) is not None:
        found[wrong[0]] = found[wrong[0]]._replace(owns=found[wrong[0]].owns + 9)
    return found


@given(books(), st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 20)), max_size=12))
def test_what_starts_where_it_fits_stays_within_every_quota(book: list[Quota], asks: list[tuple[str, int]]) -> None:
    """Of its owner and of all that is above, with what those may borrow; borrowed is lent within the whole."""
    stand = LaneStand(ALL, book, {}, {})
    for owner, wanted in asks:
        mine = stand.owner_of(owner)
        if mine is None or wanted <= stand.room(mine):
            stand = stand.with_more({owner: wanted})
    positions = {each.quota.owner: each for each in stand.positions()}
    for owner, each in positions.items():
        assert each.dealt.beyond == 0
        assert each.quota.borrow is None or each.used <= each.whole + each.quota.borrow
        assert each.room >= 0
        assert stand.above(owner)[0].used == each.used
    tops = [each for owner, each in positions.items() if all(up not in positions for up in list(upwards(owner))[1:] if up != owner)]  # fmt: skip
    assert sum(each.used for each in tops) <= sum(each.whole for each in tops)


@given(st.sampled_from(USERS), st.sampled_from(PATHS))
def test_upwards_is_all_that_an_owner_is_a_part_of(owner: str, node: str) -> None:
    """The way that quotas are found by is the one that budgets add up by."""
    assert (node in upwards(owner)) == is_part(owner, node)


@given(books(), st.dictionaries(st.sampled_from(USERS), st.integers(0, 9)), st.dictionaries(st.sampled_from(USERS), st.integers(0, 9)))  # fmt: skip
def test_more_on_top_is_the_same_as_used_before(book: list[Quota], one: dict[str, int], two: dict[str, int]) -> None:
    """Promises count like what is held."""
    both = {owner: one.get(owner, 0) + two.get(owner, 0) for owner in one.keys() | two.keys()}
    whole, added = LaneStand(ALL, book, {}, both), LaneStand(ALL, book, {}, one).with_more(two)
    assert [each[1:] for each in whole.positions()] == [each[1:] for each in added.positions()]


def test_a_raise_is_of_what_counts_its_model() -> None:
    """Of a model: all that count it; of none: the quota of all models, or the only one; else it is of none."""
    book = [Quota("a", H100, 8), Quota("a", ALL, 9), Quota("b", H100, 8), Quota("c", H100, 8), Quota("c", Lane("NVIDIA A100"), 8)]  # fmt: skip

    def spread(owner: str, model: str = "", of: str = "devices") -> list[tuple[str, str]]:
        found, lost = spread_raises(book, [Raise("approval 1", owner, of, model, 2)])
        assert bool(found) != bool(lost)
        assert set(found.values()) <= {2}
        return [(each, lane.model) for each, lane in found]

    assert spread("a", "NVIDIA H100 PCIe") == [("a", "NVIDIA H100*"), ("a", "*")]
    assert spread("a", "NVIDIA H100*") == [("a", "NVIDIA H100*"), ("a", "*")]
    assert spread("a") == [("a", "*")]
    assert spread("b") == [("b", "NVIDIA H100*")]
    assert spread("c") == spread("b", "NVIDIA L4") == spread("d") == spread("b", of="gpu_hours") == []


def test_amounts_in_words() -> None:
    """A part of a GPU is a fraction, never a rounded decimal."""
    parts = (0, GPU_PARTS, GPU_PARTS * 7 // 2, GPU_PARTS * 2 // 7, GPU_PARTS * 1_200)
    assert [counted(ALL, each) for each in parts] == ["0", "1", "3 1/2", "2/7", "1,200"]
    assert counted(Lane("*", "month"), GPU_PARTS * US_PER_HOUR * 2_500 // 2) == "1,250"


def test_a_stage_of_gpus_stops_what_goes_past_it() -> None:
    """Eight of ten is not past 80 %; nine is. What only notifies stops nothing."""
    stages = (Stage(80_000, action="hold"), Stage(10_000))
    [position] = LaneStand(ALL, [Quota("a", ALL, 10, stages=stages)], {}, {"a/b": 6}).positions()
    assert [each.action for each in position.stopped_by(2)] == []
    assert [each.action for each in position.stopped_by(3)] == ["hold"]
    assert [each.percent for each in position.reached()] == ["10"]
    assert position.percent_millis() == 60_000
