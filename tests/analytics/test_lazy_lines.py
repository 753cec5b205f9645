"""Every sum is the same of lines in memory, streamed from files, in any order, and cut into finer ones; bad input says so."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.compare import spending
from analytics.energy import energy
from analytics.fragmentation import fragmentation
from analytics.utilisation import heat_map, utilisation
from analytics.waste import idle_power, waste
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.model import HELD_STATES, State

NUMBERS = ("hour_us", "offset_us", "state", "parts", "held_us", "active_us", "active_unknown_us", "energy_mj",
           "energy_unknown_us", "cost_quanta")  # fmt: skip
NAMES = ("cluster", "node", "device", "model", "mig_profile", "holder", "user_name", "pod", "container", "slurm_job",
         "workload_id", "workload_name", "team", "reason")  # fmt: skip
SCHEMA = pl.Schema(
    {**dict.fromkeys(NUMBERS, pl.Int64()), **dict.fromkeys(NAMES, pl.String()), "carbon_g_per_kwh": pl.Decimal(18, 6)}
)
Lines = pl.DataFrame | pl.LazyFrame
FUNCTIONS: dict[str, Callable[[Lines], pl.DataFrame]] = {
    "utilisation": utilisation,
    "utilisation by day": lambda lines: utilisation(lines, "node", "day", "Asia/Kolkata"),
    "heat map": lambda lines: heat_map(lines, "model"),
    "waste": lambda lines: waste(lines).drop("evidence"),  # finer lines are other charges
    "idle power": idle_power,
    "energy": lambda lines: energy([lines]),
    "spending": lambda lines: spending([lines], "workload"),
    "fragmentation": lambda lines: fragmentation(lines).requests,
}


@st.composite
def hours(draw: st.DrawFn) -> dict[str, Any]:
    """Return an hour of a device in one state, with what is known of it; every sum divides by four."""
    state = draw(st.sampled_from(list(State)))
    held = state in HELD_STATES
    who = draw(st.integers(0, 2)) if held else None
    device = draw(st.integers(0, 3))
    quarter = draw(st.integers(0, US_PER_HOUR // 4))
    return {
        "hour_us": draw(st.integers(0, 60)) * US_PER_HOUR, "offset_us": 0, "state": int(state), "parts": GPU_PARTS,
        "held_us": US_PER_HOUR, "active_us": 4 * quarter if state is State.ACTIVE else 0,
        "active_unknown_us": US_PER_HOUR if state is State.HELD_UNOBSERVED else 0,
        "energy_mj": draw(st.none() | st.integers(0, 2**40).map(lambda each: 4 * each)), "energy_unknown_us": 0,
        "cost_quanta": draw(st.none() | st.integers(0, 2**40).map(lambda each: 4 * each)),
        "cluster": "c", "node": f"n{device // 2}", "device": f"GPU-{device}", "model": "H100", "mig_profile": "",
        "holder": None if who is None else f"pod:{who}", "user_name": "ada" if held else None,
        "pod": None if who is None else f"train-{who}", "container": None, "slurm_job": None, "workload_id": None,
        "workload_name": None, "team": "vision" if who == 1 else "",
        "reason": draw(st.sampled_from(("free", "stranded"))) if state is State.IDLE else "",
        "carbon_g_per_kwh": None,
    }  # fmt: skip


def cut(line: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """Return a line as shorter ones of the same hour, which sum to it."""
    sums = {name: split_exactly(line[name], [1] * parts) for name in NUMBERS[4:] if line[name] is not None}
    return [
        {**line, "offset_us": at * US_PER_HOUR // parts, **{name: each[at] for name, each in sums.items()}}
        for at in range(parts)
    ]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(hours(), max_size=12, unique_by=lambda line: (line["hour_us"], line["device"])), st.integers(0, 2**32))
def test_streamed_and_finer_lines_have_the_same_sums(lines: list[dict[str, Any]], seed: int) -> None:
    """Hours in memory, and the same hours cut at will, some not, in any order, in two files that are scanned."""
    chance = random.Random(seed)
    finer = [part for line in lines for part in cut(line, chance.choice((1, 2, 4)))]
    chance.shuffle(finer)
    whole = pl.DataFrame(lines, schema=SCHEMA)
    with tempfile.TemporaryDirectory() as folder:
        for number, part in enumerate((finer[::2], finer[1::2])):
            pl.DataFrame(part, schema=SCHEMA).write_parquet(Path(folder) / f"{number}.parquet")
        lazy = pl.scan_parquet(Path(folder) / "*.parquet")
        for name, function in FUNCTIONS.items():
            ours, streamed = function(whole), function(lazy)
            assert ours.schema == streamed.schema, name
            assert ours.sort(pl.all()).equals(streamed.sort(pl.all())), name


@settings(max_examples=25, deadline=None)
@given(st.lists(hours(), max_size=12, unique_by=lambda line: (line["hour_us"], line["device"])))
def test_hours_that_nobody_observed_change_no_ratio(lines: list[dict[str, Any]]) -> None:
    """They are a column of their own: what was held, active, idle and wasted is as if they had not been."""
    whole = pl.DataFrame(lines, schema=SCHEMA)
    seen = whole.filter(pl.col("state") != int(State.UNOBSERVED))
    columns = ("held_part_us", "active_part_us", "idle_part_us", "active_of_held")
    for frame, other in ((utilisation(whole, "node"), utilisation(seen, "node")),):
        there = frame.join(other.select("key"), on="key", how="semi")
        assert there.select("key", *columns).sort("key").equals(other.select("key", *columns).sort("key"))
    assert waste(whole).equals(waste(seen))
    assert idle_power(whole).equals(idle_power(seen))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_nothing_is_a_typed_answer(name: str) -> None:
    """An empty window has the columns of a full one, in memory and lazily."""
    empty = pl.DataFrame(schema=SCHEMA)
    found = FUNCTIONS[name](empty)
    assert found.is_empty()
    assert found.schema == FUNCTIONS[name](empty.lazy()).schema
    assert pl.Null not in found.schema.dtypes()


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1.0])
def test_floats_are_refused(name: str, value: float) -> None:
    """What may be no number is no time: the answer names the column, and no sum is made of it."""
    floats = pl.DataFrame(schema=SCHEMA).with_columns(pl.lit(value).alias("held_us"))
    with pytest.raises(AnalysisError, match="held_us is Float64"):
        FUNCTIONS[name](floats)


def test_carbon_that_is_no_decimal_is_refused() -> None:
    """An intensity that is not exact would make carbon depend on the order of lines."""
    with pytest.raises(AnalysisError, match="carbon_g_per_kwh is Float64"):
        energy([pl.DataFrame(schema={**SCHEMA, "carbon_g_per_kwh": pl.Float64()})])


def test_a_year_of_a_fleet_is_more_than_64_bits() -> None:
    """Sums are exact where a 64-bit one would wrap around."""
    line = {**dict.fromkeys(SCHEMA), "hour_us": 0, "offset_us": 0, "state": 1, "parts": GPU_PARTS, "active_us": 0,
            "active_unknown_us": 0, "held_us": 2**62, "team": "vision"}  # fmt: skip
    found = utilisation(pl.DataFrame([line] * 4, schema=SCHEMA))
    assert found["held_part_us"].to_list() == [4 * 2**62 * GPU_PARTS]
