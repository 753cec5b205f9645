"""What drift answers of each kind of window: changes, chance, and all that cannot be compared."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from analytics.drift import SCHEMA, Finding, Verdict, find_drift, write_report
from analytics.drift_frames import Observations, calendar
from gpuledger.errors import AnalysisError
from tests.analytics.drift_frames import MONDAY, compare, days, normal, only


def test_a_change_is_told_with_its_size() -> None:
    """Values a third lower are drift; how far they moved stands beside, in their unit and by the mean."""
    found = only(compare(days(normal(28)), days(normal(7, 66.0, seed=2), first=28)))
    assert found.verdict is Verdict.DRIFT
    assert found.moved == pytest.approx(34, abs=5)
    assert found.moved_ratio == pytest.approx(0.34, abs=0.05)
    assert found.q is not None
    assert found.q <= 0.05
    assert (found.reference_count, found.current_count) == (28, 7)


def test_chance_is_no_change() -> None:
    """Values that follow the same law are steady."""
    assert only(compare(days(normal(28)), days(normal(7, seed=2), first=28))).verdict is Verdict.STEADY


def test_a_change_that_is_too_small_to_matter_is_told_as_small() -> None:
    """A change may be sure and still be a trifle: here one by a hundredth of the mean."""
    before, now = ([mean + value / 100 for value in normal(count, 0.0)] for mean, count in ((100, 28), (101, 7)))
    found = only(compare(days(before), days(now, first=28)))
    assert found.verdict is Verdict.SMALL


@pytest.mark.parametrize(
    ("reference", "current", "verdict"),
    [
        ([1.0] * 28, [1.0] * 7, Verdict.CONSTANT),
        ([1.0] * 28, [9.0] * 28, Verdict.DRIFT),
        (normal(28), normal(1), Verdict.TOO_FEW),
        (normal(2), normal(7), Verdict.TOO_FEW),
        ([None] * 7, [float("nan")] * 7, Verdict.NO_VALUES),
        ([None] * 7, normal(7), Verdict.APPEARED),
        (normal(7), [float("inf")] * 7, Verdict.VANISHED),
    ],
)
def test_windows_that_need_no_test_have_a_verdict(
    reference: list[float], current: list[float], verdict: Verdict
) -> None:
    """Constants, single samples, and values that are no numbers each have an answer of their own."""
    assert only(compare(days(reference), days(current, first=28))).verdict is verdict


def test_what_is_no_number_is_left_out_and_counted() -> None:
    """NaN, infinities and nulls change nothing of what is found of the others."""
    reference, current = normal(28), normal(7, 66.0, seed=2)
    plain = only(compare(days(reference), days(current, first=28)))
    broken = pl.concat([days(reference), days([None, float("nan"), float("inf"), -float("inf")], team="vision").with_columns(
        at=pl.Series([MONDAY + timedelta(days=number) for number in range(28, 32)], dtype=pl.Datetime("us", "UTC")))])  # fmt: skip
    found = only(compare(broken.filter(pl.col("at") < MONDAY + timedelta(days=28)), days(current, first=28)))
    assert found == plain
    holes = [float("nan") if number in {3, 17} else value for number, value in enumerate(reference)]
    found = only(compare(days(holes), days(current, first=28)))
    assert (found.verdict, found.left_out, found.reference_count) == (Verdict.DRIFT, 2, 26)


def test_teams_that_come_and_go_are_told_apart_from_empty_windows() -> None:
    """A team of one window only appeared or vanished; where a window holds nobody, that is what is said."""
    both = [days(normal(28)), days(normal(7), first=28)]
    old, new = days(normal(28), team="old"), days(normal(7), first=28, team="new")
    verdicts = {
        row.group: row.verdict for row in compare(pl.concat([both[0], old]), pl.concat([both[1], new])).findings()
    }
    assert verdicts == {"vision": Verdict.STEADY, "old": Verdict.VANISHED, "new": Verdict.APPEARED}
    assert only(compare(both[0], both[1].clear())).verdict is Verdict.EMPTY_CURRENT
    assert only(compare(both[0].clear(), both[1])).verdict is Verdict.EMPTY_REFERENCE
    nothing = compare(both[0].clear(), both[1].clear())
    assert nothing.findings() == []
    assert nothing.frame.schema == SCHEMA


def test_nobodys_observations_have_a_name() -> None:
    """A row without a team belongs to the group of what is nobody's."""
    assert only(compare(days(normal(28), team=None), days(normal(7), first=28, team=None))).group == "unattributed"


