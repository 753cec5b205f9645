"""The answer of `forecast`: for the period, or as many days, and the budgets that the command line names."""

from __future__ import annotations

import math
from typing import NamedTuple

from analytics import forecast_document
from analytics.series_source import TOTAL, Known, read_known
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.cli.sources import Document, Source, wanted_period
from gpuledger.errors import ConfigError


class Asked(NamedTuple):
    """What is asked for; without a horizon (days) it is the period, an empty one being this month."""

    period: str
    horizon: int | None
    by: str
    metric: str
    grain: str
    budgets: tuple[str, ...] = ()


def find(source: Source, asked: Asked, *, steps: bool = False) -> Document:
    """Return the forecast; with `steps`, rows are the coming steps of each group.

    Raises AnalysisError where the period is known to its end, and ConfigError on a budget of nobody here.
    """
    limits = read_budgets(asked.budgets)
    known = read_known(source)
    wanted = forecast_document.Asked(asked.by, asked.metric, asked.grain, limits)
    answer = forecast_document.find(source, known, _period(source, asked, known), wanted, steps=steps)
    there = list(dict.fromkeys(row["key"] for row in answer["rows"]))
    unknown = [name for name in limits if name not in there]
    if unknown:
        raise ConfigError(
            f'there is no {asked.by} "{unknown[0]}" here', hint=f"there are: {', '.join(there) or 'none'}"
        )
    return answer


def read_budgets(texts: tuple[str, ...]) -> dict[str, float]:
    """Return limits by the key that they are for. Raises ConfigError on what is no amount, and on two for one key."""
    limits: dict[str, float] = {}
    for text in texts:
        key, separator, amount = text.rpartition("=")
        key = key if separator else TOTAL
        try:
            limit = float(amount)
        except ValueError:
            limit = math.nan
        if not (math.isfinite(limit) and limit > 0):
            raise ConfigError(f'the budget "{text}" is no amount', hint="write vision=12000, or 40000 for the total")
        if key in limits:
            raise ConfigError(f"there are two budgets for {key}", hint="give one")
        limits[key] = limit
    return limits


def _period(source: Source, asked: Asked, known: Known) -> Period:
    if asked.horizon is None:
        return wanted_period(source, asked.period)
    if not 1 <= asked.horizon <= 366:
        raise ConfigError(f"a horizon of {asked.horizon} days is not possible", hint="give 1 to 366 days")
    end_us = known.until_us + asked.horizon * US_PER_DAY
    return Period(known.until_us, end_us, f"the next {asked.horizon} days", known.zone)
