"""The price book: the most specific entry wins, two equals are refused, none is unpriced."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.commitments import Contract
from gpuledger.accounting.globs import matches, may_both_match
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.pricebook import PriceBook, Priced, PriceEntry, device_rate_quanta
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import PriceBookError

H100 = "NVIDIA H100 80GB HBM3"
ANY = PriceEntry("*", 1)
GLOB = PriceEntry("NVIDIA H100*", 2)
EXACT = PriceEntry(H100, 3)
POOL = PriceEntry("*", 4, pool="spot")
CLUSTER = PriceEntry("*", 5, cluster="c1")


def rate(entries: list[PriceEntry], device: Priced, at_us: int = 0) -> int | None:
    price = PriceBook("EUR", entries).price(device, at_us)
    return price.rate_quanta if price else None


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        (Priced(H100, pool="spot", cluster="c1"), 5),
        (Priced(H100, pool="spot", cluster="c2"), 4),
        (Priced(H100, cluster="c2"), 3),
        (Priced("NVIDIA H100 NVL"), 2),
        (Priced("Tesla T4"), 1),
    ],
)
def test_cluster_before_pool_before_exact_model_before_glob(device: Priced, expected: int) -> None:
    """Of all entries that apply the one that names the wider scope first decides."""
    entries = [ANY, GLOB, EXACT, POOL, CLUSTER]
    assert rate(entries, device) == expected
    assert rate(entries[::-1], device) == expected


LEASE = Contract("lease", "c1", 4, 1)
OF_LEASE = PriceEntry("*", 9, contract="lease")
BOTH = PriceEntry("*", 10, contract="lease", team="vision")
PROJECT, TEAM = PriceEntry("*", 8, project="ads"), PriceEntry("*", 7, team="vision", organisation="acme")
DEPARTMENT = PriceEntry("*", 6, department="research")
VISION = Owner("acme", "research", "vision", "")


@pytest.mark.parametrize(
    ("owner", "contract", "expected"),
    [
        (VISION, "lease", 10),
        (None, "lease", 9),
        (Owner("acme", "research", "speech", ""), "lease", 9),
        (VISION._replace(project="ads"), "", 8),
        (VISION, "", 7),
        (VISION, "another", 7),
        (VISION._replace(organisation="other"), "", 6),
        (Owner("acme", "sales", "vision2", ""), "", 5),
        (None, "", 5),
    ],
)
def test_contract_before_owner_before_cluster(owner: Owner | None, contract: str, expected: int) -> None:
    """What a contract covers has its price, then what the owner holds by its narrowest level; nobody's time has neither."""
    book = PriceBook("EUR", [CLUSTER, DEPARTMENT, TEAM, PROJECT, OF_LEASE, BOTH], [LEASE])
    found = book.price(Priced(H100, cluster="c1"), 0, owner, contract)
    assert found
    assert found.rate_quanta == expected


def test_equals_of_one_owner_or_contract_are_refused_and_those_of_two_are_not() -> None:
    """Two teams, or two contracts, never hold the same time; a team and a project that may be its own can be told apart."""
    again = TEAM._replace(rate_quanta=1)
    with pytest.raises(PriceBookError, match="entries 1 and 2 overlap"):
        PriceBook("EUR", [TEAM, again])
    with pytest.raises(PriceBookError, match="entries 1 and 2 overlap"):
        PriceBook("EUR", [OF_LEASE, OF_LEASE], [LEASE])
    other = LEASE._replace(name="other")
    apart = [TEAM, TEAM._replace(team="speech"), PROJECT, OF_LEASE, OF_LEASE._replace(contract="other")]
    assert len(PriceBook("EUR", apart, [LEASE, other]).entries) == 5


def test_of_two_globs_the_one_that_fixes_more_wins() -> None:
    """A longer glob is more specific than a shorter one, wherever it stands in the file."""
    entries = [PriceEntry("NVIDIA *", 1), PriceEntry("NVIDIA H100*", 2), PriceEntry("*", 3)]
    assert rate(entries, Priced(H100)) == 2