def test_unobserved_days_are_left_out_and_not_taken_as_zero() -> None:
    """A gap of ten days in the reference changes how much is known, not what is found."""
    gap = days(normal(28)).filter(~pl.col("at").dt.day().is_between(10, 19))
    found = only(compare(gap, days(normal(7, seed=2), first=28)))
    assert found.verdict is Verdict.STEADY
    assert found.reference_mean == pytest.approx(100, abs=3)


def test_both_windows_have_the_same_weekdays() -> None:
    """Weekends at a fifth of the other days are no change, however the windows begin and end."""
    values = [20.0 if number % 7 >= 5 else 100.0 for number in range(28)]
    weekdays = [value + number / 100 for number, value in enumerate(values)]
    drift = compare(days(weekdays), days([100.1, 100.2, 100.3, 100.4, 20.1, 20.2, 100.5, 100.6, 100.7], first=29))
    assert only(drift).verdict is Verdict.STEADY
    assert (drift.reference_days, drift.current_days, drift.days_left_out) == (18, 9, 10)


def test_windows_without_a_weekday_in_common_cannot_be_compared() -> None:
    """Nothing is compared where no day has its like in the other window."""
    drift = compare(days(normal(5)), days(normal(2), first=12))
    assert (drift.reference_days, drift.current_days, drift.tested) == (0, 0, 0)
    assert only(drift).verdict is Verdict.TOO_FEW


def test_the_days_that_tell_most_are_chosen() -> None:
    """Nine days against three weeks: the latest seven of them, against all three weeks."""
    chosen = calendar([Observations("day", days(normal(21)), days(normal(9), first=21), ("value",))])
    assert (len(chosen.reference), len(chosen.current), chosen.left_out) == (21, 7, 2)
    assert min(chosen.current) == (MONDAY + timedelta(days=23)).date()


def hours(values: list[float], first: int = 0) -> pl.DataFrame:
    """Return one row an hour."""
    frame = days(values, first)
    return frame.with_columns(
        pl.Series("at", [MONDAY + timedelta(days=first, hours=number) for number in range(len(values))])
    )


@pytest.mark.parametrize(
    ("reference", "current", "says"),
    [
        (hours(normal(28)), days(normal(7), first=28), "begin within a day"),
        (days(normal(28)), hours(normal(28), first=28), "begin within a day"),
        (pl.concat([days(normal(28))] * 2), days(normal(7), first=28), "28 rows more than days of team"),
        (days(normal(28)), days(normal(7), first=27), "is in both windows"),
        (days(normal(28)).drop("team"), days(normal(7), first=28), 'no column "team"'),
        (days(normal(28)).rename({"value": "values"}), days(normal(7), first=28), 'is it "values"'),
        (days(normal(28)).with_columns(at=pl.lit(None)), days(normal(7), first=28), "is not an instant"),
    ],
)
def test_frames_that_cannot_be_compared_are_refused(reference: pl.DataFrame, current: pl.DataFrame, says: str) -> None:
    """Mixed grains, several rows for one day, windows that overlap and absent columns are errors that name the thing."""
    with pytest.raises(AnalysisError) as caught:
        compare(reference, current)
    assert says in str(caught.value)
    assert caught.value.hint


