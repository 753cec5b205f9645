"""Units of the ledger and what people read."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.units import GPU_PARTS, MJ_PER_KWH, US_PER_DAY, US_PER_HOUR, gpu_hours, gpu_parts, kwh


def test_a_gpu_hour_is_one_gpu_for_one_hour() -> None:
    """A whole GPU for an hour, and seven seventh slices for an hour, are one GPU-hour each."""
    assert gpu_hours(GPU_PARTS * US_PER_HOUR) == 1
    assert gpu_hours(7 * gpu_parts(1, 7) * US_PER_HOUR) == 1
    assert gpu_hours(gpu_parts(1, 4) * US_PER_DAY) == 6


def test_a_kilowatt_hour_is_3600_kilojoules() -> None:
    """1 kW for an hour."""
    assert kwh(MJ_PER_KWH) == 1
    assert kwh(1_000_000 * 1_800) == Decimal("0.5")


@given(st.integers(1, 8).flatmap(lambda of: st.tuples(st.integers(1, of), st.just(of))))
def test_slices_of_every_geometry_sum_to_the_card(fraction: tuple[int, int]) -> None:
    """A slice and what it leaves over are whole numbers of parts that sum to one GPU."""
    slices, of = fraction
    left_over = gpu_parts(of - slices, of) if slices < of else 0
    assert gpu_parts(slices, of) + left_over == GPU_PARTS
    assert gpu_parts(slices, of) == slices * gpu_parts(1, of)


@pytest.mark.parametrize(("slices", "of"), [(1, 9), (0, 7), (8, 7), (-1, 4)])
def test_a_fraction_that_is_no_whole_part_is_refused(slices: int, of: int) -> None:
    """Ninths, nothing and more than everything have no size."""
    with pytest.raises(ValueError, match="parts"):
        gpu_parts(slices, of)
