"""Bill lines summed before anything else is asked of them: exact, streamed, and in the columns of lines. Pure.

Names, ratios and groups are worked out on thousands of sums and not on a hundred million lines. The sum of lines of one
group has all that its lines have in common, so what reads lines reads sums as well.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from analytics.line_groups import PART


def summed(lines: pl.LazyFrame, keys: Iterable[str | pl.Expr], measures: Iterable[str | pl.Expr]) -> pl.DataFrame:
    """Return the sums of `measures` of each group of `keys`, as 128-bit integers: a year of a fleet is more than 64.

    What is not known (null) adds nothing. Lazy frames are streamed: memory grows with the groups, not with the lines.
    """
    totals = (_expression(measure).cast(PART).sum() for measure in measures)
    return lines.group_by(*map(_expression, keys)).agg(totals).collect(engine="streaming")


def _expression(column: str | pl.Expr) -> pl.Expr:
    return pl.col(column) if isinstance(column, str) else column
