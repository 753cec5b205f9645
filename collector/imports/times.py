"""Times of a job log to microseconds UTC: naive local times, clock changes, epochs and stated offsets.

An hour that the clock showed twice is read so that the run lasts as long as the log says it did; without that, as the
first of the two. A time that the clock never showed is read with the offset before the change, and reported.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import ConfigError

ABSENT: Final = frozenset({"", "unknown", "none", "n/a", "null"})
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NAIVE_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - the naive twin of the epoch
_US: Final = timedelta(microseconds=1)


class LocalInstant(NamedTuple):
    """What a local time can mean: one instant, or two where the clock was set back."""

    readings_us: tuple[int, ...]
    exists: bool = True


class Run(NamedTuple):
    """When a job ran; `end_us` None: it had not ended."""

    start_us: int
    end_us: int | None


def load_zone(name: str) -> ZoneInfo:
    """Return a time zone by its IANA name; raises ConfigError where there is none."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f'"{name}" is not a time zone', hint='use an IANA name such as "Europe/Oslo" or "UTC"'
        ) from error


def is_absent(text: str) -> bool:
    """Tell whether a log writes that there is no such time."""
    return text.strip().lower() in ABSENT


def parse_time(text: str, zone: ZoneInfo) -> LocalInstant | None:
    """Return what `text` can mean in `zone`; None where the log says that there is no such time.

    Understood: ISO 8601 without offset (local), with offset or `Z`, and whole seconds since the epoch.
    Raises ValueError on anything else.
    """
    text = text.strip()
    if text.lower() in ABSENT:
        return None
    if text.isdigit():
        return LocalInstant((int(text) * US_PER_SECOND,))
    return localise(datetime.fromisoformat(text), zone)


def localise(moment: datetime, zone: ZoneInfo) -> LocalInstant:
    """Return what a date and time can mean: itself where it states an offset, else a local time of `zone`."""
    if moment.tzinfo is not None:
        return LocalInstant(((moment - _EPOCH) // _US,))
    wall_us = (moment - _NAIVE_EPOCH) // _US
    first, second = (_offset_us(moment, zone, fold) for fold in (0, 1))
    if first == second:
        return LocalInstant((wall_us - first,))
    if first > second:
        return LocalInstant((wall_us - first, wall_us - second))
    return LocalInstant((wall_us - first,), exists=False)


def resolve_run(start: LocalInstant, end: LocalInstant | None, elapsed_us: int | None) -> Run:
    """Return the run whose length is nearest to `elapsed_us`; without that, the first that does not go backwards.

    A run may come out ending before it starts: then no reading of the log makes sense.
    """
    if end is None:
        return Run(start.readings_us[0], None)
    if len(start.readings_us) == len(end.readings_us) == 1:
        return Run(start.readings_us[0], end.readings_us[0])

    def unlikeliness(run: tuple[int, int]) -> tuple[bool, int, int, int]:
        length_us = run[1] - run[0]
        off_us = 0 if elapsed_us is None else abs(length_us - elapsed_us)
        return length_us < 0, off_us, run[0], run[1]

    return Run(*min(product(start.readings_us, end.readings_us), key=unlikeliness))


def _offset_us(moment: datetime, zone: ZoneInfo, fold: int) -> int:
    offset = moment.replace(tzinfo=zone, fold=fold).utcoffset()
    return 0 if offset is None else offset // _US
