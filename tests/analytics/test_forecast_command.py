"""`gpuledger forecast` and `gpuledger anomalies` on a ledger: what they say, in every form, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from gpuledger.cli.main import main
from tests.analytics.forecast_ledger import GPUS, fill

NEXT_WEEK = "2026-02-16..2026-03-02"  # seven days that are known, seven to come


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger in which weeks repeat."""
    return fill(tmp_path_factory.mktemp("steady"))


@pytest.fixture(scope="module")
def spiked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger in which the lab takes four GPUs for two days, and nobody sees another day."""
    return fill(tmp_path_factory.mktemp("spiked"), spike=range(44, 46), unobserved=range(36, 37))


def asked(capsys: pytest.CaptureFixture[str], command: str, ledger: Path, *arguments: str) -> dict[str, Any]:
    """Run a command and return its document."""
    capsys.readouterr()
    assert main([command, "--ledger", str(ledger), *arguments, "--format", "json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_period_lands_where_its_days_say(steady: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is known is chargeback's, to the cent; the rest of two weeks that are alike doubles it."""
    answer = asked(capsys, "forecast", steady, "--period", NEXT_WEEK)
    rows = {row["key"]: row for row in answer["rows"]}
    charged = asked(capsys, "chargeback", steady, "--period", "2026-02-16..2026-02-23")
    for row in charged["rows"]:
        if row["kind"] == "owner":
            assert float(rows[row["key"]]["so_far"]) == pytest.approx(float(row["cost"]), abs=0.01)
    for key in ("vision", "lab", "total"):
        row = rows[key]
        assert float(row["expected"]) == pytest.approx(2 * float(row["so_far"]), rel=0.1)
        low, high = float(row["low_95"]), float(row["high_95"])
        assert float(row["so_far"]) <= low <= float(row["low_80"]) <= float(row["expected"])
        assert float(row["expected"]) <= float(row["high_80"]) <= high
    assert answer["as_of"] == "2026-02-23T00:00:00Z"
    assert answer["rows"][-1]["key"] == "total"


