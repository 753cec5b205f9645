"""Series from the ledger's steps: what is not known is marked, what was watched and empty is zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from analytics.forecast_series import find_series, step_edges
from analytics.forecast_ways import DAY, HOUR
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.errors import AnalysisError
from tests.analytics.series import MONDAY_US

DAY_PART_US = US_PER_DAY * GPU_PARTS
EDGES = MONDAY_US + np.arange(4, dtype=np.int64) * US_PER_DAY


def row(day: int, key: str, **fields: Any) -> dict[str, Any]:
    """Return a step of a group that holds one GPU all day at 2.00 an hour."""
    held = {
        "part_us": DAY_PART_US, "held_part_us": DAY_PART_US, "unobserved_part_us": 0, "unpriced_part_us": 0,
        "cost_quanta": 48_000_000_000, "started": 1,
    }  # fmt: skip
    return {"at_us": int(EDGES[0]) + day * US_PER_DAY, "key": key, **held, **fields}


def nobody(day: int, unobserved: float = 0.0) -> dict[str, Any]:
    """Return a step of four GPUs that nobody held, part of which nobody saw."""
    lost = int(4 * DAY_PART_US * unobserved)
    return row(day, "", part_us=4 * DAY_PART_US, held_part_us=0, cost_quanta=0, unobserved_part_us=lost)


def values(rows: list[dict[str, Any]], by: str = "team", metric: str = "cost") -> dict[str, list[float]]:
    """Return the values of each group."""
    found = find_series(pl.DataFrame(rows), EDGES, DAY, by=by, metric=metric, zone="UTC")
    return {each.name: each.values.tolist() for each in found}


def test_a_day_that_was_watched_without_a_team_is_a_zero() -> None:
    """The fleet is there on all three days, the team on two; idle time alone is no group."""
    rows = [row(0, "vision"), row(2, "vision"), nobody(0), nobody(1), nobody(2)]
    assert values(rows) == {"vision": [48.0, 0.0, 48.0]}
    assert values(rows, metric="gpu_hours") == {"vision": [24.0, 0.0, 24.0]}


def test_unobserved_days_are_not_known() -> None:
    """A day of which a tenth was not observed says nothing of any team; a day that is not there neither."""
    rows = [row(0, "vision"), nobody(0, unobserved=0.1), row(1, "vision"), nobody(1)]
    found = values(rows)["vision"]
    assert np.isnan(found).tolist() == [True, False, True]


def test_a_model_is_known_by_its_own_devices() -> None:
    """By model, a node that was away hides its own GPUs only."""
    rows = [
        *[row(day, "H100", unobserved_part_us=DAY_PART_US // 2 if day == 1 else 0) for day in range(3)],
        *[row(day, "T4") for day in range(3)],
    ]
    found = values(rows, by="model")
    assert np.isnan(found["H100"]).tolist() == [False, True, False]
    assert found["T4"] == [48.0, 48.0, 48.0]


def test_spend_without_a_price_is_not_known() -> None:
    """An hour without a price makes the day's spend unknown, not its GPU-hours."""
    rows = [row(0, "vision"), row(1, "vision", unpriced_part_us=1), row(2, "vision")]
    assert np.isnan(values(rows)["vision"]).tolist() == [False, True, False]
    assert values(rows, metric="gpu_hours") == {"vision": [24.0] * 3}


def test_who_was_there_first_is_no_arrival() -> None:
    """In the first step every holder counts as new, so that step is not known."""
    assert np.isnan(values([row(day, "vision") for day in range(3)], metric="arrivals")["vision"]).tolist() == [
        True,
        False,
        False,
    ]


def test_time_of_nobody_in_particular_has_a_name() -> None:
    """Held time without an owner is a series of its own."""
    assert values([row(day, "") for day in range(3)]) == {"unattributed": [48.0] * 3}


def test_what_is_no_series_is_refused() -> None:
    """An unknown metric, missing columns, a step twice: each says what is wrong."""
    rows = pl.DataFrame([row(0, "vision")])
    for frame, metric, said in (
        (rows, "spend", "not known"),
        (rows.drop("started"), "cost", "started missing"),
        (pl.concat([rows, rows]), "cost", "two rows"),
    ):
        with pytest.raises(AnalysisError, match=said):
            find_series(frame, EDGES, DAY, by="team", metric=metric, zone="UTC")


def test_only_whole_steps_count() -> None:
    """A day or an hour that is cut at either end is left out."""
    assert len(step_edges(MONDAY_US + 1, MONDAY_US + 3 * US_PER_DAY - 1, DAY)) == 2
    assert len(step_edges(MONDAY_US + 1, MONDAY_US + 3 * US_PER_HOUR, HOUR)) == 3
    assert len(step_edges(MONDAY_US, MONDAY_US + US_PER_DAY, DAY)) == 2
