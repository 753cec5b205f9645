"""The quick check of large batches never calls sound what the row-by-row check refuses, and covers the same time."""

from __future__ import annotations

import random
from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ledger.sound import FEW_ROWS, covered_spans, sound_spans
from gpuledger import wire
from gpuledger.accounting.intervals import Interval, merge
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import WireError
from tests.collector.batches import START_US, batch, device, records

MINUTES = 70


def large(seed: int) -> wire.Batch:
    """Return a sound batch in random order: shared and whole devices, a gap, a board of two slices."""
    slices = [device(n, kind="mig", parts=420, board="GPU-board") for n in (0, 1)]
    devices = [*slices, device(2), device(3)]
    end_us = START_US + MINUTES * US_PER_MINUTE
    usage = [
        *records("GPU-0000", START_US, end_us, "pod:uid-1/c"),
        *records("GPU-0001", START_US, end_us),
        *records("GPU-0002", START_US, START_US + 20 * US_PER_MINUTE, "pod:uid-2/c"),
        *records("GPU-0002", START_US + 30 * US_PER_MINUTE, end_us, "pod:uid-3/c", active_us=None),
    ]
    for share, who in ((US_PER_MINUTE // 3, "pod:uid-4/c"), (US_PER_MINUTE - US_PER_MINUTE // 3, "pod:uid-5/c")):
        usage += records("GPU-0003", START_US, end_us, who, held_us=share, active_us=share // 2)
    random.Random(seed).shuffle(usage)
    found = batch(0, usage, devices=devices, holders=())
    boards: dict[str, int] = {}
    for each in usage:
        board = "GPU-board" if each.device in ("GPU-0000", "GPU-0001") else each.device
        boards[board] = boards.get(board, 0) + (each.energy_mj or 0)
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    return wire.Batch(**{**fields, "energy": tuple(wire.BoardEnergy(*item) for item in boards.items())})


def is_refused(found: wire.Batch, columns: wire.Columns) -> bool:
    try:
        wire.check_usage(found, columns)
    except WireError:
        return True
    return False


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_sound_batch_is_found_sound(seed: int) -> None:
    """In any order of rows the covered time is what the row-by-row way finds, gaps left out, neighbours joined."""
    found = large(seed)
    assert found.rows >= FEW_ROWS
    columns = wire.columns(found)
    spans = sound_spans(found, columns)
    assert spans == covered_spans(columns)
    gap = [
        Interval(START_US, START_US + 20 * US_PER_MINUTE),
        Interval(START_US + 30 * US_PER_MINUTE, START_US + MINUTES * US_PER_MINUTE),
    ]
    assert spans is not None
    assert spans[2] == gap


@settings(max_examples=300, deadline=None)
@given(
    column=st.sampled_from([*wire.REQUIRED_COLUMNS, *wire.NULLABLE_COLUMNS]),
    row=st.integers(0, FEW_ROWS - 1),
    value=st.one_of(
        st.integers(-2, 8),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(-1, MINUTES).map(lambda minute: START_US + minute * US_PER_MINUTE),
        st.sampled_from([US_PER_MINUTE, US_PER_MINUTE - 1, 2 * US_PER_MINUTE]),
    ),
)
def test_one_changed_number_is_never_called_sound_wrongly(column: str, row: int, value: int) -> None:
    """Whatever single number is put anywhere: what the reference refuses, the quick check does not call sound."""
    found = large(1)
    columns = wire.columns(found)
    target: array[int] = columns.required[column] if column in columns.required else columns.nullable[column][0]
    target[row] = value
    if is_refused(found, columns):
        assert sound_spans(found, columns) is None
    else:
        assert sound_spans(found, columns) in (None, covered_spans(columns))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 30), st.integers(1, 6)).map(lambda t: (t[0], t[1], t[1] + t[2])),
        max_size=30,
    )
)
def test_covered_time_is_the_union_of_the_rows(rows: list[tuple[int, int, int]]) -> None:
    """For rows in any order, overlapping or not, the spans are the merged union for each device."""
    required = {name: array("q", [0] * len(rows)) for name in wire.REQUIRED_COLUMNS}
    for name, values in zip(("device", "start_us", "end_us"), zip(*rows, strict=True), strict=False):
        required[name] = array("q", values)
    expected = {index: merge(Interval(a, b) for i, a, b in rows if i == index) for index, _, _ in rows}
    assert covered_spans(wire.Columns(required, {})) == expected
