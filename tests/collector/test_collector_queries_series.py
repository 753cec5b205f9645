"""Series: the figures of chargeback step by step, exact, by whatever one asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

import pytest

from collector.ledger.store import Ledger
from collector.queries.chargeback import chargeback
from collector.queries.grouping import BY
from collector.queries.series import series
from collector.rating import rate_dirty
from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.errors import ConfigError
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.test_collector_queries_chargeback import BOOK, DEVICES, NLP, OWNERS, PERIOD, STRAY, USAGE, VISION


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Give the rated ledger of an hour of four devices."""
    with open_ledger(tmp_path_factory.mktemp("ledger")) as found:
        assert found.ingest([usage_frame(0, USAGE, DEVICES, (VISION, NLP, STRAY))])[0].taken
        prices(found, BOOK)
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


@pytest.mark.parametrize("by", BY)
def test_the_steps_of_a_group_are_what_it_is_charged(ledger: Ledger, by: str) -> None:
    """By each dimension, held time and its cost add up to the rows of chargeback, and all time to its total."""
    rows = series(ledger, PERIOD, by=by).rows
    answer = chargeback(ledger, PERIOD, by=by)
    held: defaultdict[str, float] = defaultdict(float)
    cost: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        held[row.key] += row.held_part_us / (GPU_PARTS * US_PER_HOUR)
        cost[row.key] += Decimal(row.cost_quanta) / QUANTA_PER_UNIT
    owners_charged = {row.key: row for row in answer.rows if row.kind == "owner"}
    for key, row in owners_charged.items():
        assert held[key] == pytest.approx(row.gpu_hours)
        assert cost[key] == Decimal(row.cost or 0)
    assert sum(row.part_us for row in rows) / (GPU_PARTS * US_PER_HOUR) == pytest.approx(answer.total.gpu_hours)
    unobserved = sum(row.unobserved_part_us for row in rows) / (GPU_PARTS * US_PER_HOUR)
    assert unobserved == pytest.approx(answer.unobserved_gpu_hours)


def test_a_series_says_what_has_no_price_and_what_began(ledger: Ledger) -> None:
    """The T4 has no price for its half hour; each holder began in this hour; time of nobody is without a name."""
    found = {row.key: row for row in series(ledger, PERIOD, by="team").rows}
    assert found["vision"].unpriced_part_us == GPU_PARTS * US_PER_HOUR // 2
    assert {key: row.started for key, row in found.items()} == {"": 1, "nlp": 1, "vision": 1}
    assert found[""].part_us - found[""].held_part_us == GPU_PARTS * US_PER_HOUR * 5 // 4


def test_a_holder_on_two_devices_begins_once(ledger: Ledger) -> None:
    """Vision's one pod holds two devices: by team it is one that starts, by device it starts on each."""
    by_device = series(ledger, PERIOD, by="device").rows
    assert sum(row.started for row in by_device if row.key in {"GPU-a", "GPU-d"}) == 2


def test_days_are_those_of_the_zone(ledger: Ledger) -> None:
    """A day is one step; another grain, or a period off the hour, is refused."""
    day = START_US // US_PER_DAY * US_PER_DAY
    rows = series(ledger, Period(day, day + US_PER_DAY, "a day"), by="cluster", grain="day").rows
    assert [(row.at_us, row.part_us) for row in rows] == [(day, GPU_PARTS * US_PER_HOUR * 7 // 2)]
    with pytest.raises(ConfigError, match="grain"):
        series(ledger, PERIOD, grain="week")
    with pytest.raises(ConfigError, match="not known"):
        series(ledger, PERIOD, by="colour")
    with pytest.raises(ConfigError, match="on the hour"):
        series(ledger, Period(START_US + 1, START_US + US_PER_HOUR, "off"))
