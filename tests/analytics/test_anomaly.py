"""Anomalies: what is planted is found with its kind and size, what goes on as it did is silent."""

from __future__ import annotations

import numpy as np
import pytest

from analytics.anomaly import Anomaly, Kind, find_anomalies, table
from analytics.forecast import Reason
from analytics.forecast_series import Series
from benchmarks.anomaly_fleet import Fleet, draw, window_from
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import AnalysisError
from tests.analytics.series import days, weekly

DAYS, WINDOW = 63, 14
FROM = DAYS - WINDOW


def fleet(changed: np.ndarray | None = None, seed: int = 1) -> list[Series]:
    """Return four teams of which the first may be changed."""
    rng = np.random.default_rng(seed)
    found = [days(weekly(rng, DAYS, noise=15), f"team-{number}") for number in range(4)]
    return found if changed is None else [days(changed, "team-0"), *found[1:]]


def team(seed: int = 1) -> np.ndarray:
    """Return the values of the first team."""
    return fleet(seed=seed)[0].values.copy()


def find(series: list[Series], **options: object) -> list[Anomaly]:
    """Return what is found in the last two weeks."""
    return find_anomalies(series, int(series[0].edges[FROM]), **options).found  # type: ignore[arg-type]


def test_a_fleet_that_goes_on_is_silent() -> None:
    """Of twenty fleets with skewed, rare, alternating and gappy teams none is told anything of."""
    kind = Fleet()
    for number in range(20):
        rng = np.random.default_rng([77, number])
        assert find_anomalies(draw(rng, kind), window_from(kind)).found == []


def test_a_spike_is_found_with_its_days_and_its_size() -> None:
    """Two days at four times the usual are one anomaly, worth what they had beyond what was expected."""
    values = team()
    extra = 3 * values[FROM + 2 : FROM + 4].sum()
    values[FROM + 2 : FROM + 4] *= 4
    series = fleet(values)
    [found] = find(series)
    assert (found.name, found.kind) == ("team-0", Kind.SPIKE)
    assert found.start_us == series[0].edges[FROM + 2]
    assert found.end_us == series[0].edges[FROM + 4]
    assert found.excess == pytest.approx(extra, rel=0.15)
    assert found.money == found.excess
    assert found.high_95 is not None
    assert found.seen > found.high_95
    assert found.q is not None
    assert found.q < 0.05


def test_a_new_level_is_told_from_a_spike() -> None:
    """What stays is a level shift, and is learnt from: the second week of it is no second anomaly."""
    values = team()
    values[FROM + 2 :] *= 2.5
    [found] = find(fleet(values))
    assert found.kind == Kind.LEVEL_SHIFT


def test_a_team_that_vanishes_drops_out() -> None:
    """Nothing where 200 a day were expected, to the end; the same days without telemetry are nothing of the kind."""
    values = team()
    values[FROM + 1 :] = 0.0
    [found] = find(fleet(values))
    assert (found.kind, found.seen) == (Kind.DROP_OUT, 0.0)
    assert found.excess < 0
    values[FROM + 1 :] = np.nan
    assert find(fleet(values)) == []


def test_who_always_held_something_and_vanishes_is_told_however_it_varied() -> None:
    """A team whose days differ by half goes to nothing for five days: told, with what was expected; four weekends are not."""
    rng = np.random.default_rng(9)
    values = 400 * np.exp(0.5 * rng.standard_normal(DAYS))
    values[-5:] = 0.0
    [found] = find(fleet(values))
    assert (found.kind, found.seen) == (Kind.DROP_OUT, 0.0)
    assert found.end_us - found.start_us == 5 * US_PER_DAY
    assert found.expected == pytest.approx(5 * 400 * np.exp(0.125), rel=0.4)
    sometimes = np.where(np.arange(DAYS) % 7 >= 5, 0.0, values)
    assert all(one.q is not None for one in find(fleet(sometimes)))


