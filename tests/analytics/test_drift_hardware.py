"""A failing card is told from a workload that changed, and from a card that was given other work."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from analytics.drift_frames import Observations
from analytics.drift_hardware import Cause, Shift, find_causes
from benchmarks.drift_fleet import Law, draw, shifted
from gpuledger.errors import AnalysisError

ONE = pl.col("device") == "GPU-3"
TEAM = pl.col("workload") == "workload-3"


@pytest.fixture(scope="module")
def fleet() -> Observations:
    """Return days of 64 devices on eight workloads, in which nothing changed."""
    return draw(np.random.default_rng(21), Law())


def moved(found: Observations) -> set[tuple[str, str, str]]:
    """Return what moved: device or workload, metric and cause."""
    causes = (Cause.HARDWARE, Cause.LOAD, Cause.WORKLOAD, Cause.UNDETERMINED)
    return {(shift.of, shift.metric, shift.cause.value) for shift in find_causes(found).shifts(*causes)}


def test_nothing_moves_where_nothing_changed(fleet: Observations) -> None:
    """Devices that differ, and days that differ, are no change."""
    assert moved(fleet) == set()


@pytest.mark.parametrize(
    ("metric", "times", "plus"), [("power_w", 0.9, 0.0), ("sm_clock_mhz", 0.9, 0.0), ("temperature_c", 1.0, 8.0)]
)
def test_one_card_that_changes_for_the_same_work_is_the_card(
    fleet: Observations, metric: str, times: float, plus: float
) -> None:
    """Less power, lower clocks or more heat than its peers at the same activity."""
    assert moved(shifted(fleet, ONE, metric, times=times, plus=plus)) == {("GPU-3", metric, "hardware")}


def test_the_shift_of_a_card_is_what_was_planted(fleet: Observations) -> None:
    """It is measured against its peers, with the days and the peers that it rests on."""
    [shift] = find_causes(shifted(fleet, ONE, "power_w", times=0.8)).shifts(Cause.HARDWARE)
    assert isinstance(shift, Shift)
    assert shift.shift_ratio == pytest.approx(-0.2, abs=0.05)
    assert (shift.model, shift.peers, shift.current_days) == ("H100", 8, 7)


def test_all_cards_of_a_workload_that_change_are_the_workload(fleet: Observations) -> None:
    """No device of it is blamed, for all of them moved together."""
    assert moved(shifted(fleet, TEAM, "power_w", times=0.75)) == {("workload-3", "power_w", "workload")}


def test_a_card_that_was_given_other_work_is_not_failing() -> None:
    """Its power follows its activity as it does on its peers: only the load moved."""
    alike = draw(np.random.default_rng(22), Law(shared=0.97))
    current = alike.current.with_columns(
        pl.when(ONE).then(pl.col("active_ratio") * 0.3).otherwise("active_ratio").alias("active_ratio"),
        pl.when(ONE).then(pl.col("power_w") - 560 * pl.col("active_ratio") * 0.7).otherwise("power_w").alias("power_w"),
    )
    power = Observations("device-day", alike.reference, current, ("active_ratio", "power_w"))
    found = moved(power)
    assert ("GPU-3", "active_ratio", "load") in found
    assert {(of, cause) for of, _, cause in found} == {("GPU-3", "load")}


def test_too_few_devices_to_tell_say_so(fleet: Observations) -> None:
    """Two devices have no majority: what changed on one of them may be the workload or the card."""
    pair = pl.col("device").is_in(["GPU-3", "GPU-11"])
    two = fleet._replace(reference=fleet.reference.filter(pair), current=fleet.current.filter(pair))
    found = find_causes(shifted(two, TEAM, "power_w", times=0.5))
    assert set(found.devices["cause"]) == {"too_few"}
    assert [shift.cause for shift in found.shifts(Cause.UNDETERMINED)] == [Cause.UNDETERMINED]


def test_a_card_that_moved_to_other_work_is_not_compared_across_it(fleet: Observations) -> None:
    """Only workloads that a device ran in both windows count for it."""
    current = fleet.current.with_columns(
        pl.when(ONE).then(pl.lit("workload-5")).otherwise("workload").alias("workload"),
        pl.when(ONE).then(pl.col("power_w") * 0.5).otherwise("power_w").alias("power_w"),
    )
    found = find_causes(fleet._replace(current=current))
    assert found.devices.filter(pl.col("of") == "GPU-3", pl.col("metric") == "power_w")["cause"].to_list() == [
        "too_few"
    ]
    assert {row for row in moved(fleet._replace(current=current)) if row[0] == "GPU-3"} == set()


def test_empty_windows_have_no_causes(fleet: Observations) -> None:
    """Nothing to compare, nothing found, no error."""
    found = find_causes(fleet._replace(current=fleet.current.clear()))
    assert set(found.devices["cause"]) <= {"too_few"}
    assert find_causes(
        fleet._replace(reference=fleet.reference.clear(), current=fleet.current.clear())
    ).devices.is_empty()


def test_absent_columns_are_named(fleet: Observations) -> None:
    """Without workloads there are no peers."""
    with pytest.raises(AnalysisError, match='no column "workload"'):
        find_causes(fleet._replace(reference=fleet.reference.drop("workload")))
