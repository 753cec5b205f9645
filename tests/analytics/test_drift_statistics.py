"""The tests behind drift: they agree with Evidently and SciPy where days are independent, and keep their level where not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from evidently.legacy.calculations import stattests
from evidently.legacy.calculations.stattests.registry import _get_default_stattest
from evidently.legacy.core import ColumnType
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from analytics import drift_tests as tests
from analytics.drift import find_drift
from analytics.drift_frames import Observations
from analytics.drift_hardware import find_causes
from analytics.drift_samples import Sample, Windows, means, sizes
from analytics.drift_scatter import Scatter, scatter
from benchmarks.drift_fleet import Law, draw, draw_jobs

VALUES = st.lists(st.one_of(st.integers(-5, 5).map(float), st.floats(-1e6, 1e6)), min_size=2, max_size=30)
INDEPENDENT = Scatter(np.ones(1), np.full(1, 1e6))


def sample(reference: list[float], current: list[float], day: list[int] | None = None) -> Sample:
    """Return a sample of one group; each value has a day of its own unless said."""
    values = np.array([*reference, *current])
    return Sample(
        np.zeros(len(values), np.int64),
        np.arange(len(values)) >= len(reference),
        np.arange(len(values)) if day is None else np.array(day),
        values,
        1,
    )


@given(VALUES, VALUES)
@settings(max_examples=200, deadline=None)
def test_distances_are_those_of_scipy(reference: list[float], current: list[float]) -> None:
    """Kolmogorov's and Wasserstein's distance, with and without ties."""
    found = tests.distances(sample(reference, current))
    assert found.kolmogorov[0] == pytest.approx(stats.ks_2samp(reference, current).statistic)
    assert found.wasserstein[0] == pytest.approx(stats.wasserstein_distance(reference, current), rel=1e-6, abs=1e-9)
    assert found.distinct[0] == len({*reference, *current})


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_groups_do_not_touch_each_other(groups: list[tuple[list[float], list[float]]]) -> None:
    """What is found of a group in a fleet is what is found of it alone."""
    alone = [sample(*group) for group in groups]
    together = Sample(
        np.concatenate([np.full(len(each.group), number) for number, each in enumerate(alone)]),
        *(np.concatenate([getattr(each, name) for each in alone]) for name in ("current", "day", "value")),
        len(alone),
    )
    for number, each in enumerate(alone):
        for function in (tests.distances, sizes, means):
            assert [column[number] for column in function(together)] == pytest.approx(
                [column[0] for column in function(each)]
            )


def test_p_values_are_those_of_scipy_for_large_samples() -> None:
    """The tests of shape and place, of independent observations."""
    rng = np.random.default_rng(4)
    for shift in (0.0, 0.05, 0.15):
        reference, current = rng.standard_normal(2_000).tolist(), (rng.standard_normal(1_500) + shift).tolist()
        found = sample(reference, current)
        ours = tests.kolmogorov_p(tests.distances(found).kolmogorov, sizes(found))[0]
        assert ours == pytest.approx(stats.ks_2samp(reference, current, method="asymp").pvalue, rel=0.1)
        assert tests.mann_whitney_p(found, INDEPENDENT)[0] == pytest.approx(
            stats.mannwhitneyu(reference, current).pvalue, rel=0.05
        )


@pytest.mark.parametrize(("m", "n"), [(5, 5), (28, 7), (14, 14), (90, 7)])
def test_what_counts_of_small_samples_is_never_below_the_exact_p_value(m: int, n: int) -> None:
    """Taken twice and widened, Stephens' approximation errs on the side of silence where findings are."""
    for steps in range(1, m + 1):
        exact = stats.ks_2samp(np.arange(m, dtype=float), np.arange(n) + steps - 0.5, method="exact")
        ours = tests.kolmogorov_p(np.array([exact.statistic]), Windows(np.array([float(m)]), np.array([float(n)])))[0]
        if exact.pvalue < 0.01:
            assert 2 * tests.widened(np.array([ours]), np.array([m + n - 2.0]))[0] >= exact.pvalue


