"""Figures in frames are exact: divided once, and written out without a float."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from analytics.reports.exact import decimal_text, or_null, scaled, wide
from analytics.reports.focus_split import PLACES, with_shares
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR

WIDE = st.integers(-(10**25), 10**25)
LINE = st.tuples(st.integers(0, 3), st.integers(0, US_PER_HOUR), st.integers(0, 10**12))


def value(expression: pl.Expr) -> object:
    return pl.select(expression).item()


@given(WIDE, st.integers(0, 21))
def test_whole_units_become_the_decimal_that_they_are(units: int, places: int) -> None:
    """Whatever the sign and the size, the text is the exact value, with one decimal at least and no trailing zeros."""
    text = value(decimal_text(pl.lit(units, dtype=pl.Int128), places))
    assert isinstance(text, str)
    assert Decimal(text) == Decimal(units).scaleb(-places)
    assert "." in text
    assert text.endswith(".0") or not text.endswith("0")


@given(st.integers(-(10**15), 10**15), st.integers(1, 10**13), st.integers(0, 9))
def test_a_quotient_is_rounded_once(numerator: int, denominator: int, places: int) -> None:
    """The result is within half a unit of the true quotient; a half goes away from zero."""
    found = value(scaled(pl.lit(numerator, dtype=pl.Int128), denominator, places))
    assert isinstance(found, int)
    exact = Fraction(numerator, denominator) * 10**places
    assert abs(found - exact) <= Fraction(1, 2)
    assert abs(found) >= abs(exact) or abs(found - exact) < Fraction(1, 2)


def test_nothing_is_no_text() -> None:
    """An empty text becomes null, a text stays."""
    assert pl.DataFrame({"a": ["", "x", None]}).select(or_null("a"))["a"].to_list() == [None, "x", None]
    assert value(wide(pl.lit(3)) * wide(pl.lit(10**18)) * wide(pl.lit(10**18))) == 3 * 10**36


@given(st.lists(LINE, min_size=1, max_size=12))
def test_shares_of_an_hour_sum_to_it_exactly(lines: list[tuple[int, int, int]]) -> None:
    """Hours, GPU-hours and ratios of an origin's lines sum to its own, and each is its value to the twelfth decimal."""
    ordered = sorted(lines, key=lambda line: line[0])
    frame = pl.DataFrame(
        [
            {
                "hour_us": 0, "offset_us": 0, "price_entry": 0, "cluster": "c", "device": f"GPU-{hour}", "device_id": hour, "period_id": None,
                "held_us": held_us, "parts": 120 * (1 + hour), "cost_quanta": cost,
            }
            for hour, held_us, cost in ordered
        ],
        schema_overrides={"period_id": pl.Int32},
    )  # fmt: skip
    shared = with_shares(frame)
    for _, origin in shared.group_by("x_SplitOriginId"):
        held = origin["held_us"].sum()
        parts = origin["parts"][0]
        assert sum(origin["ratio"].to_list()) == 10**PLACES
        assert sum(origin["hours"].to_list()) == round_half_up(Fraction(held * 10**PLACES, US_PER_HOUR))
        whole = Fraction(held * parts * 10**PLACES, US_PER_HOUR * GPU_PARTS)
        assert sum(origin["part_hours"].to_list()) == round_half_up(whole)
        assert {Decimal(text) for text in origin["x_SplitOriginCost"]} == {
            Decimal(origin["cost_quanta"].sum()).scaleb(-9)
        }
        for row in origin.iter_rows(named=True):
            assert abs(row["hours"] - Fraction(row["held_us"] * 10**PLACES, US_PER_HOUR)) <= 1


def round_half_up(number: Fraction) -> int:
    return (2 * number.numerator + number.denominator) // (2 * number.denominator)
