"""Advice holds in the hours that it says, never guesses, and never counts a cost that is counted elsewhere."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.over_asked import ADVISED, CHEAPER, FEWER, LEAST_US, SMALLER, over_asked, with_advice
from analytics.waste import SCHEMA
from collector.queries.charge_id import parse_charge_id
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.cli import waste_answer
from gpuledger.errors import AnalysisError
from tests.analytics.test_lazy_lines import SCHEMA as LINES

GIB = 2**30
RATE = 4_000_000_000
KINDS = [
    {"cluster": "c", "model": "H100", "mig_profile": "", "parts": GPU_PARTS, "memory_bytes": 80 * GIB, "devices": 8,
     "rate_quanta": RATE},
    {"cluster": "c", "model": "H100", "mig_profile": "3g.40gb", "parts": GPU_PARTS * 3 // 7, "memory_bytes": 40 * GIB,
     "devices": 2, "rate_quanta": RATE // 2},
    {"cluster": "c", "model": "L40S", "mig_profile": "", "parts": GPU_PARTS, "memory_bytes": 48 * GIB, "devices": 8,
     "rate_quanta": RATE * 3 // 4},
    {"cluster": "other", "model": "T4", "mig_profile": "", "parts": GPU_PARTS, "memory_bytes": 16 * GIB, "devices": 8,
     "rate_quanta": 1},
]  # fmt: skip


def holding(**changes: Any) -> dict[str, Any]:
    """Return ten hours of an H100 whose holder needs little of it."""
    return {
        "cluster": "c", "node": "n", "device": "GPU-0", "model": "H100", "mig_profile": "", "parts": GPU_PARTS,
        "memory_bytes": 80 * GIB, "holder": "pod:x/main", "user_name": "ada", "workload": "train", "team": "vision",
        "held_us": 10 * US_PER_HOUR, "active_unknown_us": 0, "memory_unknown_us": 0, "alone": True,
        "memory_max_bytes": 10 * GIB, "memory_hour_us": 7 * US_PER_HOUR, "memory_offset_us": 0,
        "active_p95_ppm": 200_000, "active_max_ppm": 250_000, "active_hour_us": 8 * US_PER_HOUR, "active_offset_us": 0,
        "worked_us": 9 * US_PER_HOUR, "cost_quanta": 9 * RATE, **changes,
    }  # fmt: skip


def test_a_smaller_profile_that_fits_in_every_hour_saves_the_difference_of_prices() -> None:
    """A quarter of an H100 and 10 GiB fit on 3/7 of one with 40; half the price is saved at both ends."""
    row = over_asked([holding()], KINDS).row(0, named=True)
    assert (row["reason"], row["instead"]) == (SMALLER, "3g.40gb")
    assert (row["low_quanta"], row["high_quanta"]) == (9 * RATE // 2, 9 * RATE // 2)
    assert row["part_us"] == 9 * US_PER_HOUR * GPU_PARTS
    assert (row["team"], row["user"], row["workload"], row["devices"]) == ("vision", "ada", "train", 1)


def test_evidence_names_the_hours_that_decided() -> None:
    """The charges are those of the highest memory and activity, by names that `explain` reads."""
    row = over_asked([holding()], KINDS).row(0, named=True)
    hours = {parse_charge_id(name).hour_us for name in row["evidence"]}
    assert hours == {7 * US_PER_HOUR, 8 * US_PER_HOUR}


def test_the_low_end_is_nothing_where_one_hour_needed_more() -> None:
    """95 of 100 hours fit, the busiest does not: the saving is from nothing to all."""
    row = over_asked([holding(active_max_ppm=900_000)], KINDS).row(0, named=True)
    assert (row["reason"], row["low_quanta"], row["high_quanta"]) == (SMALLER, 0, 9 * RATE // 2)


def test_a_cheaper_model_is_taken_to_be_slower_by_its_price() -> None:
    """Half of an H100 is not done by 3/7 of one, but by a GPU of three quarters of its price that has the memory."""
    row = over_asked([holding(active_p95_ppm=500_000, active_max_ppm=500_000)], KINDS).row(0, named=True)
    assert (row["reason"], row["instead"], row["high_quanta"]) == (CHEAPER, "L40S", 9 * RATE // 4)
    assert over_asked([holding(active_p95_ppm=650_000, active_max_ppm=650_000)], KINDS).is_empty()
    assert over_asked([holding(active_p95_ppm=500_000, memory_max_bytes=39 * GIB)], KINDS).is_empty()


def test_work_of_four_that_one_does() -> None:
    """Four GPUs at a fifth each are one at four fifths; three quarters are saved, more than by another kind."""
    four = [holding(device=f"GPU-{n}", active_max_ppm=200_000) for n in range(4)]
    row = over_asked(four, KINDS).row(0, named=True)
    assert (row["reason"], row["instead"], row["devices"]) == (FEWER, "1 instead of 4", 4)
    assert (row["low_quanta"], row["high_quanta"]) == (27 * RATE, 27 * RATE)


@pytest.mark.parametrize(
    "unknown",
    [
        {"memory_max_bytes": None}, {"memory_unknown_us": 1}, {"active_unknown_us": 1}, {"memory_bytes": None},
        {"alone": False}, {"cost_quanta": None}, {"held_us": LEAST_US - 1},
    ],
)  # fmt: skip
def test_nothing_is_advised_on_what_is_not_known(unknown: dict[str, Any]) -> None:
    """One device of a holder that is not known, shared, unpriced or short is enough to say nothing of the holder."""
    assert over_asked([holding(), holding(device="GPU-1", **unknown)], KINDS).is_empty()


def test_an_unpriced_alternative_is_none() -> None:
    """No price is not a price of nothing."""
    assert over_asked([holding()], [KINDS[0], {**KINDS[1], "rate_quanta": None}]).is_empty()


def test_nothing_gives_a_typed_answer_and_wrong_rows_a_clear_error() -> None:
    """No holdings are no advice, with all columns; other rows are refused by what they lack."""
    assert over_asked([], []).schema == ADVISED
    with pytest.raises(AnalysisError, match="cost_quanta missing"):
        over_asked([{name: value for name, value in holding().items() if name != "cost_quanta"}], KINDS)


def test_advice_stands_in_the_list_of_waste_by_its_saving() -> None:
    """Both are one list, the dearest first; what was simply wasted has nothing instead."""
    wasted = pl.DataFrame(
        [
            {**dict.fromkeys(("workload", "team", "user", "node"), ""), "kind": "held_idle", "reason": "starved",
             "high_quanta": each, "low_quanta": 0, "part_us": 1}
            for each in (10 * RATE, 1)
        ],
        schema=SCHEMA,
    )  # fmt: skip
    both = with_advice(wasted, over_asked([holding()], KINDS))
    assert both.schema == ADVISED
    assert both["kind"].to_list() == ["held_idle", "over_asked", "held_idle"]
    assert both["instead"].to_list() == ["", "3g.40gb", ""]


PPM = st.integers(0, 1_000_000)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(PPM, PPM, st.integers(0, 80 * GIB), st.integers(0, 10**12)), min_size=1, max_size=5))
def test_a_saving_is_a_range_of_what_was_paid(devices: list[tuple[int, int, int, int]]) -> None:
    """0 <= low <= high < cost, and what is advised has room for memory and work; one row for a holder."""
    rows = [
        holding(device=f"GPU-{n}", active_p95_ppm=min(a, b), active_max_ppm=max(a, b), memory_max_bytes=memory,
                cost_quanta=cost)
        for n, (a, b, memory, cost) in enumerate(devices)
    ]  # fmt: skip
    found = over_asked(rows, KINDS)
    assert found.height <= 1
    for row in found.iter_rows(named=True):
        assert 0 <= row["low_quanta"] <= row["high_quanta"] < sum(cost for *_, cost in devices)
        if row["reason"] == FEWER:
            left = int(row["instead"].split()[0])
            assert sum(memory for *_, memory, _ in devices) <= left * 80 * GIB * 0.8
            assert sum(each["active_p95_ppm"] for each in rows) <= left * 800_000
        else:
            memory_bytes, share = {"3g.40gb": (40 * GIB, 3 / 7), "L40S": (48 * GIB, 3 / 4)}[row["instead"]]
            assert max(memory for *_, memory, _ in devices) <= memory_bytes * 0.8
            assert max(each["active_p95_ppm"] for each in rows) <= share * 800_000


def test_the_answer_of_the_command_has_both() -> None:
    """Advice is a row of `gpuledger waste` with money as exact text, what would do instead, and its evidence."""
    asked = {"period": {"label": "2026-05"}, "currency": "EUR", "as_of": None}
    found = waste_answer.answer(asked, pl.DataFrame(schema=LINES), 2, {"rows": [holding()], "kinds": KINDS})
    [row] = found["rows"]
    assert (row["kind"], row["instead"], row["saving_high"]) == ("over_asked", "3g.40gb", "18.000000000")
    assert len(row["evidence"]) == 2
    assert waste_answer.answer(asked, pl.DataFrame(schema=LINES), 2)["rows"] == []
