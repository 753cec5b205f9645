"""Quotas that lend: whatever is asked for and given back, nobody is let beyond what its cohort owns."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.quota_tree import ROOT, Node, QuotaTree

amounts = st.integers(0, 12)
limits = st.none() | st.integers(0, 8)


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Draw cohorts in cohorts with leaves that use nothing yet."""
    cohorts = draw(st.integers(1, 4))
    nodes = [Node(ROOT, borrow=None)]
    nodes += [Node(draw(st.integers(0, place)), borrow=draw(limits), lend=draw(limits)) for place in range(cohorts - 1)]
    homes = [*range(cohorts), *draw(st.lists(st.integers(0, cohorts - 1), max_size=4))]  # none is empty
    nodes += [Node(home, draw(amounts), 0, draw(limits), draw(limits)) for home in homes]
    return nodes


def leaves(nodes: list[Node]) -> list[int]:
    inner = {node.parent for node in nodes}
    return [place for place in range(len(nodes)) if place not in inner]


def use(nodes: list[Node], place: int, more: int) -> list[Node]:
    changed = list(nodes)
    changed[place] = nodes[place]._replace(used=nodes[place].used + more)
    return changed


@st.composite
def lived(draw: st.DrawFn) -> list[Node]:
    """Draw a tree after any asks that it had room for, some of them given back."""
    nodes = draw(trees())
    for _ in range(draw(st.integers(0, 12))):
        place = draw(st.sampled_from(leaves(nodes)))
        room = QuotaTree(nodes).room(place)
        nodes = use(nodes, place, draw(st.integers(-nodes[place].used, room)))
    return nodes


def under(nodes: list[Node], place: int) -> list[int]:
    found = [place]
    for each in range(place + 1, len(nodes)):
        if nodes[each].parent in found:
            found.append(each)
    return found


@given(lived())
def test_nobody_is_let_beyond_what_the_cohort_owns(nodes: list[Node]) -> None:
    """Of the whole, and of each cohort and leaf with what it may borrow; what is borrowed is lent, and all is."""
    dealt = QuotaTree(nodes).settle()
    assert sum(node.used for node in nodes) <= sum(node.owns for node in nodes)
    for place, node in enumerate(nodes):
        mine = [nodes[each] for each in under(nodes, place)]
        if node.borrow is not None:
            assert sum(each.used for each in mine) <= sum(each.owns for each in mine) + node.borrow
        if node.lend is not None:
            assert dealt[place].lent <= node.lend
    assert [each.beyond for each in dealt] == [0] * len(nodes)
    ends = leaves(nodes)
    assert sum(dealt[each].borrowed for each in ends) == sum(dealt[each].lent for each in ends)
    assert [dealt[each].borrowed for each in ends] == [max(0, nodes[each].used - nodes[each].owns) for each in ends]


@given(lived(), st.data())
def test_room_is_all_that_there_is(nodes: list[Node], data: st.DataObject) -> None:
    """With one more than that, somebody has what nobody lends or owns; found by settling, not by the rule of room."""
    place = data.draw(st.sampled_from(leaves(nodes)))
    room = QuotaTree(nodes).room(place)
    assert QuotaTree(use(nodes, place, room)).settle()[0].beyond == 0
    assert QuotaTree(use(nodes, place, room + 1)).settle()[0].beyond > 0


@given(lived(), st.data())
def test_more_on_top_is_the_tree_with_that_use(nodes: list[Node], data: st.DataObject) -> None:
    """What changes along the way up is what would be found anew."""
    more = data.draw(st.dictionaries(st.sampled_from(leaves(nodes)), st.integers(0, 9)))
    changed = nodes
    for place, amount in more.items():
        changed = use(changed, place, amount)
    tree, anew = QuotaTree(nodes).with_more(more), QuotaTree(changed)
    assert [tree.room(place) for place in range(len(nodes))] == [anew.room(place) for place in range(len(nodes))]
    assert tree.settle() == anew.settle()


@given(trees(), st.lists(st.integers(0, 30), min_size=8, max_size=8))
def test_what_was_taken_anyway_is_settled_and_leaves_no_room(nodes: list[Node], used: list[int]) -> None:
    """In shadow nobody is refused: all that is used is own, borrowed or beyond, and what a node keeps is its own still."""
    for place, amount in zip(leaves(nodes), used, strict=False):
        nodes = use(nodes, place, amount)
    tree = QuotaTree(nodes)
    dealt = tree.settle()
    for place in leaves(nodes):
        node = nodes[place]
        assert max(0, node.used - node.owns) == dealt[place].borrowed + dealt[place].beyond
        assert dealt[place].lent <= max(0, node.owns - node.used)
        kept = node.owns if node.lend == 0 else max(0, node.owns - node.lend) if node.lend is not None else 0
        assert tree.room(place) >= max(0, kept - node.used)


def test_a_worked_example() -> None:
    """Vision borrows what speech leaves, up to its limit; speech finds its own gone until vision gives it back."""
    quiet = [Node(ROOT, borrow=None), Node(0, 8, 8, borrow=4), Node(0, 8, 2, lend=6)]
    assert QuotaTree(quiet).room(1) == 4
    busy = use(quiet, 1, 4)
    tree = QuotaTree(busy)
    assert (tree.room(1), tree.room(2)) == (0, 2)
    assert [each[:2] for each in tree.settle()] == [(0, 0), (4, 0), (0, 4)]


@pytest.mark.parametrize("nodes", [[Node(0)], [Node(ROOT, -1)], [Node(ROOT, 1), Node(0, 1)]])
def test_what_is_no_tree_is_refused(nodes: list[Node]) -> None:
    """A node before its cohort, less than nothing, a cohort that owns something."""
    with pytest.raises(ValueError, match="node 0"):
        QuotaTree(nodes)
