"""Fragmentation is what trying every request on every node finds, hour by hour; what was not observed decides nothing."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.fragmentation import NODES, READ, REQUESTS, fragmentation
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import AnalysisError
from gpuledger.model import State

SCHEMA = {
    name: pl.Int64() if name in {"hour_us", "parts", "state", "held_us"} else pl.String() for name in READ
}  # fmt: skip
FREE, HELD, UNSEEN = "free", "held", "unseen"
STATES = {FREE: State.IDLE, HELD: State.ACTIVE, UNSEEN: State.UNOBSERVED}


def line(hour: int, node: int, gpu: int, what: str, **changes: object) -> dict[str, object]:
    """Return an hour of a GPU."""
    return {
        "hour_us": hour * US_PER_HOUR, "cluster": "c", "node": f"n{node}", "device": f"GPU-{node}-{gpu}", "model": "H100",
        "mig_profile": "", "parts": GPU_PARTS, "state": int(STATES[what]), "reason": "free" if what == FREE else "",
        "held_us": US_PER_HOUR, **changes,
    }  # fmt: skip


def frame(*lines: dict[str, object]) -> pl.DataFrame:
    """Return lines as a frame."""
    return pl.DataFrame(list(lines), schema=SCHEMA)


def of(found: pl.DataFrame, request: str) -> dict[str, object]:
    """Return the row of a request."""
    return found.filter(pl.col("request") == request).row(0, named=True)


def by_trying(free: list[int], perhaps: list[int], size: int) -> str:
    """Return the verdict on one hour by looking at each node, and at the best and worst that the unseen could be."""
    if any(each >= size for each in free):
        return "fits"
    best = [mine + more for mine, more in zip(free, perhaps, strict=True)]
    if any(each >= size for each in best):
        return "unknown"
    if sum(free) >= size:
        return "fragmented"
    return "unknown" if sum(best) >= size else "scarce"


WHATS = st.sampled_from((FREE, HELD, UNSEEN))
FLEETS = st.integers(1, 4).flatmap(
    lambda gpus: st.lists(st.lists(st.lists(WHATS, min_size=gpus, max_size=gpus), min_size=3, max_size=3), max_size=4)
)


@settings(max_examples=60, deadline=None)
@given(FLEETS, st.randoms())
def test_any_fleet_is_judged_as_by_trying(fleet: list[list[list[str]]], random: object) -> None:
    """Hours x nodes x GPUs: every size's verdicts are those found by trying, whatever the order of lines, lazy or not."""
    lines = [
        line(hour, node, gpu, what)
        for hour, nodes in enumerate(fleet)
        for node, gpus in enumerate(nodes)
        for gpu, what in enumerate(gpus)
    ]
    random.shuffle(lines)  # type: ignore[attr-defined]
    found = fragmentation(frame(*lines).lazy())
    assert found.requests.schema == REQUESTS
    assert found.nodes.schema == NODES
    for row in found.requests.iter_rows(named=True):
        size = row["parts"] // GPU_PARTS
        verdicts = [
            by_trying([gpus.count(FREE) for gpus in nodes], [gpus.count(UNSEEN) for gpus in nodes], size)
            for nodes in fleet
        ]
        for verdict in ("fits", "fragmented", "scarce", "unknown"):
            assert row[f"{verdict}_hours"] == verdicts.count(verdict)
    watched = [gpus.count(FREE) for nodes in fleet for gpus in nodes if UNSEEN not in gpus]
    assert dict(found.nodes.select("free_gpus", "node_hours").iter_rows()) == {
        count: watched.count(count) for count in watched
    }


def test_enough_gpus_on_no_node_is_fragmented() -> None:
    """Two nodes with one free GPU each: one GPU fits, two do not; the largest that fits is one of two."""
    found = fragmentation(frame(line(0, 0, 0, FREE), line(0, 0, 1, HELD), line(0, 1, 0, FREE), line(0, 1, 1, HELD)))
    assert found.requests["request"].to_list() == ["2 GPUs", "1 GPU"]
    two = of(found.requests, "2 GPUs")
    assert (two["fragmented_hours"], two["fragmented_ratio"]) == (1, 1.0)
    assert (two["mean_free_gpus"], two["mean_largest_gpus"]) == (2.0, 1.0)
    assert of(found.requests, "1 GPU")["fits_hours"] == 1


def test_free_is_all_of_the_hour_and_for_whoever_asks() -> None:
    """Half an hour is not an hour; a cordoned GPU, a remainder and a pool without nodes are not to be had."""
    half = US_PER_HOUR // 2
    lines = (
        line(0, 0, 0, FREE, held_us=half), line(0, 0, 0, HELD, held_us=half), line(0, 0, 1, FREE, reason="cordoned"),
        line(0, 0, 2, FREE, reason="stranded", parts=120), line(0, 0, 3, FREE, device="pool:c/x"),
    )  # fmt: skip
    row = of(fragmentation(frame(*lines)).requests, "1 GPU")
    assert (row["scarce_hours"], row["fits_hours"], row["mean_free_gpus"]) == (1, 0, 0.0)


def test_slices_that_come_to_enough_are_no_larger_slice() -> None:
    """Three free 1g slices have the parts of a 3g one, and none is one."""
    small = [
        line(0, 0, n, FREE, device=f"MIG-{n}", mig_profile="1g.10gb", parts=GPU_PARTS // 7) for n in range(3)
    ]  # fmt: skip
    large = line(0, 0, 9, HELD, device="MIG-9", mig_profile="3g.40gb", parts=GPU_PARTS * 3 // 7)
    found = fragmentation(frame(*small, large)).requests
    assert of(found, "3g.40gb")["fragmented_hours"] == 1
    assert of(found, "1g.10gb")["fits_hours"] == 1


def test_nothing_and_no_bill() -> None:
    """No lines are a typed answer without rows; other frames are refused by what they lack."""
    found = fragmentation(frame())
    assert (found.requests.schema, found.nodes.schema) == (REQUESTS, NODES)
    assert found.requests.is_empty()
    with pytest.raises(AnalysisError, match="reason missing"):
        fragmentation(frame().drop("reason"))
