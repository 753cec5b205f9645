"""What is summed or compared in the database's own way is what plain arithmetic over the same charges gives."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.pricing.carbon import import_carbon
from collector.queries.chargeback import chargeback
from collector.queries.grouping import BY
from collector.queries.reconcile import reconcile
from collector.queries.scope import scope_params
from collector.queries.summed_days import NO_DAYS
from collector.rating import rate_dirty
from gpuledger.accounting.money import cost_quanta, from_quanta
from gpuledger.accounting.periods import Period, iso
from gpuledger.model import Device, State, UsageRecord
from gpuledger.within import EVERYTHING
from tests.collector.ask import ask
from tests.collector.batches import EVIDENCE, START_US
from tests.collector.fleet import NOW_US, open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import DEVICES, HOLDERS, HOUR, MODEL, fleets, intervals

Fleet = list[tuple[Device, list[UsageRecord]]]

PERIOD = Period(START_US, START_US + 3 * HOUR, "three hours")
BOOK = f"""
currency = "EUR"
[[price]]
model = "{MODEL}"
rate = "2.710000007"
carbon_g_per_kwh = "301.5"
carbon_region = "north"
[[price]]
model = "Tesla T4"
rate = "0.35"
to = {iso(START_US + HOUR)}
"""
OWNERS = "".join(
    f'[[owner]]\nteam = "t{n}"\ndepartment = "d"\nproject = "p{n}"\nmatch.slurm_account = "acct{n}"\nfrom = {since}\n'
    for n, since in enumerate((iso(START_US), iso(START_US + HOUR)))
)
KEYS = {
    "team": "o.team", "project": "o.project", "department": "o.department", "organisation": "o.organisation",
    "system": "trim(h.workload_system || ' ' || h.workload_scope)", "user": "h.user_name",
    "namespace": "h.namespace", "slurm_account": "h.slurm_account", "model": "d.model", "node": "d.node",
    "device": "d.device_key", "cluster": "d.cluster",
    "workload": "h.holder_key",  # which have no other name
}  # fmt: skip
PLAIN = """
SELECT {key}, c.state, c.held_us, c.active_us, c.active_unknown_us, c.energy_mj, c.energy_unknown_us, c.cost_quanta,
    c.active_cost_quanta, d.parts, i.g_per_kwh, e.carbon_g_per_kwh
