"""The share book: a team has one share of a scope at a time, and a device is in one scope."""

from __future__ import annotations

import pytest

from gpuledger.accounting.shares import Kind, Scope, Share, ShareBook
from gpuledger.errors import ShareBookError

H100 = "NVIDIA H100 80GB HBM3"


def test_the_most_specific_scope_has_a_device() -> None:
    """A cluster before a pool before an exact model before a glob; a scope speaks only while a share of it is valid."""
    book = ShareBook([
        Share("a", 1, Scope()),
        Share("a", 1, Scope(model="NVIDIA H100*")),
        Share("a", 1, Scope(model=H100)),
        Share("a", 1, Scope(pool="train"), from_us=100),
        Share("a", 1, Scope(cluster="west"), from_us=200),
    ])  # fmt: skip
    kind = Kind("west", "train", H100)
    assert [book.scope_of(kind, at) for at in (0, 100, 200)] == [
        Scope(model=H100), Scope(pool="train"), Scope(cluster="west"),
    ]  # fmt: skip
    assert book.scope_of(Kind("east", "", "Tesla T4"), 0) == Scope()
    assert ShareBook([Share("a", 1, Scope(pool="train"))]).scope_of(Kind("east", "", "Tesla T4"), 0) is None


def test_two_scopes_that_may_hold_one_device_tie() -> None:
    """Globs that are as specific as each other are refused, unless no share of one is valid with one of the other."""
    one, two = Scope(model="NVIDIA *0"), Scope(model="NVIDIA A*")
    with pytest.raises(ShareBookError, match=r"shares 1 and 2 tie: model NVIDIA \*0 and model NVIDIA A\*"):
        ShareBook([Share("a", 1, one), Share("b", 1, two)])
    ShareBook([Share("a", 1, one, to_us=100), Share("b", 1, two, from_us=100)])
    ShareBook([Share("a", 1, Scope(model="NVIDIA A100*")), Share("b", 1, Scope(model="NVIDIA L40S*"))])


@pytest.mark.parametrize(
    ("one", "two", "overlap"),
    [
        (Share("a", 1), Share("a", 1), True),
        (Share("a", 1), Share("a", 1, department="d"), True),
        (Share("a", 1, organisation="o"), Share("a", 1, department="d"), True),
        (Share("a", 1, department="c"), Share("a", 1, department="d"), False),
        (Share("a", 1, to_us=100), Share("a", 1, from_us=100), False),
        (Share("a", 1, Scope(pool="p")), Share("a", 1, Scope(pool="q")), False),
        (Share("a", 1), Share("b", 1), False),
    ],
)
def test_a_team_has_one_share_at_a_time(one: Share, two: Share, *, overlap: bool) -> None:
    """Two that could be of one team, in one scope at one time, are refused; both are named."""
    if not overlap:
        ShareBook([one, two])
        return
    with pytest.raises(ShareBookError, match="shares 1 and 2 overlap: a has both of all devices") as caught:
        ShareBook([one, two])
    assert caught.value.hint
