"""Forecasts: which way is used, what bounds hold, what has no forecast and why, where a period lands and a budget ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.holtwinters import Holt

from analytics.forecast import CONSTANT, GONE, Forecast, NoForecast, Reason, forecast
from analytics.forecast_ends import Spent, exhaust, fill_up, land
from analytics.forecast_series import Series, step_edges
from analytics.forecast_ways import (
    DAMPING,
    DAY,
    HALF_LIVES_DAYS,
    LEVEL_SPEED,
    NAIVE,
    TREND_SPEED,
    carry,
    damped_trend,
    fill,
    naive,
)
from gpuledger.accounting.periods import to_us
from gpuledger.errors import AnalysisError
from gpuledger.zones import find_zone
from tests.analytics.series import after, days, hours, weekly


def made(series: Series, count: float = 14) -> Forecast:
    """Return a forecast that has to be there."""
    found = forecast(series, after(series, count))
    assert isinstance(found, Forecast), found
    return found


def test_a_weekly_rhythm_is_carried_on() -> None:
    """Weekends stay weekends, and the error is smaller than the naive way's, which repeats last week's noise."""
    rng = np.random.default_rng(1)
    found = made(days(weekly(rng, 70, noise=20)))
    expected = found.frame["expected"].to_numpy()
    assert found.way.startswith("rhythm")
    assert found.error_ratio is not None
    assert found.error_ratio < 0.9
    assert expected[5:7] == pytest.approx([40, 40], abs=20)
    assert expected[:5] == pytest.approx([200] * 5, abs=20)


def test_the_naive_way_is_used_where_none_is_better() -> None:
    """Weeks that repeat to the cent are best forecast by repeating them."""
    found = made(days(np.resize([5.0, 9, 200, 1, 0, 70, 33], 42)), 7)
    assert (found.way, found.error_ratio) == (NAIVE, 1.0)
    assert found.frame["expected"].to_list() == [5.0, 9, 200, 1, 0, 70, 33]


def test_growth_is_followed_for_a_while() -> None:
    """A team that grows every day is expected above what it last had."""
    rng = np.random.default_rng(2)
    found = made(days(100 + 10 * np.arange(60) + 5 * rng.standard_normal(60)), 7)
    assert found.frame["expected"][6] > 700


def test_hours_follow_the_day() -> None:
    """By the hour, the night is expected to be quiet."""
    rng = np.random.default_rng(3)
    values = np.where(np.arange(24 * 28) % 24 < 8, 2.0, 20.0) + rng.standard_normal(24 * 28)
    expected = made(hours(values), 1).frame["expected"].to_numpy()
    assert expected[:8].mean() == pytest.approx(2, abs=1.5)
    assert expected[8:].mean() == pytest.approx(20, abs=1.5)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(st.floats(-50, 1e6), st.just(0.0), st.just(float("nan")), st.just(float("inf"))),
        min_size=1,
        max_size=60,
    ),
    st.integers(1, 40),
)
def test_bounds_are_in_order_whatever_the_past(values: list[float], count: int) -> None:
    """Any past gives a forecast whose bounds hold each other, or a reason; what never was below zero never is."""
    series = days(values)
    found = forecast(series, after(series, count))
    if isinstance(found, NoForecast):
        return
    assert len(found.frame) == count
    assert found.frame["expected"].is_finite().all()
    if found.trials is not None:
        rows = found.frame.select("low_95", "low_80", "expected", "high_80", "high_95").to_numpy()
        assert (np.diff(rows, axis=1) >= -1e-6 * np.abs(rows[:, 1:])).all()
    known = np.array(values)[np.isfinite(values)]
    if (known >= 0).all():
        assert (found.frame["expected"] >= 0).all()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], Reason.EMPTY),
        ([float("nan")] * 40, Reason.NOT_KNOWN),
        ([float("inf")] * 40, Reason.NOT_KNOWN),
        ([7.0], Reason.TOO_SHORT),
        ([3.0, 4.0] * 10, Reason.TOO_SHORT),
        ([0.0] * 60 + [5.0] * 6, Reason.TOO_SHORT),
    ],
)
def test_without_a_past_there_is_a_reason(values: list[float], reason: Reason) -> None:
    """Nothing, nothing known, one sample, too few days, a team that is new: each says so."""
    series = days(values)
    found = forecast(series, after(series, 7))
    assert isinstance(found, NoForecast)
    assert found.reason == reason


def test_what_never_varied_goes_on_without_bounds() -> None:
    """A reserved node costs the same each day; nothing says how far off that may be."""
    found = made(days([24.0] * 40), 3)
    assert found.way == CONSTANT
    assert found.frame["expected"].to_list() == [24.0] * 3
    assert found.frame["high_95"].null_count() == 3


def test_a_team_that_vanished_is_expected_to_stay_away() -> None:
    """After a week of nothing nothing is expected, and no bound is made up."""
    found = made(days([*np.random.default_rng(4).uniform(50, 90, 40), *[0.0] * 7]))
    assert found.way == GONE
    assert found.frame["expected"].sum() == 0


def test_unknown_days_are_left_out_not_taken_as_zero() -> None:
    """A week that nobody observed leaves the level where it was; as zeros it would not."""
    rng = np.random.default_rng(5)
    values = weekly(rng, 56)
    unknown, zero = values.copy(), values.copy()
    unknown[40:47], zero[40:47] = np.nan, 0.0
    expected = made(days(values)).frame["expected"].sum()
    assert made(days(unknown)).frame["expected"].sum() == pytest.approx(expected, rel=0.05)
    assert made(days(unknown)).unknown_steps == 7
    assert made(days(zero)).frame["expected"].sum() < expected


def test_few_known_days_far_apart_are_enough() -> None:
    """Each origin lies before a day that is known, however long the gaps."""
    values = np.full(150, np.nan)
    values[np.random.default_rng(13).choice(150, 22, replace=False)] = np.random.default_rng(14).uniform(50, 90, 22)
    found = forecast(days(values), after(days(values), 1))
    assert isinstance(found, Forecast)
    assert found.trials is not None
    assert 40 < found.frame["expected"][0] < 100


def test_negative_corrections_are_carried_with_bounds_below_zero() -> None:
    """A series of spend and credits may come to less than nothing."""
    rng = np.random.default_rng(6)
    found = made(days(30 * rng.standard_normal(60)))
    assert found.frame["low_80"].min() < 0


def test_a_day_of_23_hours_is_a_shorter_one() -> None:
    """Where clocks go forward within a period, that day counts 23 of 24 hours of what is expected of a day."""
    zone = find_zone("Europe/Berlin")
    start = to_us(datetime(2026, 1, 31, 23, tzinfo=UTC))
    until = to_us(datetime(2026, 3, 31, 22, tzinfo=UTC))  # 1 April in Berlin
    edges = step_edges(start, to_us(datetime(2026, 3, 27, 23, tzinfo=UTC)), DAY, zone)
    series = Series("vision", DAY, "Europe/Berlin", edges, np.full(len(edges) - 1, 48.0))
    found = forecast(series, until)
    assert isinstance(found, Forecast)
    assert np.diff(found.edges).tolist() == [24 * 3_600_000_000, 23 * 3_600_000_000, *[24 * 3_600_000_000] * 2]
    assert land(found, 0.0, series.end_us, until).expected == pytest.approx(48 * 3 + 46)


def test_the_end_must_lie_ahead_and_within_reach() -> None:
    """A forecast of the past, or of a century by the hour, is refused."""
    series = days([1.0, 2.0] * 20)
    with pytest.raises(AnalysisError, match="known up to there"):
        forecast(series, series.end_us)
    with pytest.raises(AnalysisError, match="is not made"):
        forecast(series, after(series, 365 * 100))


def test_a_landing_is_what_is_known_and_the_rest() -> None:
    """Half a day that is known already is not expected again; at the end nothing is left to expect."""
    series = days(weekly(np.random.default_rng(7), 56))
    found = made(series, 10)
    until = after(series, 10)
    expected = found.frame["expected"].to_numpy()
    whole = land(found, 1_000.0, series.end_us, until)
    later = land(found, 1_000.0, after(series, 0.5), until)
    assert whole.expected == pytest.approx(1_000 + expected.sum())
    assert later.expected == pytest.approx(1_000 + expected[0] / 2 + expected[1:].sum())
    assert whole.low_95 is not None
    assert whole.low_95 >= 1_000
    assert land(found, 1_000.0, until, until) == (1_000.0, 1_000.0, 1_000.0, 1_000.0, 1_000.0, 1_000.0)


def test_a_landing_is_surer_the_nearer_it_is() -> None:
    """Bounds of a sum of ten days are wider than those of two."""
    series = days(weekly(np.random.default_rng(8), 56))
    found = made(series, 10)
    far, near = (land(found, 0.0, series.end_us, after(series, ahead)) for ahead in (10, 2))
    assert far.high_80 is not None
    assert near.high_80 is not None
    assert far.expected is not None
    assert near.expected is not None
    assert far.high_80 - far.expected > near.high_80 - near.expected


def test_a_budget_is_spent_already_soon_perhaps_or_not() -> None:
    """About 1,000 a week come on top of 500: limits far below, inside, just above and far above that."""
    series = days(weekly(np.random.default_rng(9), 84))
    found, until = made(series, 7), after(series, 7)
    total = found.frame["expected"].sum()

    def ends(limit: float) -> Spent:
        return exhaust(found, limit, 500.0, series.end_us, until).verdict

    assert ends(400) == Spent.ALREADY
    assert ends(700) == Spent.EXPECTED
    assert ends(500 + total * 1.01) == Spent.POSSIBLE
    assert ends(500 + total * 3) == Spent.UNLIKELY
    soon = exhaust(found, 1_000.0, 500.0, series.end_us, until)
    assert soon.at_us == after(series, 3)  # three days of about 200
    assert soon.chance is not None
    assert soon.chance > 0.9
    assert soon.early_us is not None
    assert soon.late_us is not None
    assert soon.early_us <= soon.at_us <= soon.late_us


def test_the_chance_falls_with_the_limit() -> None:
    """No larger budget is likelier to be spent than a smaller one."""
    series = days(np.exp(np.random.default_rng(10).standard_normal(63)))
    found, until = made(series, 14), after(series, 14)
    chances = [exhaust(found, limit, 3.0, series.end_us, until).chance for limit in np.linspace(3.5, 80, 40)]
    assert all(chance is not None for chance in chances)
    assert chances == sorted(chances, reverse=True)  # type: ignore[type-var]


def test_a_budget_without_a_forecast_is_not_known() -> None:
    """Neither a date nor a chance is made up for a team of a week; a limit of nothing is refused."""
    series = days([5.0] * 7)
    none = forecast(series, after(series, 7))
    found = exhaust(none, 100.0, 35.0, series.end_us, after(series, 7))
    assert (found.verdict, found.at_us, found.chance) == (Spent.NOT_KNOWN, None, None)
    assert land(none, 35.0, series.end_us, after(series, 7)) == (35.0, None, None, None, None, None)
    with pytest.raises(AnalysisError, match="not possible"):
        exhaust(none, 0.0, 35.0, series.end_us, after(series, 7))


def test_a_growing_model_fills_up() -> None:
    """Twenty GPUs of which one more a week is held are all held in time; a quiet model is not."""
    rng = np.random.default_rng(11)
    held = 24 * (8 + np.arange(70) / 7 + 0.1 * rng.standard_normal(70))
    series = days(held)
    found = fill_up(made(series, 21), 20.0)
    assert found is not None
    assert found.full_us is not None
    assert series.end_us < found.full_us
    quiet = fill_up(made(days(24 * (4 + 0.3 * rng.standard_normal(70))), 21), 20.0)
    assert quiet is not None
    assert (quiet.full_us, round(quiet.held)) == (None, 4)


def test_the_naive_way_reaches_back_over_unknown_steps() -> None:
    """Of a step that is not known last week, the one a week earlier is taken; of one never known, the mean."""
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 8, np.nan, 10, 11, 12, 13, 14])
    assert naive(values, 8, 7).tolist() == [8, 2, 10, 11, 12, 13, 14, 8]
    never = np.array([1.0, np.nan, 3, 5])
    assert naive(never, 2, 2).tolist() == [3, 5]
    assert naive(np.array([2.0, np.nan, 4.0, np.nan]), 2, 2).tolist() == [4, 3]


def test_what_is_filled_in_is_like_its_weekday() -> None:
    """An unknown Sunday is filled with the Sundays beside it, and what is known stays as it is."""
    values = np.resize([9.0, 9, 9, 9, 9, 9, 1], 28)
    values[13] = np.nan
    assert fill(values, 7).tolist() == np.resize([9.0, 9, 9, 9, 9, 9, 1], 28).tolist()


def test_days_of_a_zone_have_23_to_25_hours() -> None:
    """Steps follow the midnights of the billing zone."""
    zone = find_zone("Europe/Berlin")
    start = to_us(datetime(2026, 10, 24, 22, tzinfo=UTC))
    edges = step_edges(start, start + round(timedelta(days=3).total_seconds() * 1e6), DAY, zone)
    assert (np.diff(edges) / 3_600_000_000).tolist() == [25, 24]


@pytest.mark.parametrize("count", [15, 40, 90])
def test_the_damped_trend_is_that_of_statsmodels(count: int) -> None:
    """At the same speeds, whatever the series."""
    values = np.random.default_rng(count).normal(100, 30, count).cumsum()
    theirs = Holt(values, damped_trend=True, initialization_method="heuristic").fit(
        smoothing_level=LEVEL_SPEED, smoothing_trend=TREND_SPEED, damping_trend=DAMPING, optimized=False
    )
    assert damped_trend(values, 20) == pytest.approx(np.asarray(theirs.forecast(20)), rel=1e-9)


def test_a_level_is_an_exponentially_weighted_mean() -> None:
    """As Polars weighs it, unknown steps and all."""
    values = np.random.default_rng(12).normal(100, 30, 40)
    values[[3, 20, 39]] = np.nan
    carried = carry(values, 1, DAY)
    for half_life in HALF_LIVES_DAYS:
        smoothed = pl.Series(values).fill_nan(None).ewm_mean(half_life=half_life, adjust=True)
        expected = smoothed.fill_null(strategy="forward")[-1]
        assert carried[f"level ({half_life} d)"].tolist() == pytest.approx([expected])
