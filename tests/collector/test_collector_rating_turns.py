"""Prices that turn within an hour, and differ by owner and contract: the ledger charges what the reference does."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period
from gpuledger.model import Device, UsageRecord
from tests.collector.batches import START_US
from tests.collector.fleet import charges, open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import HOLDERS, fleets
from tests.collector.random_prices import HOUR, OWNERS, books, expected

PERIOD = Period(START_US, START_US + 3 * HOUR, "test")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets(), text=books(), data=st.data())
def test_cut_hours_have_the_charges_of_the_reference(
    fleet: list[tuple[Device, list[UsageRecord]]], text: str, data: st.DataObject
) -> None:
    """For any usage, turns, owners and contracts, in whatever order data comes and passes are cut, to the quantum."""
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        known_until_us = START_US
        book = prices(ledger, text)
        owners(ledger, OWNERS)
        for sequence, (device, usage) in enumerate(data.draw(st.permutations([item for item in fleet if item[1]]))):
            assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
            known_until_us = max([known_until_us, *(r.end_us for r in usage)])
            if data.draw(st.booleans()):
                rate_dirty(ledger, hours_per_pass=data.draw(st.integers(1, 4)))
        rate_dirty(ledger)
        rows = charges(ledger)
        proof = reconcile(ledger, PERIOD)
    found = {
        (r["hour_us"], r["offset_us"], r["device"], r["holder"], r["state"], r["reason"], r["held_us"], r["active_us"],
         r["active_unknown_us"], r["price_entry"], r["cost_quanta"], r["active_cost_quanta"])
        for r in rows
    }  # fmt: skip
    assert len(found) == len(rows)
    assert found == expected(fleet, book, known_until_us)
    booked = {code.code for code in proof.violations}
    assert booked <= {"overbooked", "imbalance", "money"}, proof.violations  # a pool's jobs may hold more than it has
    assert proof.ok == (not booked)
    assert proof.energy_mj == sum(r.energy_mj or 0 for _, usage in fleet for r in usage)
    assert all(r["active_us"] + r["active_unknown_us"] <= r["held_us"] for r in rows)
    _every_segment_is_whole(rows, known_until_us)


def _every_segment_is_whole(rows: list[dict[str, int]], known_until_us: int) -> None:
    """Hold the charges of a GPU between two turns against the time between them."""
    held: dict[tuple[str, int], dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        if not str(row["device"]).startswith("pool:"):
            held[str(row["device"]), row["hour_us"]][row["offset_us"]] += row["held_us"]
    first = {device: min(hour for each, hour in held if each == device) for device, _ in held}
    for (device, hour_us), segments in held.items():
        if hour_us == first[device]:
            continue  # it may begin within its first hour
        ends = [*sorted(segments)[1:], min(HOUR, known_until_us - hour_us)]
        assert [segments[at] for at in sorted(segments)] == [
            end - start for start, end in zip(sorted(segments), ends, strict=True)
        ]
