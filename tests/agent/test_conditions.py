"""Conditions of boards: readings while they worked, summed by hour, told once the hour is over."""

from __future__ import annotations

from typing import Any

from agent.conditions import ConditionTally
from agent.devices.base import BoardHealth, BoardReading
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import Device
from gpuledger.wire import BoardCondition

GPU = Device("GPU-0", "gpu", "NVIDIA H100")
START_US = 1_780_000_000_000_000 // US_PER_HOUR * US_PER_HOUR


def reading(at_us: int, clock_mhz: int | None = 1980, celsius: int | None = 60, **changes: Any) -> BoardReading:
    """Return a board that works, read by its slow samplers at that instant."""
    health = BoardHealth(sm_clock_mhz=clock_mhz, slow_at_us=changes.pop("slow_at_us", at_us))
    fields = {"utilization_ppm": 500_000, "temperature_c": celsius, "health": health}
    return BoardReading(GPU, **{**fields, **changes})


def gathered(*readings: tuple[int, BoardReading]) -> tuple[BoardCondition, ...]:
    """Return what an hour of readings at these minutes sums to."""
    tally = ConditionTally()
    for minute, board in readings:
        tally.observe((board,), START_US + minute * US_PER_MINUTE)
    return tally.over(START_US + US_PER_HOUR)


def at(minute: int, *args: Any, **changes: Any) -> tuple[int, BoardReading]:
    """Return the reading of a minute of the hour."""
    return minute, reading(START_US + minute * US_PER_MINUTE, *args, **changes)


def test_an_hour_is_the_sum_of_its_readings() -> None:
    """Clocks and temperatures add up, each with how many there were; the reading on the hour is of the hour before."""
    found = gathered(at(1, 1980, 60), at(30, 1800, 70), at(60, 1200, None), at(61, 500, 90))
    assert found == (BoardCondition("GPU-0", START_US, 3, 1980 + 1800 + 1200, 2, 130),)


def test_a_board_that_does_not_work_says_nothing() -> None:
    """Not where no kernel ran, where nobody knows, where it has a fault, or where its health was not read."""
    assert not gathered(
        at(1, utilization_ppm=0), at(2, utilization_ppm=None), at(3, fault="gpu_lost"), at(4, health=None)
    )


def test_a_reading_counts_once() -> None:
    """Between two rounds of the slow samplers the clock is that of the last one: it is not counted again."""
    first = START_US + US_PER_MINUTE
    found = gathered(at(1), at(2, slow_at_us=first), at(3, slow_at_us=first), at(4))
    assert [each.sm_clock_readings for each in found] == [2]


def test_what_nobody_reads_is_not_zero() -> None:
    """A board without a clock has none, and its temperature stands alone; one with neither has no row."""
    assert gathered(at(1, None, 60)) == (BoardCondition("GPU-0", START_US, 0, 0, 1, 60),)
    assert gathered(at(1, None, None)) == ()


def test_hours_wait_until_they_are_over_and_go_out_once() -> None:
    """An hour is told when its end is reached, and not again once it is sealed."""
    tally = ConditionTally()
    for minute in (1, 61):
        tally.observe((reading(START_US + minute * US_PER_MINUTE),), START_US + minute * US_PER_MINUTE)
    assert tally.over(START_US + US_PER_HOUR - 1) == ()
    assert [each.hour_us for each in tally.over(START_US + US_PER_HOUR)] == [START_US]
    tally.forget(START_US + US_PER_HOUR)
    assert [each.hour_us for each in tally.over(START_US + 2 * US_PER_HOUR)] == [START_US + US_PER_HOUR]