def test_a_level_is_a_chance() -> None:
    """A level of 0 or of 1 would find nothing, or everything."""
    for level in (0.0, 1.0):
        with pytest.raises(AnalysisError):
            compare(days(normal(28)), days(normal(7), first=28), level=level)


def categories(shares: dict[str, int], first: int, count: int) -> pl.DataFrame:
    """Return jobs with a kind each, spread over days."""
    kinds = [kind for kind, times in shares.items() for _ in range(times)]
    np.random.default_rng(first).shuffle(kinds)
    rows = [
        {"at": MONDAY + timedelta(days=first + number % count, hours=1), "team": "vision", "value": kind}
        for number, kind in enumerate(kinds)
    ]
    return pl.DataFrame(rows, schema_overrides={"at": pl.Datetime("us", "UTC")})


def test_kinds_are_compared_by_their_shares() -> None:
    """Text and values of few kinds go by chi-square, or by z where there are two; a rare kind is too few to tell."""
    before = categories({"a": 140, "b": 70, "c": 70}, 0, 28)
    changed = only(compare(before, categories({"a": 20, "b": 70, "c": 50}, 28, 7), unit="job"))
    assert (changed.verdict, changed.test, changed.distance) == (Verdict.DRIFT, "chi-square", "Jensen-Shannon")
    assert changed.moved is None
    assert only(compare(before, categories({"a": 70, "b": 35, "c": 35}, 28, 7), unit="job")).verdict is Verdict.STEADY
    two = only(compare(categories({"a": 140, "b": 140}, 0, 28), categories({"a": 70, "b": 70}, 28, 7), unit="job"))
    assert two.test == "z"
    rare = only(compare(before, categories({"a": 70, "b": 35, "c": 35, "d": 1}, 28, 7), unit="job"))
    assert rare.verdict is Verdict.TOO_FEW


def test_the_frame_and_the_findings_are_the_same() -> None:
    """Each row of the frame is one finding, drift first."""
    reference = pl.concat([days(normal(28), team=f"t{number}") for number in range(4)])
    current = pl.concat(
        [days(normal(7, 100 - 30 * (number == 2), seed=3), first=28, team=f"t{number}") for number in range(4)]
    )
    drift = compare(reference, current)
    assert [row.group for row in drift.findings()] == drift.frame["group"].to_list()
    assert [row.group for row in drift.findings(Verdict.DRIFT)] == ["t2"]
    assert isinstance(drift.findings()[0], Finding)
    assert drift.tested == 4


def test_more_comparisons_ask_for_more_proof() -> None:
    """What is found among few comparisons is chance among thousands."""
    reference = [days(normal(28, seed=number), team=f"t{number}") for number in range(400)]
    current = [
        days(normal(7, 86.0 if number == 7 else 100.0, seed=1000 + number), first=28, team=f"t{number}")
        for number in range(400)
    ]
    assert compare(reference[7], current[7]).findings()[0].verdict is Verdict.DRIFT
    drift = compare(pl.concat(reference), pl.concat(current))
    assert drift.tested > 380
    assert drift.findings(Verdict.DRIFT) == []


def test_the_report_stands_alone(tmp_path: Path) -> None:
    """Evidently's page is one file that loads nothing from elsewhere, and names the metrics."""
    path = tmp_path / "report.html"
    write_report(Observations("day", days(normal(28)), days(normal(7), first=28), ("value",)), path)
    page = path.read_text()
    assert "value" in page
    assert '<script src="http' not in page
    assert '<link rel="stylesheet" href="http' not in page
    with pytest.raises(AnalysisError, match="is empty"):
        write_report(Observations("day", days(normal(28)).clear(), days(normal(7), first=28), ("value",)), path)
    with pytest.raises(AnalysisError, match="cannot write"):
        write_report(
            Observations("day", days(normal(28)), days(normal(7), first=28), ("value",)), tmp_path / "no" / "a"
        )


def test_no_metric_no_rows() -> None:
    """Nothing asked, nothing answered."""
    assert find_drift([], "team").findings() == []
