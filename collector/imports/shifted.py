"""Jobs that are booked already at other hours: a log that was read before in another time zone. Pure.

A job's run is known by the instant at which it started, which is another one where a log's local times are read in
another zone: the same runs would be booked twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from collector.imports.booking import BookedRun
from collector.imports.jobs import JobRecord
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ImportFileError

QUARTER_US: Final = US_PER_HOUR // 4  # offsets of zones from UTC are whole quarters of an hour
FARTHEST_US: Final = 26 * US_PER_HOUR  # between UTC-12 and UTC+14
FEWEST: Final = 2  # one job may have run again, by chance for as long and on the quarter of an hour; two did not


def require_same_zone(records: Sequence[JobRecord], known: Mapping[tuple[str, str], Sequence[BookedRun]]) -> None:
    """Raise ImportFileError where jobs that are known are all booked whole quarters of an hour earlier or later.

    They count that ended and ran as long with as many GPUs. Where one of the jobs is booked as the log has it, the zone
    is the same, and what else there is of others ran again.
    """
    shifts: dict[tuple[str, str], int] = {}
    for record in records:
        runs = known.get((record.cluster, record.job), ())
        if any(run.started_us == record.start_us for run in runs):
            return
        shift_us = _shift_us(record, runs)
        if shift_us:
            shifts[record.cluster, record.job] = shift_us
    if len(shifts) < FEWEST:
        return
    job, shift_us = next(iter(shifts.items()))
    raise ImportFileError(
        f"{len(shifts):,} jobs of this log are booked already at other hours: job {job[1]} {_words(shift_us)}",
        hint="import it in the time zone of before: --tz, or the zone of the map",
    )


def _shift_us(record: JobRecord, runs: Iterable[BookedRun]) -> int:
    """Return how much later than its booked twin a record runs; 0 where it has none."""
    if record.end_us is None:
        return 0
    length_us = record.end_us - record.start_us
    for run in runs:
        shift_us = record.start_us - run.started_us
        same = run.ended and (run.part, run.gpus, run.booked_until_us - run.started_us) == (
            record.part,
            record.gpus,
            length_us,
        )
        if same and shift_us and shift_us % QUARTER_US == 0 and abs(shift_us) <= FARTHEST_US:
            return shift_us
    return 0


def _words(shift_us: int) -> str:
    hours = f"{abs(shift_us) / US_PER_HOUR:.2f}".rstrip("0").rstrip(".")
    return f"{hours} h {'earlier' if shift_us > 0 else 'later'}"
