"""Sums that the collector makes for pages are those of analytics over the same bill, and those by hand over usage."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics.line_groups import PART
from analytics.utilisation import TIMES, heat_map, whole_week
from analytics.waste import POWER_SCHEMA, SCHEMA, idle_power, waste
from collector.access.identity import parse_nodes
from collector.access.roles import Role
from collector.api.asking import seen_by
from collector.ledger.store import Ledger
from collector.queries import idle, idle_workloads
from collector.queries import waste as found_waste
from collector.queries import week as found_week
from collector.queries.bill import bill_table
from collector.queries.idle_workloads import IdleWorkloads
from collector.queries.waste import idle_power as found_power
from collector.queries.workloads import workloads
from gpuledger.accounting.periods import Period, from_us, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.model import HELD_STATES, RUN_NUMBER, Device, State, UsageRecord
from gpuledger.within import EVERYTHING, OWNER, UNATTRIBUTED, Within
from gpuledger.zones import find_zone
from tests.collector.batches import START_US
from tests.collector.random_fleets import HOUR, fleets
from tests.collector.test_collector_access_random import TEAMS, filled

SPAN = (START_US, START_US + 3 * HOUR)
UTC = Period(*SPAN, f"{iso(SPAN[0])}..{iso(SPAN[1])}")
Fleet = list[tuple[Device, list[UsageRecord]]]
BY = st.sampled_from(("model", "node", "device", "cluster"))
OWNERS = st.lists(st.integers(0, 3), min_size=4, max_size=4)
SEEN = st.sampled_from(((), TEAMS[:1], ("acme/a",), ("elsewhere/a/alpha",)))
RARELY = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))


def cells(ledger: Ledger, period: Period, by: str) -> pl.DataFrame:
    rows = found_week(ledger, period, by=by).rows
    schema = {"key": pl.String(), "weekday": pl.Int8(), "hour": pl.Int8(), **dict.fromkeys(TIMES, PART)}
    return pl.DataFrame([{name: getattr(row, name) for name in schema} for row in rows], schema=schema)


def frame(rows: list[Any], schema: pl.Schema) -> pl.DataFrame:
    return pl.DataFrame([{name: getattr(row, name) for name in schema} for row in rows], schema=schema)


@RARELY
@given(
    fleet=fleets(),
    who=OWNERS,
    nodes=SEEN,
    by=BY,
    grace=st.integers(0, 3),
    zone=st.sampled_from(("UTC", "Asia/Kolkata")),
)
def test_server_sums_are_those_of_the_same_bill(
    fleet: Fleet, who: list[int], nodes: tuple[str, ...], by: str, grace: int, zone: str
) -> None:
    """Week, waste and idle power are what analytics makes of the bill lines that the same reader is given."""
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), fleet, who, close=False) as whole:
        ledger = seen_by(whole, parse_nodes(Role.VIEWER, list(nodes)) if nodes else ())
        lines = pl.DataFrame(bill_table(ledger, UTC)).with_columns(pl.col("cost_quanta").cast(pl.Int64))
        assert whole_week(cells(ledger, UTC._replace(zone=zone), by)).equals(heat_map(lines, by, zone))
        expected = waste(lines, grace)
        answer = found_waste(ledger, UTC, grace=grace)
        assert frame(answer.rows, SCHEMA).to_dicts() == expected.to_dicts()
        assert (answer.count, answer.part_us) == (expected.height, sum(expected["part_us"]))
        priced = expected["high_quanta"].drop_nulls().to_list()
        assert answer.high_quanta == (sum(priced) if priced else None)
        assert frame(found_power(ledger, UTC).rows, POWER_SCHEMA).to_dicts() == idle_power(lines).to_dicts()
        if nodes == ("elsewhere/a/alpha",):
            assert not answer.rows


@RARELY
@given(fleet=fleets())
def test_the_week_is_the_usage_added_up_by_hand(fleet: Fleet) -> None:
    """Each device's held, active, idle and unobserved time, by the hour of the week in which its records lie."""
    zone = "America/New_York"
    by_hand: Counter[tuple[str, int, int, str]] = Counter()
    for device, records in fleet:
        for record in records:
            at = from_us(record.start_us).astimezone(find_zone(zone))
            size = record.held_us * device.parts
            cell = (device.key, at.isoweekday(), at.hour)
            by_hand[(*cell, "held_part_us")] += size if record.state in HELD_STATES else 0
            by_hand[(*cell, "held_idle_part_us")] += size if record.state is State.HELD_IDLE else 0
            active_us = record.active_us if record.state in HELD_STATES else 0
            by_hand[(*cell, "active_part_us")] += (active_us or 0) * device.parts
            if device.kind != "pool":  # what no job held of one is idle without a record
                by_hand[(*cell, "idle_part_us")] += size if record.state is State.IDLE else 0
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), fleet, [0, 1, 2, 3], close=False) as ledger:
        rows = found_week(ledger, UTC._replace(zone=zone), by="device").rows
        found = {(row.key, row.weekday, row.hour): row for row in rows}
        for (*cell, name), size in by_hand.items():
            assert (getattr(found[tuple(cell)], name) if size else size) == size, (cell, name)
        sized = {device.key for device, records in fleet if records and device.kind != "pool"}
        assert all(
            row.capacity_part_us
            == row.held_part_us + row.idle_part_us + row.unavailable_part_us + row.unobserved_part_us
            for row in rows
            if row.key in sized
        )