def test_the_path_is_the_days_that_were_and_those_to_come(steady: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each day once, without a gap; those of the period make the total so far and what it is expected to come to."""
    answer = asked(capsys, "forecast", steady, "--period", NEXT_WEEK)
    path, total = answer["path"], answer["rows"][-1]
    days = [datetime.fromisoformat(row["at"]) for row in path]
    assert {after - before for before, after in pairwise(days)} == {timedelta(days=1)}
    inside = [row for row in path if row["at"] >= "2026-02-16"]
    so_far = sum(float(row["had"]) for row in inside if "had" in row)
    coming = [row for row in inside if "had" not in row]
    assert [row["at"][:10] for row in coming][::6] == ["2026-02-23", "2026-03-01"]
    assert so_far == pytest.approx(float(total["so_far"]), abs=0.05)
    assert so_far + sum(float(row["expected"]) for row in coming) == pytest.approx(float(total["expected"]), abs=0.05)
    assert all(float(row["low_80"]) <= float(row["expected"]) <= float(row["high_80"]) for row in coming)


def test_a_day_that_nobody_saw_is_not_in_the_path(spiked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is left out, not drawn as a day without spend."""
    path = asked(capsys, "forecast", spiked, "--period", NEXT_WEEK)["path"]
    assert all(float(row["had"]) > 0 for row in path if "had" in row)
    days = [datetime.fromisoformat(row["at"]) for row in path]
    assert sorted({(after - before).days for before, after in pairwise(days)}) == [1, 2]


def test_budgets_are_for_a_team_or_the_total(steady: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A large one is not expected to be spent, one that is less than what is known is spent."""
    answer = asked(capsys, "forecast", steady, "--period", NEXT_WEEK, "--budget", "lab=100000", "--budget", "10")
    budgets = {row["key"]: row["budget"] for row in answer["rows"]}
    assert budgets["lab"]["verdict"] == "unlikely"
    assert budgets["total"]["verdict"] == "already"
    assert budgets["vision"] is None


def test_models_have_a_capacity(steady: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By model, GPU-hours are held against the GPUs that are there."""
    answer = asked(capsys, "forecast", steady, "--by", "model", "--metric", "gpu_hours", "--horizon", "7")
    [model] = [row for row in answer["rows"] if row["key"] != "total"]
    assert model["capacity"]["gpus"] == GPUS
    assert 0 < model["capacity"]["held"] < GPUS
    assert model["so_far"] == 0


@pytest.mark.parametrize("grain", ["day", "hour"])
def test_steps_add_up_to_the_landing(steady: Path, capsys: pytest.CaptureFixture[str], grain: str) -> None:
    """The coming steps of a team and what it has so far are where it lands."""
    options = ("--period", NEXT_WEEK, "--grain", grain)
    landing = asked(capsys, "forecast", steady, *options)
    steps = asked(capsys, "forecast", steady, *options, "--steps")
    for row in landing["rows"]:
        coming = [float(step["expected"]) for step in steps["rows"] if step["key"] == row["key"]]
        assert len(coming) == {"day": 7, "hour": 168}[grain]
        assert float(row["so_far"]) + sum(coming) == pytest.approx(float(row["expected"]), abs=0.01 * len(coming))


def test_a_fleet_that_goes_on_has_no_anomalies(steady: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By team and by model, in money, GPU-hours and new work."""
    for options in ((), ("--by", "model"), ("--metric", "gpu_hours"), ("--metric", "arrivals")):
        assert asked(capsys, "anomalies", steady, *options)["rows"] == []


def test_a_spike_is_named_with_its_days_and_money(spiked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four GPUs for two days instead of one for half of each; the day that nobody saw is not told of."""
    answer = asked(capsys, "anomalies", spiked, "--period", "2026-02-09..2026-02-23")
    [found] = [row for row in answer["rows"] if row["key"] == "lab"]
    assert (found["kind"], found["from"][:10], found["to"][:10]) == ("spike", "2026-02-18", "2026-02-20")
    assert float(found["seen"]) == 2 * 4 * 24 * 2.5
    assert float(found["money"]) == pytest.approx(2 * (4 * 24 - 10.5) * 2.5, rel=0.1)
    by_hours = asked(capsys, "anomalies", spiked, "--metric", "gpu_hours", "--period", "2026-02-09..2026-02-23")
    [same] = [row for row in by_hours["rows"] if row["key"] == "lab"]
    assert float(same["money"]) == pytest.approx(float(found["money"]), rel=0.02)


@pytest.mark.parametrize("command", ["forecast", "anomalies"])
def test_it_is_readable(spiked: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    """The tables name teams, amounts with their currency, and what to know of them."""
    options = ["--budget", "lab=4000"] if command == "forecast" else []
    period = NEXT_WEEK if command == "forecast" else "2026-02-09..2026-02-23"
    assert main([command, "--ledger", str(spiked), "--period", period, *options, "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert "lab" in shown
    assert "€" in shown
    assert ("not observed" in shown) == (command == "forecast")
    if command == "anomalies":
        assert "more than expected, and over" in shown
        assert "2026-02-18 to 2026-02-20" in shown


def test_rows_come_as_csv_and_parquet(steady: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same rows, with what they are of in each."""
    capsys.readouterr()
    assert main(["forecast", "--ledger", str(steady), "--period", NEXT_WEEK, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    out = tmp_path / "forecast.parquet"
    assert main(["forecast", "--ledger", str(steady), "--period", NEXT_WEEK, "--output", str(out)]) == 0
    assert {row["key"] for row in rows} == set(pl.read_parquet(out)["key"]) == {"vision", "lab", "total"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("forecast", "--period", "2026-01"), "is known to its end"),
        (("forecast", "--horizon", "0"), "not possible"),
        (("forecast", "--budget", "vison=5", "--horizon", "7"), 'no team "vison"'),
        (("forecast", "--budget", "lab=-5", "--horizon", "7"), "is no amount"),
        (("forecast", "--budget", "5", "--budget", "6", "--horizon", "7"), "two budgets"),
        (("anomalies", "--period", "2027-01"), "nothing is known"),
        (("anomalies", "--level", "2"), "is not between 0 and 1"),
    ],
)
def test_what_cannot_be_answered_is_refused(
    steady: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    """Each refusal names the thing and the next step."""
    assert main([*arguments, "--ledger", str(steady)]) != 0
    told = capsys.readouterr().err
    assert says in told
    assert "hint" in told


def test_a_young_ledger_gives_reasons(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After a week there is what is so far, and why there is no more."""
    fill(tmp_path, days=6)
    answer = asked(capsys, "forecast", tmp_path, "--horizon", "7")
    assert {row["reason"] for row in answer["rows"]} == {"too_short"}
    assert {row["expected"] for row in answer["rows"]} == {None}
    assert main(["forecast", "--ledger", str(tmp_path), "--horizon", "7", "--format", "table"]) == 0
    assert "fewer than 21 days are known" in capsys.readouterr().out
