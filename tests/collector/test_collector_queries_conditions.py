"""Clock and temperature of boards by hour: batches add up, what nobody read is not there, and a part sees none."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.queries.conditions import ConditionRow, conditions
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.wire import BoardCondition
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger

HALF_US = US_PER_HOUR // 2


def period(from_us: int, until_us: int) -> Period:
    """Return a period with its label."""
    return Period(from_us, until_us, f"{iso(from_us)}..{iso(until_us)}")


def test_batches_of_an_hour_add_up(tmp_path: Path) -> None:
    """An agent that ended within the hour told a part of it; an older one tells nothing, and no row stands for it."""
    told = (BoardCondition("GPU-0001", START_US, 2, 3_900, 1, 60),), (BoardCondition("GPU-0001", START_US, 1, 1_800),)
    with open_ledger(tmp_path) as ledger:
        for number, of_batch in enumerate((*told, ())):
            at_us = START_US + number * HALF_US
            usage = records("GPU-0001", at_us, at_us + HALF_US, "pod:uid-1/c")
            assert ledger.ingest([frame(number, usage, conditions=of_batch)])[0].taken
        hour = period(START_US, START_US + US_PER_HOUR)
        assert conditions(ledger, hour).rows == [ConditionRow(START_US, "GPU-0001", 3, 5_700, 1, 60)]
        assert conditions(ledger, period(hour.end_us, hour.end_us + US_PER_HOUR)).rows == []
        with pytest.raises(ConfigError, match="on the hour"):
            conditions(ledger, period(START_US + 1, hour.end_us))