def test_we_agree_with_evidently() -> None:
    """Its tests of the same columns: Kolmogorov-Smirnov, chi-square, z, normed Wasserstein, Jensen-Shannon."""
    rng = np.random.default_rng(11)
    reference, current = rng.normal(300, 20, 900), rng.normal(303, 22, 700)
    found = sample(reference.tolist(), current.tolist())
    numeric = (pd.Series(reference), pd.Series(current), ColumnType.Numerical, 0.05)
    their_p = stattests.ks_stat_test(*numeric).drift_score
    assert tests.kolmogorov_p(tests.distances(found).kolmogorov, sizes(found))[0] == pytest.approx(their_p, rel=0.15)
    normed = tests.distances(found).wasserstein[0] / np.std(reference)
    assert normed == pytest.approx(stattests.wasserstein_stat_test(*numeric).drift_score, rel=1e-9)
    for kinds, test in (((1.0, 2.0, 4.0, 8.0), stattests.chi_stat_test), ((1.0, 8.0), stattests.z_stat_test)):
        before, after = rng.choice(kinds, 800), rng.choice(kinds, 500)
        ours = tests.categories_of(before, after, 1.0)
        assert ours is not None
        shares = (pd.Series(before), pd.Series(after), ColumnType.Categorical, 0.05)
        assert ours.distance == pytest.approx(stattests.jensenshannon_stat_test(*shares).drift_score, rel=1e-6)
        theirs = test(*shares).drift_score
        if test is stattests.z_stat_test:
            assert ours.p == pytest.approx(theirs, rel=1e-6)
        else:  # theirs takes the reference for the truth, ours for a sample as the current window is one
            table = [[(window == kind).sum() for kind in kinds] for window in (before, after)]
            assert ours.p == pytest.approx(stats.chi2_contingency(table).pvalue, rel=1e-6)
            assert ours.p >= theirs


def test_kinds_are_few_values_as_evidently_has_it() -> None:
    """Up to five values are shares to it, more are a distribution, of up to a thousand observations."""
    for kinds in (2, 3, 5, 6, 50):
        values = pd.Series([float(number % kinds) for number in range(200)])
        theirs = _get_default_stattest(values, values, ColumnType.Numerical).name
        assert (theirs in {"chisquare", "z"}) == (kinds <= tests.MAX_CATEGORIES)


def test_observations_that_resemble_each_other_count_for_less() -> None:
    """Ten devices that show the same on each day are worth one a day; independent ones what they are."""
    rng = np.random.default_rng(5)
    day = np.repeat(np.arange(35), 10).tolist()
    same = np.repeat(rng.standard_normal(35), 10)
    own = rng.standard_normal(350)
    inflated = scatter(sample(same[:280].tolist(), same[280:].tolist(), day)).inflation[0]
    assert 8 <= inflated <= 30
    assert scatter(sample(own[:280].tolist(), own[280:].tolist(), day)).inflation[0] < 2.5


def test_days_that_resemble_the_day_before_count_for_less() -> None:
    """A series in which a day keeps nine tenths of the one before is worth a tenth of its days, or less."""
    rng = np.random.default_rng(6)
    series = [0.0]
    for _ in range(55):
        series.append(0.9 * series[-1] + rng.standard_normal())
    assert scatter(sample(series[:28], series[28:])).inflation[0] > 5


def test_q_values_are_those_of_scipy() -> None:
    """Benjamini-Hochberg and Benjamini-Yekutieli."""
    p = np.random.default_rng(8).random(200) ** 3
    assert tests.adjusted(p, any_dependence=False) == pytest.approx(stats.false_discovery_control(p, method="bh"))
    assert tests.adjusted(p) == pytest.approx(stats.false_discovery_control(p, method="by"))
    assert len(tests.adjusted(np.zeros(0))) == 0


LAWS = (
    Law(devices=32, teams=4),
    Law(devices=32, teams=4, persistence=0.8, shared=0.7),
    Law(devices=32, teams=4, reference_days=14),
)


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_a_fleet_in_which_nothing_changed_stays_silent(law: Law) -> None:
    """Of 60 draws at a level of 5 %, no more than 7 have any finding: more would be one chance in a hundred."""
    alarms = 0
    for number in range(60):
        rng = np.random.default_rng([9, number])
        observed, jobs = draw(rng, law), draw_jobs(rng, law)
        drift = find_drift([observed, jobs], "team", level=0.025)
        causes = find_causes(observed, level=0.025)
        moved = pl.concat([causes.devices, causes.workloads])["cause"].is_in(["steady", "too_few"])
        alarms += not moved.all() or (drift.frame["verdict"] == "drift").any()
    assert alarms <= 7


def test_raw_minutes_would_cry_wolf() -> None:
    """Why rows are days: of minutes taken as independent, Evidently finds drift in most pairs of days of one steady law."""
    rng = np.random.default_rng(10)
    alarms = 0
    for _ in range(40):
        minutes = np.zeros(2 * 1440)
        for at in range(1, len(minutes)):
            minutes[at] = 0.98 * minutes[at - 1] + rng.standard_normal()
        alarms += stats.ks_2samp(minutes[:1440], minutes[1440:]).pvalue < 0.05
    assert alarms > 30


def test_an_observation_frame_may_be_empty_of_metrics() -> None:
    """Windows without metrics are compared in nothing."""
    found = draw(np.random.default_rng(1), Law(devices=4, teams=2))
    assert find_drift([Observations("device-day", found.reference, found.current, ())], "team").tested == 0
