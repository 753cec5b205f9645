"""Moving batch work in time: by hand on small histories; a range within what was emitted; nothing where nothing varies."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.shifting import SCHEMA, shifting
from gpuledger.cli.main import main
from gpuledger.errors import AnalysisError
from gpuledger.model import State
from tests.analytics.ledgers import HOUR, OWNERS, fill, hours
from tests.analytics.test_energy import intensities
from tests.collector.fleet import open_ledger, owners, prices

KWH_MJ = 3_600_000_000
COLUMNS = {
    "hour_us": pl.Int64, "state": pl.Int8, "reason": pl.String, "parts": pl.Int32, "held_us": pl.Int64,
    "energy_mj": pl.Int64, "carbon_g_per_kwh": pl.Decimal(18, 6), "holder": pl.String, "cluster": pl.String,
    "pool": pl.String, "model": pl.String, "mig_profile": pl.String, "holder_kind": pl.String,
    "workload_system": pl.String, "workload_scope": pl.String, "team": pl.String,
}  # fmt: skip
Grid = list[int | None]


def line(hour: int, grid: Grid, holder: str | None, **changes: Any) -> dict[str, Any]:
    """Return an hour of a whole GPU that took one kilowatt-hour."""
    held = holder is not None
    return {
        "hour_us": hour * HOUR, "state": int(State.ACTIVE if held else State.IDLE), "reason": "" if held else "free",
        "parts": 840, "held_us": HOUR, "energy_mj": KWH_MJ if held else 0,
        "carbon_g_per_kwh": None if grid[hour] is None else Decimal(grid[hour]), "holder": holder, "cluster": "c",
        "pool": "", "model": "H100", "mig_profile": "", "holder_kind": "slurm_job" if held else None,
        "workload_system": "", "workload_scope": "", "team": "vision", **changes,
    }  # fmt: skip


def frame(lines: list[dict[str, Any]]) -> pl.DataFrame:
    return pl.DataFrame(lines, schema=COLUMNS)


def grams(found: pl.DataFrame) -> list[tuple[int, ...]]:
    """Return what was emitted and saved, low and high, in grams, for each group."""
    return [
        tuple(row[name] // KWH_MJ // 10**6 for name in ("carbon_ug_mj", "low_ug_mj", "high_ug_mj"))
        for row in found.rows(named=True)
    ]


GRID: Grid = [400, 300, 100, 200, 50]


def test_a_run_waits_whole_or_hour_by_hour() -> None:
    """Two hours at 400 and 300: as a whole it would have been 200 + 50, hour by hour 50 and 50."""
    lines = [line(0, GRID, "a"), line(1, GRID, "a"), *(line(hour, GRID, None) for hour in (2, 3, 4))]
    assert grams(shifting([frame(lines)])) == [(700, 450, 600)]


def test_low_needs_free_gpus_and_high_does_not() -> None:
    """With the last hour taken the best that is left is 100 + 200; where nothing is free nothing is saved."""
    taken = line(4, GRID, "n", holder_kind="pod", workload_system="jupyter", workload_scope="kernel", team="b")
    lines = [line(0, GRID, "a"), line(1, GRID, "a"), line(2, GRID, None), line(3, GRID, None), taken]
    assert grams(shifting([frame(lines)])) == [(700, 400, 600)]
    busy = [each if each["holder"] else {**each, "reason": "cordoned"} for each in lines]
    assert grams(shifting([frame(busy)])) == [(700, 0, 600)]


def test_free_gpus_are_given_once() -> None:
    """Of two runs of an hour the one that saves more has the only free hour; the other one stays where it is."""
    lines = [line(0, GRID, "a"), line(1, GRID, "b", team="speech"), line(2, GRID, None)]
    found = shifting([frame(lines)]).rows(named=True)
    assert {row["key"]: row["low_ug_mj"] // KWH_MJ // 10**6 for row in found} == {"vision": 300, "speech": 0}


def test_a_run_may_overlap_its_own_hours() -> None:
    """An hour's delay of two hours needs one free GPU in the last of them alone."""
    grid: Grid = [400, 300, 100]
    lines = [line(0, grid, "a"), line(1, grid, "a"), line(2, grid, None)]
    assert grams(shifting([frame(lines)])) == [(700, 300, 500)]


def test_only_the_days_that_it_may_wait_count() -> None:
    """The clean hour is 30 hours away: out of reach in a day, within it in two."""
    grid: Grid = [400, *[400] * 29, 100]
    lines = [line(0, grid, "a"), *(line(hour, grid, None) for hour in range(1, 31))]
    assert grams(shifting([frame(lines)], 1)) == [(400, 0, 0)]
    assert grams(shifting([frame(lines)], 2)) == [(400, 300, 300)]


@pytest.mark.parametrize("grid", [[118] * 5, [None] * 5])
def test_nothing_is_claimed_where_nothing_varies(grid: Grid) -> None:
    """One number, or none, says nothing about another hour."""
    lines = [line(0, grid, "a"), line(1, grid, "a"), line(2, grid, None), line(4, grid, None)]
    [row] = shifting([frame(lines)]).rows(named=True)
    assert (row["energy_mj"], row["movable_mj"], row["high_ug_mj"]) == (2 * KWH_MJ, 0, 0)


def test_unknown_hours_are_not_moved_to_or_from() -> None:
    """A run with an hour of unknown intensity does not move whole; its other hour may."""
    grid: Grid = [400, None, 100, 200]
    lines = [line(0, grid, "a"), line(1, grid, "a"), line(2, grid, None), line(3, grid, None)]
    [row] = shifting([frame(lines)]).rows(named=True)
    assert row["movable_mj"] == KWH_MJ
    assert grams(shifting([frame(lines)])) == [(400, 0, 300)]


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 900)), min_size=6, max_size=30),
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 29), st.booleans()), max_size=30, unique_by=lambda t: t[:2]
    ),
    st.integers(1, 2),
)
def test_low_is_no_more_than_high_and_high_no_more_than_all(
    grid: Grid, held: list[tuple[str, int, bool]], days: int
) -> None:
    """Whatever ran when and whatever the grid did."""
    lines = [line(hour % len(grid), grid, None if free else who) for who, hour, free in held]
    found = shifting([frame(lines[:7]), frame(lines[7:])], days)
    for row in found.rows(named=True):
        assert 0 <= row["low_ug_mj"] <= row["high_ug_mj"] <= row["carbon_ug_mj"]
        assert row["movable_mj"] <= row["energy_mj"]


def test_bad_input_says_what_to_do() -> None:
    """Days, dimension, columns; nothing at all is a typed answer."""
    assert shifting([]).schema == shifting([frame([])]).schema == SCHEMA
    with pytest.raises(AnalysisError, match="0 days are not possible"):
        shifting([frame([])], 0)
    with pytest.raises(AnalysisError, match='by "node"'):
        shifting([frame([])], by="node")
    with pytest.raises(AnalysisError, match="holder_kind missing"):
        shifting([frame([]).drop("holder_kind")])


def test_the_command_claims_only_what_varies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With constants it says that nothing can be said; pods that no batch system started never wait."""
    with open_ledger(tmp_path) as ledger:
        fill(ledger)
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\ncarbon_region = "north"\n')
        owners(ledger, OWNERS)
        intensities(ledger, {hour: str(100 + hour) for hour in range(6)})
    command = ["energy", "--ledger", str(tmp_path), "--period", hours(0, 6).label, "--by", "node", "--format", "json"]
    assert main(command) == 0
    moved = json.loads(capsys.readouterr().out)["shifting"]
    assert (moved["rows"], moved["total"]["batch_kwh"]) == ([], 0.0)
