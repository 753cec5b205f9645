"""What one quota book allows beyond another: amounts, limits that go, what is borrowed, lent and stopped less."""

from __future__ import annotations

from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.budgets import HOLD, NOTIFY, Stage
from gpuledger.accounting.quota_gains import added_of, quota_gains
from gpuledger.accounting.quotas import Lane, Quota

NOW = 1_780_000_000_000_000
LATER = NOW + 1_000_000
H100 = Lane("NVIDIA H100*")
STOP = (Stage(100_000, action=HOLD),)


def quota(owns: int, owner: str = "acme", lane: Lane = H100, **more: object) -> Quota:
    return Quota(owner, lane, owns, **more)  # type: ignore[arg-type]


def test_more_counts_and_less_does_not() -> None:
    """A raise by what it is more, a new quota by all of it; a lower one is nothing that anybody has to allow."""
    found = quota_gains([quota(10), quota(9, "b")], [quota(15), quota(5, "b"), quota(4, "c")], NOW, UTC)
    assert [(each.owner, each.added) for each in found] == [("acme", 5), ("c", 4)]
    assert added_of(found) == (9, "devices")


def test_a_limit_that_goes_is_no_amount() -> None:
    """Of another model or period it is another quota: the one before is gone."""
    for after in ([], [quota(10, lane=Lane("NVIDIA A100*"))], [quota(10, lane=Lane("NVIDIA H100*", "month"))]):
        found = quota_gains([quota(10)], after, NOW, UTC)
        assert found[0].added is None
        assert added_of(found) is None
    both = quota_gains([], [quota(1), quota(1, lane=Lane("*", "month"))], NOW, UTC)
    assert (len(both), added_of(both), added_of([])) == (2, None, None)


def test_what_begins_later_counts_and_what_is_over_does_not() -> None:
    """The most that is ever allowed more, from now on."""
    assert quota_gains([quota(10)], [quota(10, to_us=LATER), quota(30, from_us=LATER)], NOW, UTC)[0].added == 20
    assert quota_gains([quota(10)], [quota(99, to_us=NOW), quota(10, from_us=NOW)], NOW, UTC) == []
    assert quota_gains([quota(10)], [quota(10, to_us=LATER)], NOW, UTC)[0].added is None
    assert quota_gains([quota(9, lane=Lane("*", "2020-01-01..2020-02-01"))], [], NOW, UTC) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (quota(5), quota(5, borrow=1)),
        (quota(5, borrow=1), quota(5, borrow=None)),
        (quota(5, lend=0), quota(5, lend=None)),
        (quota(5, lend=2), quota(5, lend=3)),
        (quota(5, stages=STOP), quota(5)),
        (quota(5, stages=STOP), quota(5, stages=(Stage(100_000, action=NOTIFY),))),
        (quota(5, stages=STOP), quota(6)),
    ],
)
def test_a_looser_one_is_a_gain_of_no_known_amount_and_the_way_back_is_none(old: Quota, new: Quota) -> None:
    """How much more it lets through depends on what others leave, so that it never passes as a small amount."""
    [found] = quota_gains([old], [new], NOW, UTC)
    assert found.loosened
    assert added_of([found]) is None
    assert quota_gains([new], [old], NOW, UTC) == []


def test_a_new_quota_that_borrows_is_more_than_its_own() -> None:
    """One GPU of its own and all that others leave is not one GPU."""
    assert added_of(quota_gains([], [quota(1, borrow=None)], NOW, UTC)) is None


books = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), unique_by=lambda each: each[0]).map(
    lambda pairs: [quota(owns, owner) for owner, owns in pairs]
)


@given(books, books)
def test_no_gain_means_that_no_quota_is_higher_and_none_is_gone(before: list[Quota], after: list[Quota]) -> None:
    """Whatever books follow each other."""
    old, new = ({each.owner: each.owns for each in book} for book in (before, after))
    allowed = {each.owner for each in quota_gains(before, after, NOW, UTC)}
    for owner in old.keys() | new.keys():
        more = owner not in new if owner in old else new[owner] > 0
        more = more or (owner in old and owner in new and new[owner] > old[owner])
        assert (owner in allowed) == more
