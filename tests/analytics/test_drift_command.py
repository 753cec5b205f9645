"""`gpuledger drift` on a ledger: a healthy fleet is silent, a failing card is named, and what cannot be compared says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpuledger.cli.main import main
from gpuledger.cli.sources import open_local
from tests.analytics.drift_ledger import FAILING, fill


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger in which nothing changes."""
    return fill(tmp_path_factory.mktemp("healthy"))


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger in which one GPU of eight draws less in the last week, and another team comes."""
    return fill(tmp_path_factory.mktemp("failing"), failing=True, lab_from=28)


def drift(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run the command and return its document."""
    capsys.readouterr()
    assert main(["drift", *arguments, "--format", "json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("by", ["team", "node", "model", "device", "workload", "user"])
def test_a_healthy_fleet_is_silent(healthy: Path, capsys: pytest.CaptureFixture[str], by: str) -> None:
    """By whatever is asked: nothing drifted, came, went or moved."""
    answer = drift(capsys, "--ledger", str(healthy), "--by", by)
    assert {row["verdict"] for row in answer["rows"]} <= {"steady", "constant", "too_few"}
    assert {row["cause"] for row in answer["causes"]} <= {"steady", "too_few"}
    assert (answer["current"]["days"], answer["reference"]["days"], answer["days_left_out"]) == (7, 28, 0)


def test_a_failing_card_is_named(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It draws a seventh less than its peers for the same work; neither they nor the workload are blamed."""
    answer = drift(capsys, "--ledger", str(failing))
    [moved] = [row for row in answer["causes"] if row["cause"] not in {"steady", "too_few"}]
    assert (moved["of"], moved["metric"], moved["cause"]) == (FAILING, "power_w", "hardware")
    assert moved["shift_ratio"] == pytest.approx(-1 / 7, abs=0.02)


def test_a_team_that_comes_is_told(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no reference to be compared with."""
    answer = drift(capsys, "--ledger", str(failing))
    assert {row["verdict"] for row in answer["rows"] if row["group"] == "lab"} == {"appeared"}


def test_memory_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A week with three times the memory in use drifts, by team, by device and by workload."""
    folder = str(fill(tmp_path, memory_times=3))
    for by in ("team", "device", "workload"):
        rows = [row for row in drift(capsys, "--ledger", folder, "--by", by)["rows"] if row["metric"] == "memory_bytes"]
        assert {row["verdict"] for row in rows} == {"drift"}


def test_a_slow_card_is_told_from_slow_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One card's clock falls at the same work and power: the card. All cards' clocks fall: their workload."""
    one = drift(capsys, "--ledger", str(fill(tmp_path / "one", slow=frozenset({FAILING}))))
    [moved] = [row for row in one["causes"] if row["cause"] not in {"steady", "too_few"}]
    assert (moved["of"], moved["metric"], moved["cause"]) == (FAILING, "sm_clock_mhz", "hardware")
    assert moved["shift_ratio"] == pytest.approx(-0.1, abs=0.01)
    everyone = frozenset(f"GPU-{number:04d}" for number in range(8))
    all_of_it = drift(capsys, "--ledger", str(fill(tmp_path / "all", slow=everyone)), "--by", "model")
    [shared] = [row for row in all_of_it["causes"] if row["cause"] not in {"steady", "too_few"}]
    assert (shared["kind"], shared["metric"], shared["cause"]) == ("workload", "sm_clock_mhz", "workload")
    [by_model] = [row for row in all_of_it["rows"] if row["metric"] == "sm_clock_mhz"]
    assert (by_model["verdict"], by_model["unit"]) == ("drift", "device-day")


def test_agents_that_tell_no_clocks_are_not_compared_by_them(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ledger of older agents has no such figures, and no row that says so of each group."""
    answer = drift(capsys, "--ledger", str(healthy))
    assert not {"sm_clock_mhz", "temperature_c"} & {row["metric"] for row in (*answer["rows"], *answer["causes"])}


def test_what_drifted_is_kept_where_that_is_asked(
    failing: Path, healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The failing card stands in the ledger with its shift; a healthy fleet keeps a comparison without results."""
    drift(capsys, "--ledger", str(failing), "--keep")
    with_card = open_local(failing)
    try:
        [card] = with_card.query("drift", {})["rows"]
    finally:
        with_card.close()
    assert (card["scope"], card["metric"], card["verdict"]) == (f"device:{FAILING}", "power_w", "hardware")
    assert card["score"] == pytest.approx(1 / 7, abs=0.02)
    drift(capsys, "--ledger", str(healthy), "--keep")
    without = open_local(healthy)
    try:
        kept = without.query("drift", {})
    finally:
        without.close()
    assert ([run["by"] for run in kept["runs"]], kept["rows"]) == (["team"], [])


def test_it_is_readable(failing: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table names the card, its change, and what it is; and the team that came."""
    assert main(["drift", "--ledger", str(failing), "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert FAILING in shown
    assert "-14" in shown
    assert "the device" in shown
    assert "appeared" in shown
    assert "2026-02-02..2026-02-09 against 2026-01-05..2026-02-02" in shown


def test_unobserved_days_are_no_drift(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four days in which nobody saw the notebook's GPUs are left out, and not taken for days without use."""
    answer = drift(capsys, "--ledger", str(fill(tmp_path, unobserved=range(29, 33))))
    rows = {row["metric"]: row for row in answer["rows"] if row["group"] == "lab"}
    assert {row["verdict"] for row in rows.values()} <= {"steady", "too_few", "constant"}
    assert rows["gpu_hours"]["current_count"] == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--period", "2026-02-02..2026-02-09", "--against", "2026-01-20..2026-02-03"), "the reference ends at"),
        (("--period", "2027-01"), "has no whole day that is known"),
        (("--period", "2026-01-05..2026-01-09"), "no whole days before the current window"),
        (("--level", "2"), "is not between 0 and 1"),
        (("--period", "yesterday"), "is not a period"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    healthy: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    """Each refusal names the thing and the next step."""
    assert main(["drift", "--ledger", str(healthy), *arguments]) != 0
    told = capsys.readouterr().err
    assert says in told
    assert "hint" in told


def test_the_report_is_written(healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Evidently's page appears beside the answer."""
    drift(capsys, "--ledger", str(healthy), "--report", str(tmp_path / "drift.html"))
    assert (tmp_path / "drift.html").stat().st_size > 1_000_000
