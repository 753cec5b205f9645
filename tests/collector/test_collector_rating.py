"""Rating in the ledger: the same charges as the pure reference, whatever arrives in whatever order."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.queries.chargeback import chargeback
from collector.queries.reconcile import reconcile
from collector.rating import RatingReport, rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.pricebook import PriceBook, Priced
from gpuledger.accounting.rating import UsageHour, complete, rate_device_hour
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.model import Device, State, UsageRecord
from tests.collector.batches import EVIDENCE, START_US, frame, records
from tests.collector.fleet import charges, open_ledger, prices, usage_frame
from tests.collector.random_fleets import BOOK, HOLDERS, HOUR, fleets

VIEWS = ("allocation", "usage")
PERIOD = Period(START_US, START_US + 3 * HOUR, "test")
QUANTA = Decimal(10**9)


def expected(
    fleet: list[tuple[Device, list[UsageRecord]]], book: PriceBook, known_until_us: int
) -> set[tuple[Any, ...]]:
    """Return the charges of a fleet by the pure reference."""
    found: set[tuple[Any, ...]] = set()
    for device, usage in fleet:
        if not usage:
            continue
        from_us = min(r.start_us for r in usage)
        until_us = max(r.end_us for r in usage) if device.kind == "pool" else known_until_us
        by_hour: dict[int, list[UsageHour]] = defaultdict(list)
        for r in usage:
            by_hour[r.start_us // HOUR * HOUR].append(
                UsageHour(
                    r.holder, r.state, r.reason, r.held_us, r.active_us or 0, r.held_us if r.active_us is None else 0
                )
            )
        for hour_us in range(from_us // HOUR * HOUR, until_us, HOUR):
            elapsed_us = min(until_us, hour_us + HOUR) - max(from_us, hour_us)
            capacity_us = None if device.units is None else elapsed_us * device.units
            rows = complete(by_hour[hour_us], capacity_us=capacity_us, pool=device.kind == "pool")
            asked = Priced(device.model, device.parts, device.mig_profile, device.pool, "c1")
            price = book.price(asked, hour_us)
            for charge in rate_device_hour(rows, price.rate_quanta if price else None):
                found.add((hour_us, device.key, *charge.usage, charge.cost_quanta, charge.active_cost_quanta))
    return found


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets(), rate=st.decimals("0", "99", places=9), data=st.data())
def test_the_statement_gives_the_charges_of_the_reference(
    fleet: list[tuple[Device, list[UsageRecord]]], rate: Decimal, data: st.DataObject
) -> None:
    """For any usage and rates, the charges in the ledger are those of gpuledger.accounting.rating, to the quantum."""
    text = BOOK.format(rate=f"{rate:.9f}", middle=iso(START_US + HOUR))
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        known_until_us = START_US
        ledger_prices = prices(ledger, text)
        for sequence, (device, usage) in enumerate(data.draw(st.permutations([item for item in fleet if item[1]]))):
            assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
            known_until_us = max([known_until_us, *(r.end_us for r in usage)])
            if data.draw(st.booleans()):
                rate_dirty(ledger, hours_per_pass=data.draw(st.integers(1, 4)))
        rate_dirty(ledger)
        rows = charges(ledger)
        proof = reconcile(ledger, PERIOD)
        views = [chargeback(ledger, PERIOD, by=by, view=view) for by in ("team", "model") for view in VIEWS]
    found = {
        (r["hour_us"], r["device"], r["holder"], r["state"], r["reason"], r["held_us"], r["active_us"],
         r["active_unknown_us"], r["cost_quanta"], r["active_cost_quanta"])
        for r in rows
    }  # fmt: skip
    assert len(found) == len(rows)
    assert found == expected(fleet, ledger_prices, known_until_us)
    booked = {code.code for code in proof.violations}
    assert booked <= {"overbooked", "imbalance", "money"}  # a pool's jobs may hold more than it has
    assert proof.ok == (not booked)
    assert proof.energy_mj == sum(r.energy_mj or 0 for _, usage in fleet for r in usage)
    for answer in views:
        costs = [Decimal(row.cost) for row in answer.rows if row.cost is not None]
        assert sum(costs) == Decimal(answer.total.cost or 0) == sum(r["cost_quanta"] or 0 for r in rows) / QUANTA


def test_a_gap_is_charged_as_unobserved_once_the_cluster_is_known_beyond_it(tmp_path: Path) -> None:
    """A device that falls silent has no charges until another node's batch shows that time went on."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + HOUR // 2, "pod:uid-1/c"))])
        rate_dirty(ledger)
        assert [(row["state"], row["held_us"]) for row in charges(ledger)] == [(State.ACTIVE, HOUR // 2)]
        ledger.ingest([frame(0, records("GPU-0002", START_US + 2 * HOUR, START_US + 3 * HOUR), agent="node-b")])
        assert rate_dirty(ledger).hours == 3
        silent = [row for row in charges(ledger) if row["device"] == "GPU-0001"]
    assert [(row["state"], row["reason"], row["held_us"]) for row in silent] == [
        (State.ACTIVE, "", HOUR // 2),
        (State.UNOBSERVED, "no_data", HOUR // 2),
        (State.UNOBSERVED, "no_data", HOUR),
        (State.UNOBSERVED, "no_data", HOUR),
    ]


def test_late_usage_takes_the_place_of_what_was_unobserved(tmp_path: Path) -> None:
    """A batch that arrives late turns no_data into what it says, and nothing is charged twice."""
    with open_ledger(tmp_path) as ledger:
        late = frame(1, records("GPU-0001", START_US + HOUR, START_US + 2 * HOUR, "pod:uid-1/c"))
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + HOUR))])
        ledger.ingest([frame(2, records("GPU-0001", START_US + 2 * HOUR, START_US + 3 * HOUR))])
        rate_dirty(ledger)
        assert [row["state"] for row in charges(ledger)] == [State.IDLE, State.UNOBSERVED, State.IDLE]
        ledger.ingest([late])
        assert rate_dirty(ledger) == RatingReport(1, 1)
        found = [(row["state"], row["held_us"]) for row in charges(ledger)]
    assert found == [(State.IDLE, HOUR), (State.ACTIVE, HOUR), (State.IDLE, HOUR)]


