"""Where budgets land by the weeks before, beside the run rate."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.budget_outlook import NO_TEAMS, OVER, TOO_FAR, outlook, teams_of
from analytics.forecast_series import Series
from analytics.forecast_ways import DAY
from gpuledger.accounting.units import US_PER_DAY

DAYS = 42
EDGES = np.arange(DAYS + 1, dtype=np.int64) * US_PER_DAY
TEAMS = [("acme", "ml", "vision"), ("acme", "ml", "speech"), ("acme", "ops", "run"), ("other", "", "run")]


def series(values: np.ndarray) -> Series:
    return Series("vision", DAY, "UTC", EDGES, values.astype(float))


def test_a_weekend_that_is_coming_costs_less_than_the_run_rate_says() -> None:
    """On a Friday night of a team that spends on weekdays: two days ahead come to nothing."""
    weekday = np.arange(DAYS) % 7
    found = outlook(
        {"vision": series(np.where(weekday < 5, 10.0 + np.arange(DAYS) % 3, 0.0))}, ["vision"],
        known=50.0, limit=60.0, span=((DAYS - 2) * US_PER_DAY + 2 * US_PER_DAY, (DAYS + 7) * US_PER_DAY),
    )  # fmt: skip
    assert found.reason == ""
    assert found.expected == pytest.approx(50 + 55, abs=8), "five weekdays, not seven"
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.expected <= found.high
    assert found.chance is not None
    assert found.chance > 0.9


def test_what_is_not_known_says_why() -> None:
    """Too short a past, no team, too far an end; a period without a rest is what it is."""
    span = (DAYS * US_PER_DAY, (DAYS + 3) * US_PER_DAY)
    short = series(np.where(np.arange(DAYS) < 30, np.nan, 5.0))
    assert outlook({"vision": short}, ["vision"], known=1.0, limit=2.0, span=span).reason == "too_short"
    assert outlook({}, ["vision"], known=1.0, limit=2.0, span=span).reason == NO_TEAMS
    far = (span[0], span[0] + 900 * US_PER_DAY)
    assert outlook({"vision": short}, ["vision"], known=1.0, limit=2.0, span=far).reason == TOO_FAR
    over = outlook({}, [], known=3.0, limit=2.0, span=(span[1], span[0]))
    assert (over.expected, over.chance, over.reason) == (3.0, 1.0, OVER)


def test_the_teams_of_a_path_are_those_beneath_it_whose_names_are_theirs_alone() -> None:
    """Two teams called run cannot be told apart in a series by name."""
    assert teams_of("acme/ml", TEAMS) == ["speech", "vision"]
    assert teams_of("acme/ml/vision", TEAMS) == ["vision"]
    assert teams_of("acme/m", TEAMS) == []
    assert teams_of("acme", TEAMS) == []
    assert teams_of("*", TEAMS) == []
