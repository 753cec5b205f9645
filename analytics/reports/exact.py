"""Exact decimals in frames: 128-bit integers that are divided once, and written out as text; no float anywhere."""

from __future__ import annotations

from typing import Final

import polars as pl

QUANTA_PLACES: Final = 9  # money is counted in 1e-9 of the currency's unit
WIDE: Final = pl.Int128()


def wide(column: str | pl.Expr) -> pl.Expr:
    """Return a whole number with room for products."""
    return (pl.col(column) if isinstance(column, str) else column).cast(WIDE)


def scaled(numerator: pl.Expr, denominator: int | pl.Expr, places: int) -> pl.Expr:
    """Return `numerator / denominator` in units of the last of `places` decimals, rounded half away from zero.

    The denominator is positive.
    """
    below = wide(pl.lit(denominator) if isinstance(denominator, int) else denominator)
    magnitude = (2 * numerator.abs() * pl.lit(10**places).cast(WIDE) + below) // (2 * below)
    return pl.when(numerator < 0).then(wide(pl.lit(0)) - magnitude).otherwise(magnitude)


def decimal_text(value: pl.Expr, places: int) -> pl.Expr:
    """Return whole units of the last of `places` decimals as text, with one decimal at least and no needless zeros."""
    unit = pl.lit(10**places).cast(WIDE)
    magnitude = wide(value).abs()
    digits = pl.format("{}.{}", magnitude // unit, (magnitude % unit).cast(pl.String).str.zfill(places))
    shorter = digits.str.strip_chars_end("0")
    short = pl.when(shorter.str.ends_with(".")).then(shorter + "0").otherwise(shorter)
    return pl.when(value < 0).then("-" + short).otherwise(short)


def money_text(quanta: str | pl.Expr) -> pl.Expr:
    """Return whole quanta as an exact amount."""
    return decimal_text(wide(quanta), QUANTA_PLACES)


def or_null(text: str | pl.Expr) -> pl.Expr:
    """Return text, or null where it is empty: what is not there has no value, not even an empty one."""
    found = pl.col(text) if isinstance(text, str) else text
    return pl.when(found != "").then(found)