def test_a_profile_has_its_own_rate_and_else_its_share_of_the_card() -> None:
    """A MIG instance costs what its profile costs, else the model's rate by parts, rounded half to even."""
    slice_ = Priced("NVIDIA A100-SXM4-40GB", 120, "1g.5gb")
    whole = PriceEntry("NVIDIA A100*", 2_490_000_000)
    assert rate([whole], slice_) == 355_714_286
    assert rate([whole, PriceEntry("NVIDIA A100*", 400_000_000, mig_profile="1g.5gb")], slice_) == 400_000_000
    assert rate([PriceEntry("NVIDIA A100*", 7, mig_profile="1g.5gb")], Priced("NVIDIA A100-SXM4-40GB")) is None


@pytest.mark.parametrize(("quanta", "expected"), [(1, 0), (3, 2), (5, 2), (7, 4)])
def test_a_share_of_half_a_quantum_is_rounded_to_even(quanta: int, expected: int) -> None:
    """Half a card at an odd number of quanta is rounded to the even neighbour."""
    assert device_rate_quanta(PriceEntry("*", quanta), 420) == expected


def test_no_entry_is_no_price() -> None:
    """A model that the book does not know is unpriced; so is time before and after an entry."""
    dated = PriceEntry("Tesla T4", 0, from_us=US_PER_HOUR, to_us=2 * US_PER_HOUR)
    assert rate([dated], Priced(H100), US_PER_HOUR) is None
    found = [rate([dated], Priced("Tesla T4"), at) for at in (US_PER_HOUR - 1, US_PER_HOUR, 2 * US_PER_HOUR)]
    assert found == [None, 0, None]


def test_a_price_says_which_entry_it_is_from() -> None:
    """The answer names the entry by its place and carries its carbon intensity."""
    book = PriceBook("EUR", [ANY, PriceEntry(H100, 9, carbon_g_per_kwh=Decimal("380.5"))])
    assert book.price(Priced(H100), 0) == (9, 1, Decimal("380.5"))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PriceEntry(H100, 1), PriceEntry(H100, 2)),
        (PriceEntry(H100, 1, to_us=2 * US_PER_HOUR), PriceEntry(H100, 2, from_us=US_PER_HOUR)),
        (PriceEntry("*H100*", 1), PriceEntry("*80GB*", 2)),
        (PriceEntry("*", 1, pool="spot"), PriceEntry("*", 2, pool="spot")),
    ],
)
def test_two_equally_specific_entries_are_refused(first: PriceEntry, second: PriceEntry) -> None:
    """Entries of one rank that can apply to one device at one time make the book unusable, and both are named."""
    with pytest.raises(PriceBookError, match="entries 1 and 2 overlap"):
        PriceBook("EUR", [first, second])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PriceEntry(H100, 1, to_us=US_PER_HOUR), PriceEntry(H100, 2, from_us=US_PER_HOUR)),
        (PriceEntry("*H100", 1), PriceEntry("A100*x", 2)),
        (PriceEntry("*", 1, pool="spot"), PriceEntry("*", 2, pool="reserved")),
        (PriceEntry(H100, 1), PriceEntry("NVIDIA H100*", 2)),
    ],
)
def test_entries_that_can_be_told_apart_stand_side_by_side(first: PriceEntry, second: PriceEntry) -> None:
    """Entries that follow each other, exclude each other or differ in rank are no conflict."""
    assert len(PriceBook("EUR", [first, second]).entries) == 2


@given(st.text("ab*?", max_size=5), st.text("ab*?", max_size=5), st.text("ab", max_size=6))
def test_globs_that_share_a_text_may_both_match(a: str, b: str, text: str) -> None:
    """Where any text matches two patterns, they are said to meet."""
    if matches(a, text) and matches(b, text):
        assert may_both_match(a, b)


@given(st.text("ab*?", max_size=4), st.text("ab*?", max_size=4))
def test_globs_that_meet_share_a_text(a: str, b: str) -> None:
    """Where two patterns are said to meet, a text over their letters that both match exists."""
    texts = [""]
    for _ in range(8):
        texts += [text + letter for text in texts if len(text) == len(texts[-1]) for letter in "ab"]
    assert may_both_match(a, b) == any(matches(a, text) and matches(b, text) for text in texts)


def test_long_globs_are_compared_without_recursion() -> None:
    """Thousands of characters are a matter of time, not of the interpreter's stack."""
    assert may_both_match("a*" * 1_000, "?" * 2_000)
    assert not may_both_match("a" * 2_000, "b" + "*" * 2_000)
