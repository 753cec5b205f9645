"""What shares commit their owners to for the rest of a period."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.pricebook import PriceBook, PriceEntry
from gpuledger.accounting.reserved import reserved_ahead
from gpuledger.accounting.shares import IDLE_OWNER, IDLE_PLATFORM, Kind, Scope, Share, ShareBook
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR

VISION, SPEECH = ("acme", "ml", "vision"), ("acme", "ml", "speech")
NAMES = {("", "", team[2]): team for team in (VISION, SPEECH)}
KINDS = (Kind("c", "train", "H100"), Kind("c", "rest", "A100"))
WITHIN = Interval(0, 10 * US_PER_HOUR)
PRICES = PriceBook("EUR", [PriceEntry("H100", 300), PriceEntry("A100", 100), PriceEntry("H100", 250, team="vision")])


def shares(*given_: Share, idle: str = IDLE_OWNER) -> ShareBook:
    return ShareBook(given_, idle=idle)


def test_a_share_costs_its_gpus_until_it_ends_at_the_lowest_price_of_its_scope() -> None:
    """By the price of its own where it has one; a share of all models at that of the cheapest; fractions are parts."""
    book = shares(
        Share("vision", 2 * GPU_PARTS, Scope(model="H100"), to_us=4 * US_PER_HOUR),
        Share("speech", GPU_PARTS // 2, Scope(model="H100")),
    )
    assert reserved_ahead(book, NAMES, PRICES, KINDS, WITHIN) == {VISION: 2 * 4 * 250, SPEECH: 10 * 300 // 2}
    anywhere = shares(Share("speech", GPU_PARTS))
    assert reserved_ahead(anywhere, NAMES, PRICES, KINDS, WITHIN) == {SPEECH: 10 * 100}


def test_a_price_that_changes_on_the_way_counts_from_then() -> None:
    """Each hour at the price that it will have."""
    turn = 4 * US_PER_HOUR
    prices = PriceBook("EUR", [PriceEntry("*", 100, to_us=turn), PriceEntry("*", 200, from_us=turn)])
    book = shares(Share("speech", GPU_PARTS))
    assert reserved_ahead(book, NAMES, prices, KINDS, WITHIN) == {SPEECH: 4 * 100 + 6 * 200}


def test_what_has_no_price_is_not_known_and_what_the_platform_pays_is_nobodys() -> None:
    """Neither is zero."""
    book = shares(Share("vision", GPU_PARTS, Scope(model="B200")), Share("speech", GPU_PARTS, Scope(model="A100")))
    assert reserved_ahead(book, NAMES, PRICES, KINDS, WITHIN) == {VISION: None, SPEECH: 1000}
    assert reserved_ahead(shares(Share("vision", 1), idle=IDLE_PLATFORM), NAMES, PRICES, KINDS, WITHIN) == {}
    assert reserved_ahead(book, NAMES, PRICES, KINDS, Interval(5, 5)) == {}


@given(st.integers(0, 10), st.integers(1, 5 * GPU_PARTS))
def test_the_parts_of_a_period_sum_to_it(hours: int, parts: int) -> None:
    """To a quantum, that rounding down may take."""
    book, cut_us = shares(Share("vision", parts, Scope(model="H100"))), hours * US_PER_HOUR
    pieces = [
        reserved_ahead(book, NAMES, PRICES, KINDS, Interval(*bounds)).get(VISION, 0) or 0
        for bounds in ((0, cut_us), (cut_us, WITHIN.end_us))
    ]
    whole = reserved_ahead(book, NAMES, PRICES, KINDS, WITHIN)[VISION]
    assert whole is not None
    assert 0 <= whole - sum(pieces) <= 1