def test_a_dip_that_is_over_is_told_as_one() -> None:
    """Two working days of nothing in the middle of a window."""
    values = team()
    values[FROM + 1 : FROM + 3] = 0.0
    [found] = find(fleet(values))
    assert found.kind == Kind.DIP


def test_a_spike_is_not_learnt_from() -> None:
    """The week after a spike is measured by the weeks before it: the normal days that follow are no dip."""
    values = team()
    values[FROM + 3] *= 12
    assert [one.kind for one in find(fleet(values))] == [Kind.SPIKE]


def test_unknown_days_inside_a_stretch_belong_to_it() -> None:
    """Three days of a spike, the middle one not observed, are one stretch that is known to two thirds."""
    values = team()
    values[FROM : FROM + 3] *= 4
    values[FROM + 1] = np.nan
    [found] = find(fleet(values))
    assert found.known_ratio == pytest.approx(2 / 3)
    assert found.end_us - found.start_us == 3 * US_PER_DAY


def test_who_appears_is_told_without_a_test() -> None:
    """A team with nothing before has no past to be held against; it is there with what it has."""
    values = np.zeros(DAYS)
    values[FROM + 4 :] = 90.0
    [found] = find(fleet(values))
    assert (found.kind, found.q, found.expected) == (Kind.APPEARED, None, None)
    assert found.seen == 90 * 10


def test_what_never_varied_and_does_is_told() -> None:
    """A reserved node that cost 48 each day costs 96: no chance can be stated, and there is no doubt."""
    values = np.full(DAYS, 48.0)
    values[FROM + 3 :] = 96.0
    [found] = find(fleet(values))
    assert (found.kind, found.q) == (Kind.LEVEL_SHIFT, None)


def test_too_small_a_change_is_not_told() -> None:
    """A tenth more of a level that hardly varies is significant and not worth telling."""
    rng = np.random.default_rng(3)
    values = 500 + rng.standard_normal(DAYS)
    values[FROM:] *= 1.1
    assert find(fleet(values)) == []


def test_of_whom_nothing_can_be_told_is_named() -> None:
    """Too short a past, none that is known, and rare use: each with its reason."""
    rng = np.random.default_rng(4)
    rare = np.where(np.arange(DAYS) % 9 == 0, 300.0, 0.0)
    short = np.concatenate([np.full(DAYS - 20, np.nan), 50 + rng.standard_normal(20)])
    series = [days(rare, "rare"), days(short, "short"), days(np.full(DAYS, np.nan), "dark")]
    found = find_anomalies(series, int(series[0].edges[FROM]))
    reasons = {one.name: one.reason for one in found.skipped}
    assert reasons == {"rare": Reason.SPORADIC, "short": Reason.TOO_SHORT, "dark": Reason.NOT_KNOWN}
    assert (found.found, found.tested) == ([], 0)


def test_gpu_hours_are_worth_what_they_cost() -> None:
    """With a price the size is in money; without one it is not known."""
    values = team()
    values[FROM + 2] *= 5
    [priced] = find(fleet(values), prices={"team-0": 2.5})
    [unpriced] = find(fleet(values), prices={})
    assert priced.money == pytest.approx(2.5 * priced.excess)
    assert unpriced.money is None


def test_the_table_has_a_row_an_anomaly() -> None:
    """Also where there is none: the columns stay."""
    values = team()
    values[FROM + 2] *= 5
    series = fleet(values)
    found = find_anomalies(series, int(series[0].edges[FROM]))
    assert table(found)["kind"].to_list() == ["spike"]
    empty = find_anomalies(fleet(), int(series[0].edges[FROM]))
    assert table(empty).columns == table(found).columns


def test_a_level_is_a_chance() -> None:
    """Neither nothing nor certainty."""
    with pytest.raises(AnalysisError, match="between 0 and 1"):
        find_anomalies([], 0, level=1.0)