FROM charges c JOIN devices d USING (device_id)
LEFT JOIN holders h USING (holder_id)
LEFT JOIN owners o USING (owner_id)
LEFT JOIN price_entries e ON c.price_version = e.price_version AND c.price_entry = e.entry
LEFT JOIN carbon_known i ON e.carbon_region = i.region AND c.hour_us = i.hour_us
WHERE c.hour_us >= {from_us} AND c.hour_us < {to_us}
"""


def booked(ledger: Ledger, fleet: Fleet, *, first: int = 0) -> None:
    for sequence, (device, usage) in enumerate(fleet, start=first):
        if usage:
            assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
    rate_dirty(ledger)


def plainly(ledger: Ledger, by: str, period: Period) -> dict[tuple[str | None, int], dict[str, Any]]:
    """Return the rows of query_chargeback, added up in Python charge by charge."""
    text = PLAIN.format(key=KEYS[by], from_us=period.start_us, to_us=period.end_us)
    sums: defaultdict[tuple[str | None, int], defaultdict[str, Any]] = defaultdict(lambda: defaultdict(int))
    for (
        key, state, held_us, active_us, unknown_us, energy_mj, unmetered_us, cost, active_cost, parts, hourly, constant
    ) in ask(ledger, text):  # fmt: skip
        row = sums[key, state]
        grams = constant if hourly is None else hourly
        left = 0 if cost is None else cost - (active_cost or 0)
        row["part_us"] += held_us * parts
        row["active_part_us"] += active_us * parts
        row["active_unknown_part_us"] += unknown_us * parts
        row["energy_mj"] += energy_mj
        row["energy_unknown_part_us"] += unmetered_us * parts
        row["carbon_g_mj"] += 0 if grams is None else energy_mj * grams
        row["carbon_unknown_mj"] += energy_mj if grams is None else 0
        row["carbon_hourly_mj"] += 0 if hourly is None else energy_mj
        row["cost_quanta"] += cost or 0
        row["active_cost_quanta"] += active_cost or 0
        row["unwatched_cost_quanta"] += left * unknown_us // (held_us - active_us) if unknown_us else 0
        for name, amount in (("", held_us), ("active_", active_us), ("unwatched_", unknown_us)):
            row[f"{name}unpriced_part_us"] += amount * parts if cost is None else 0
    return {group: dict(row) for group, row in sums.items()}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fleet=fleets(), hours=st.sets(st.integers(0, 2)), cut=st.tuples(st.integers(0, 2), st.integers(1, 3)),
    late=intervals(DEVICES[3]), close=st.booleans(),
)  # fmt: skip
def test_chargeback_is_the_plain_sum_of_its_charges(
    fleet: Fleet, hours: set[int], cut: tuple[int, int], late: list[UsageRecord], *, close: bool
) -> None:
    """By whatever one asks, also of a part of a closed period that is known otherwise since: every sum, to the digit."""
    asked = Period(START_US + cut[0] * HOUR, START_US + (cut[0] + cut[1]) * HOUR, "cut")
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        lines = "".join(f"north,{iso(START_US + hour * HOUR)},{57 + hour}.25\n" for hour in hours)
        if lines:
            text = f"region,hour,g_per_kwh\n{lines}".encode()
            import_carbon(ledger, text, "csv", source="carbon.csv", imported_us=NOW_US)
        booked(ledger, [item for item in fleet if item[0] != DEVICES[3]])
        if close:
            close_period(ledger, PERIOD, closed_by="anna", exception="as it stands")
        booked(ledger, [(DEVICES[3], late)], first=9)
        for by in BY:
            params = {"from_us": asked.start_us, "to_us": asked.end_us, "by": by, **scope_params(EVERYTHING), **NO_DAYS}
            rows = ledger.execute("query_chargeback", params).to_pylist()
            found = {(row.pop("group_key"), row.pop("state")): row for row in rows}
            assert found == plainly(ledger, by, asked)


def test_what_is_unknown_of_mixed_time_is_unobserved_and_not_idle(tmp_path: Path) -> None:
    """Of an hour that was active for a third and unwatched for another, a third was held and not used, and no more."""
    device, third = DEVICES[0], HOUR // 3
    spans = [(0, third), (third, 2 * third), (2 * third, HOUR)]
    active: list[int | None] = [third, None, 0]
    usage = [
        UsageRecord(
            device.key, HOLDERS[0].key, START_US + start, START_US + end, State.ACTIVE, "", end - start, active_us,
            None, None, None, EVIDENCE,
        )
        for (start, end), active_us in zip(spans, active, strict=True)
    ]  # fmt: skip
    with open_ledger(tmp_path) as ledger:
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        booked(ledger, [(device, usage)])
        answer = chargeback(ledger, Period(START_US, START_US + HOUR, "an hour"), view="usage")
    found = {row.key: (row.gpu_hours, row.cost) for row in answer.rows}
    share = Decimal("2.710000007") / 3
    assert {key: hours for key, (hours, _) in found.items()} == {
        "t0": 0.333333, "held, not used": 0.333333, "unobserved": 0.333333
    }  # fmt: skip
    assert all(abs(Decimal(cost or 0) - share) <= Decimal("1e-9") for _, cost in found.values())
    assert sum(Decimal(cost or 0) for _, cost in found.values()) == Decimal("2.710000007")


TAMPERING = {
    "cost": "cost_quanta = cost_quanta + {n}",
    "held": "held_us = greatest(held_us + {n}, 0)",
    "rate": "rate_quanta = greatest(rate_quanta + {n}, 0)",
    "unpriced": "price_version = NULL, price_entry = NULL, rate_quanta = NULL, cost_quanta = NULL",
}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    usage=intervals(DEVICES[0]), what=st.sampled_from(sorted(TAMPERING)), place=st.integers(0, 10**6),
    n=st.integers(-(10**9), 10**9).filter(bool),
)  # fmt: skip
def test_the_imbalance_is_the_plain_one(usage: list[UsageRecord], what: str, place: int, n: int) -> None:
    """One charge that is changed at random is found, and money is off by what each device-hour's cost says it is."""
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        prices(ledger, BOOK)
        booked(ledger, [(DEVICES[0], usage)])
        before = reconcile(ledger, PERIOD)
        assert (before.ok, before.violations) == (True, [])
        rowids = [row[0] for row in ask(ledger, "SELECT rowid FROM charges WHERE rate_quanta > 0 ORDER BY ALL")]
        if not rowids:
            return
        hours = "SELECT hour_us, sum(held_us)::BIGINT FROM charges GROUP BY hour_us"
        capacity = dict(ask(ledger, hours))
        with ledger.transaction() as session:
            change = TAMPERING[what].format(n=n)
            session.script(
                f"UPDATE charges SET {change} WHERE rowid = {rowids[place % len(rowids)]}", label="tampering"
            )
        proof = reconcile(ledger, PERIOD)
        groups = ask(
            ledger,
            "SELECT hour_us, rate_quanta, sum(held_us)::BIGINT, sum(cost_quanta)::BIGINT FROM charges"
            " GROUP BY hour_us, price_version, price_entry, rate_quanta",
        )
    assert not proof.ok
    alone = {hour_us for hour_us, *_ in groups if [g[0] for g in groups].count(hour_us) == 1}
    off = sum(
        abs(cost_quanta(rate, capacity[hour_us] if hour_us in alone else held_us) - cost)
        for hour_us, rate, held_us, cost in groups
        if rate is not None
    )
    assert Decimal(proof.money_imbalance or 0) == from_quanta(off)
