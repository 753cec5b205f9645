"""Local times of job logs."""

from __future__ import annotations

import pytest

from collector.imports.times import LocalInstant, Run, load_zone, parse_time, resolve_run
from gpuledger.errors import ConfigError

OSLO = load_zone("Europe/Oslo")


@pytest.mark.parametrize(
    "text", ["2026-01-01T01:00:00", "2026-01-01T00:00:00Z", "2025-12-31T19:00:00-05:00", "1767225600"]
)
def test_one_instant_in_many_spellings(text: str) -> None:
    """Local, with an offset, or as seconds since the epoch."""
    assert parse_time(text, OSLO) == LocalInstant((1_767_225_600 * 10**6,))


@pytest.mark.parametrize("text", ["Unknown", "None", "", "N/A", " unknown "])
def test_absent_times_are_none(text: str) -> None:
    """What Slurm writes where there is no time."""
    assert parse_time(text, OSLO) is None


@pytest.mark.parametrize("text", ["yesterday", "2026-02-30T00:00:00", "12:00"])
def test_other_texts_are_refused(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError):
        parse_time(text, OSLO)


def test_an_hour_shown_twice_has_two_readings() -> None:
    """02:30 on the day the clock goes back is 00:30 and 01:30 UTC."""
    twice = parse_time("2026-10-25T02:30:00", OSLO)
    assert twice is not None
    assert [at - 1_792_888_200 * 10**6 for at in twice.readings_us] == [0, 3600 * 10**6]


def test_without_a_length_a_run_takes_the_first_reading_that_does_not_go_backwards() -> None:
    """A run from 02:50 to 02:10 across the change lasts twenty minutes."""
    start, end = parse_time("2026-10-25T02:50:00", OSLO), parse_time("2026-10-25T02:10:00", OSLO)
    assert start is not None
    run = resolve_run(start, end, None)
    assert run.end_us is not None
    assert run.end_us - run.start_us == 20 * 60 * 10**6


def test_a_run_without_an_end_starts_at_the_first_reading() -> None:
    """An open run has nothing to compare with."""
    assert resolve_run(LocalInstant((1, 2)), None, None) == Run(1, None)


def test_an_unknown_zone_is_an_error_with_an_example() -> None:
    """Zones have IANA names."""
    with pytest.raises(ConfigError) as raised:
        load_zone("CEST/Oslo")
    assert "Europe/Oslo" in raised.value.hint
