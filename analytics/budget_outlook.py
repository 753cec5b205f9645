"""Where budgets land by the weeks before: the forecast of their owners' spend, with its range, beside the run rate.

What is known of a period is what the budget has spent by its bill; the rest is forecast from charges of held time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from analytics.forecast import NoForecast, forecast
from analytics.forecast_ends import exhaust, land
from analytics.forecast_series import Series
from gpuledger.accounting.units import US_PER_DAY

MOST_DAYS: Final = 400
TOO_FAR: Final = "too_far"  # the period ends too far ahead for what days can say
NO_TEAMS: Final = "no_teams"  # the owner is not one of teams whose names are theirs alone
OVER: Final = "over"  # nothing of the period is to come

Path = tuple[str, ...]


class Outlook(NamedTuple):
    """Where a budget lands: expected, the range of four of five, the chance to pass the limit, or why not known."""

    expected: float | None = None
    low: float | None = None
    high: float | None = None
    chance: float | None = None
    reason: str = ""


def teams_of(owner: str, teams: Iterable[tuple[str, str, str]]) -> list[str]:
    """Return the names of the teams at or beneath an owner's path; none where a name is that of another team too.

    Series have teams by name alone. What everybody spends has idle time in it, which is no team's.
    """
    known = [("/".join(filter(None, levels)), levels[2]) for levels in set(teams)]
    mine = [(path, name) for path, name in known if path == owner or path.startswith(f"{owner}/")]
    names = [name for _, name in known]
    return sorted(name for _, name in mine) if all(name and names.count(name) == 1 for _, name in mine) else []


def outlook(
    series: Mapping[str, Series], teams: Sequence[str], *, known: float, limit: float, span: tuple[int, int]
) -> Outlook:
    """Return where `known` and what teams spend in `span` (what is left of the period) come to.

    Teams without a series have spent nothing yet. All amounts are in units of one currency.
    """
    from_us, until_us = span
    own = [series[name] for name in teams if name in series]
    if until_us <= from_us:
        return Outlook(known, known, known, float(known > limit), OVER)
    if not own:
        return Outlook(reason=NO_TEAMS)
    if until_us - from_us > MOST_DAYS * US_PER_DAY:
        return Outlook(reason=TOO_FAR)
    total = own[0]._replace(values=sum((each.values for each in own[1:]), own[0].values.copy()))
    found = forecast(total, until_us)
    if isinstance(found, NoForecast):
        return Outlook(reason=found.reason.value)
    landing = land(found, known, from_us, until_us)
    chance = exhaust(found, limit, known, from_us, until_us).chance if limit > 0 else None
    return Outlook(landing.expected, landing.low_80, landing.high_80, chance)