@RARELY
@given(fleet=fleets(), who=OWNERS, limit=st.integers(1, 3))
def test_running_time_of_workloads_is_that_of_their_charges(fleet: Fleet, who: list[int], limit: int) -> None:
    """Each row, whichever page it is on: hours as long as the longest device in them, and the most devices in one."""
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), fleet, who, close=False) as ledger:
        lines = pl.DataFrame(bill_table(ledger, UTC))
        held = lines.filter(pl.col("state").is_in([int(state) for state in HELD_STATES]))
        hours: dict[tuple[str, str], Counter[tuple[int, str]]] = {}
        for line in held.iter_rows(named=True):
            key = (line["user_name"], line["team"])
            hours.setdefault(key, Counter())[(line["hour_us"], line["device"])] += line["held_us"]
        first = workloads(ledger, UTC, limit=limit)
        assert first.count == len(hours)
        pages = [workloads(ledger, UTC, limit=limit, offset=at).rows for at in range(0, first.count, limit)]
        for row in [row for page in pages for row in page]:
            by_hour: dict[int, list[int]] = {}
            for (hour_us, _), held_us in hours.pop((row.user, row.team or "")).items():
                by_hour.setdefault(hour_us, []).append(held_us)
            assert row.devices == max(map(len, by_hour.values()))
            running_us = sum(min(max(each), US_PER_HOUR) for each in by_hour.values())
            assert row.running_hours == pytest.approx(running_us / US_PER_HOUR, abs=1e-6)
        assert not hours


def test_what_cannot_be_summed_is_refused(tmp_path: Path) -> None:
    """A property of holders has no capacity by the hour of the week; hours are not cut."""
    with Ledger.open(tmp_path) as ledger:
        with pytest.raises(ConfigError, match="by"):
            found_week(ledger, UTC, by="team")
        for ask in (found_week, found_waste, found_power):
            with pytest.raises(ConfigError, match="on the hour"):
                ask(ledger, UTC._replace(start_us=UTC.start_us + 1))


@RARELY
@given(fleet=fleets(), who=OWNERS)
def test_idle_workloads_are_the_rows_of_idle_with_runs_together(fleet: Fleet, who: list[int]) -> None:
    """Of all and of each team: names without their trailing numbers, hours and money to the last digit."""
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), fleet, who, close=False) as ledger:
        every = idle(ledger, UTC)
        by_hand: dict[tuple[str, str | None, str], list[Any]] = {}
        for row in every.rows:
            by_hand.setdefault((re.sub(RUN_NUMBER, "", row.workload), row.team, row.user), []).append(row)
        parts = [found for team in {row.team for row in every.rows} for found in _of(ledger, team).rows]
        whole = _of(ledger)
        assert sorted(map(str, parts)) == sorted(map(str, whole.rows))
        assert (whole.count, whole.cost) == (len(by_hand), every.total.cost)
        for row in whole.rows:
            runs = by_hand[row.workload, row.team, row.user]
            assert row.runs == len({each.workload for each in runs})
            assert row.gpu_hours == pytest.approx(sum(each.gpu_hours for each in runs), abs=1e-5)
            costs = [Decimal(each.cost) for each in runs if each.cost is not None]
            assert (row.cost and Decimal(row.cost)) == (sum(costs) if costs else None)


def _of(ledger: Ledger, team: str | None = "*") -> IdleWorkloads:
    part = EVERYTHING if team == "*" else Within(OWNER, (None, None, team)) if team else Within(UNATTRIBUTED)
    return idle_workloads(ledger, UTC, within=part)
