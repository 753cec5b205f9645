"""Random fleets: what the teams of a partition see sums to what is anybody's, to the last quantum and microsecond."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.access.identity import Nodes, parse_nodes
from collector.access.roles import Role
from collector.api.asking import ask
from collector.api.questions import QUESTIONS
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.model import Device, UsageRecord
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import BOOK, HOLDERS, HOUR, fleets

WHOLE = Period(START_US, START_US + 3 * HOUR, f"{iso(START_US)}..{iso(START_US + 3 * HOUR)}")
TEAMS = ("acme/a/alpha", "acme/a/beta", "acme/b/gamma")
# Which nodes see the whole organisation between them, and nothing twice.
PARTITIONS = (TEAMS, ("acme/a", "acme/b/gamma"), ("acme/a/alpha", "acme/a/beta", "acme/b"), ("acme",))


def filled(folder: Path, fleet: list[tuple[Device, list[UsageRecord]]], who: list[int], *, close: bool) -> Ledger:
    """Return a ledger of the fleet, where holder n is of team `who[n]` (3: nobody's)."""
    ledger = open_ledger(folder)
    devices = [device for device, _ in fleet]
    usage = [record for _, records in fleet for record in records]
    assert ledger.ingest([usage_frame(0, usage, devices, HOLDERS)])[0].taken
    prices(ledger, BOOK.format(rate="1.333333337", middle=iso(START_US + HOUR)))
    rules = ""
    for holder, team in zip(HOLDERS, who, strict=True):
        if team < len(TEAMS):
            organisation, department, name = TEAMS[team].split("/")
            rules += (
                f'[[owner]]\norganisation = "{organisation}"\ndepartment = "{department}"\nteam = "{name}"\n'
                f'match.user = "{holder.user}"\n'
            )
    if rules:
        owners(ledger, rules)
    rate_dirty(ledger)
    if close:
        close_period(ledger, Period(START_US, START_US + HOUR, "first"), closed_by="ann", exception="as it is")
    return ledger


def rows(ledger: Ledger, name: str, nodes: Nodes, **asked: str) -> list[Any]:
    question = next(each for each in QUESTIONS if each.name == name)
    given = {"period": WHOLE.label, "limit": "100000", **asked}
    values = {p.name: p.read(given.get(p.name), ledger.calendar.days) for p in question.parameters}
    return list(ask(ledger, question, values, lambda: None, nodes).rows)  # type: ignore[attr-defined]


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    fleet=fleets(),
    who=st.lists(st.integers(0, 3), min_size=4, max_size=4),
    partition=st.sampled_from(PARTITIONS),
    close=st.booleans(),
)
def test_the_parts_sum_to_the_whole(
    fleet: list[tuple[Device, list[UsageRecord]]], who: list[int], partition: tuple[str, ...], *, close: bool
) -> None:
    """Charges and usage row by row, money and time in totals, however teams are cut into nodes."""
    with tempfile.TemporaryDirectory() as folder, filled(Path(folder), fleet, who, close=close) as ledger:
        parts = [parse_nodes(Role.VIEWER, [node]) for node in partition]
        owned = [row for row in rows(ledger, "charges", ()) if row.team]
        seen = [row for nodes in parts for row in rows(ledger, "charges", nodes)]
        assert sorted(map(str, seen)) == sorted(map(str, owned))
        assert all(row.team for row in seen)
        cost = sum((Decimal(row.cost) for row in owned if row.cost), Decimal(0))
        for by in ("team", "user", "device"):
            answers = [row for nodes in parts for row in rows(ledger, "chargeback", nodes, by=by)]
            assert sum((Decimal(row.cost) for row in answers if row.cost), Decimal(0)) == cost
        held = {(row.device, row.holder) for row in owned}
        usage = [row for row in rows(ledger, "usage", ()) if (row.device, row.holder) in held]
        part = [row for nodes in parts for row in rows(ledger, "usage", nodes)]
        assert sorted(map(str, part)) == sorted(map(str, usage))
        bills = [row for nodes in parts for row in rows(ledger, "invoices", nodes)]
        assert sorted(map(str, bills)) == sorted(str(row) for row in rows(ledger, "invoices", ()) if row.team)
        nobody = parse_nodes(Role.VIEWER, ["elsewhere/a/alpha"])
        for name in ("charges", "usage", "invoices", "devices", "chargeback", "idle"):
            assert rows(ledger, name, nobody) == []