def test_a_pool_has_what_its_jobs_leave_free_only_where_its_size_is_known(tmp_path: Path) -> None:
    """Capacity that no job held is idle/free as far as the pool's jobs reach; of an unsized pool only jobs are known."""
    with open_ledger(tmp_path) as ledger:
        for sequence, units in enumerate((4, None)):
            pool = Device(key=f"pool:c1/{units}", kind="pool", model="Tesla T4", units=units)
            job = records(pool.key, START_US, START_US + HOUR, HOLDERS[0].key, state=State.HELD_UNOBSERVED,
                          active_us=None, energy_mj=None)  # fmt: skip
            ledger.ingest([usage_frame(sequence, job, [pool], HOLDERS)])
        ledger.ingest([frame(2, records("GPU-0001", START_US, START_US + 9 * HOUR))])
        rate_dirty(ledger)
        found = [(r["device"], r["state"], r["held_us"]) for r in charges(ledger) if r["device"] != "GPU-0001"]
    assert found == [
        ("pool:c1/4", State.HELD_UNOBSERVED, HOUR),
        ("pool:c1/4", State.IDLE, 3 * HOUR),
        ("pool:c1/None", State.HELD_UNOBSERVED, HOUR),
    ]


def test_rating_twice_changes_nothing(tmp_path: Path) -> None:
    """What is rated is not rated again, and charges stay as they are."""
    with open_ledger(tmp_path) as ledger:
        prices(ledger, BOOK.format(rate="1.1", middle=iso(START_US + HOUR)))
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + HOUR + US_PER_MINUTE, "pod:uid-1/c"))])
        first = rate_dirty(ledger, hours_per_pass=1)
        before = charges(ledger)
        assert rate_dirty(ledger) == RatingReport(0, 0)
        assert charges(ledger) == before
    assert first == RatingReport(2, 2)


def test_large_products_do_not_overflow(tmp_path: Path) -> None:
    """A pool of a thousand GPUs at the highest rate is charged exactly: products beyond 64 bits are wide integers."""
    pool = Device(key="pool:c1/big", kind="pool", model="Tesla T4", units=1_000)
    with open_ledger(tmp_path) as ledger:
        prices(ledger, 'currency = "IDR"\n[[price]]\nmodel = "*"\nrate = "999999.999999999"')
        job = [
            UsageRecord(
                pool.key, HOLDERS[0].key, START_US, START_US + HOUR, State.HELD_UNOBSERVED, "", 999 * HOUR,
                None, None, None, None, EVIDENCE,
            )
        ]  # fmt: skip
        ledger.ingest([usage_frame(0, job, [pool], HOLDERS)])
        rate_dirty(ledger)
        assert [row["cost_quanta"] for row in charges(ledger)] == [999 * 999_999_999_999_999, 999_999_999_999_999]
