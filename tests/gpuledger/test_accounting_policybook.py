"""The policy book: each setting is decided by the most specific entry that speaks of it, and never by two."""

from __future__ import annotations

import pytest

from gpuledger.accounting.policies import FaultCredit, FreeTier, Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyEntry, PolicyScope
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import PolicyBookError

VISION = PolicyScope("acme", "research", "vision", "shared", "NVIDIA H100 80GB HBM3")


def test_without_entries_all_is_as_it_was() -> None:
    """What was held is billed, the platform pays for the rest, nothing is free and nothing credited."""
    book = PolicyBook()
    assert book.basis(VISION, 0) == (0, "allocation")
    assert [book.payer(kind, VISION, 0) for kind in ("idle", "stranded", "unavailable", "unobserved")] == [
        (0, "platform")
    ] * 4
    assert book.free_tier(VISION, 0) == (0, FreeTier())
    assert book.fault_credit(VISION, 0)[1].minutes == 0


def test_the_most_specific_entry_decides_each_setting_by_itself() -> None:
    """A team before its department, an owner before a pool, a pool before a model; what one leaves open another says."""
    book = PolicyBook(
        [
            PolicyEntry(Settings(basis="usage", free=FreeTier(part_us=1))),
            PolicyEntry(Settings(basis="max"), department="research"),
            PolicyEntry(Settings(fault_credit=FaultCredit(minutes=5)), team="vision"),
            PolicyEntry(Settings(free=FreeTier(part_us=2)), model="NVIDIA H100*"),
            PolicyEntry(Settings(free=FreeTier(part_us=3)), pool="shared"),
        ]
    )
    assert book.basis(VISION, 0) == (2, "max")
    assert book.free_tier(VISION, 0) == (5, FreeTier(part_us=3))
    assert book.free_tier(VISION._replace(pool=""), 0) == (4, FreeTier(part_us=2))
    assert book.free_tier(PolicyScope(), 0) == (1, FreeTier(part_us=1))
    assert book.fault_credit(VISION, 0) == (3, FaultCredit(minutes=5))
    assert book.fault_credit(VISION._replace(team="speech"), 0)[0] == 0


def test_entries_hold_from_when_until_when() -> None:
    """The end of one may be the start of the next."""
    book = PolicyBook(
        [
            PolicyEntry(Settings(basis="usage"), to_us=US_PER_HOUR),
            PolicyEntry(Settings(basis="max"), from_us=US_PER_HOUR),
        ]
    )
    assert [book.basis(VISION, at) for at in (0, US_PER_HOUR - 1, US_PER_HOUR)] == [
        (1, "usage"),
        (1, "usage"),
        (2, "max"),
    ]


@pytest.mark.parametrize(
    ("one", "other", "tied"),
    [
        ({}, {}, True),
        ({"team": "a"}, {"team": "a", "from_us": 5}, True),
        ({"team": "a", "to_us": 5}, {"team": "a", "from_us": 5}, False),
        ({"team": "a"}, {"team": "b"}, False),
        ({"model": "*100"}, {"model": "H10*"}, True),
        ({"model": "*100"}, {"model": "L40S"}, False),
        ({}, {"model": "*"}, True),
        ({"pool": "a"}, {"model": "a"}, False),
    ],
)
def test_two_that_could_decide_the_same_are_refused(
    one: dict[str, object], other: dict[str, object], *, tied: bool
) -> None:
    """Equally specific, at the same time, about the same setting: neither wins."""
    entries = [PolicyEntry(Settings(basis="usage"), **each) for each in (one, other)]  # type: ignore[arg-type]
    if not tied:
        PolicyBook(entries)
        return
    with pytest.raises(PolicyBookError, match="entries 1 and 2 both say basis"):
        PolicyBook(entries)
    PolicyBook([entries[0], entries[1]._replace(settings=Settings(idle="even"))])
