"""Lines of bills: every charge and every correction whole, with all names behind it, as rows and as a table."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from collector.ledger.store import Ledger
from collector.queries.bill import BillLine, bill, bill_table
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period
from gpuledger.errors import ConfigError
from tests.analytics.ledgers import HOUR, billed_ledger, hours
from tests.collector.ask import ask
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger

ALL = hours(0, 6)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with open_ledger(billed_ledger(tmp_path_factory.mktemp("ledger"))) as opened:
        rate_dirty(opened)
        yield opened


def test_the_table_is_the_rows(ledger: Ledger) -> None:
    """Both forms have the same columns and values, and all charges are in them."""
    for kind in ("charge", "correction"):
        rows = [msgspec.structs.asdict(row) for row in bill(ledger, ALL, kind=kind).rows]
        table = bill_table(ledger, ALL, kind=kind)
        assert set(table.column_names) == set(BillLine.__struct_fields__)
        assert table.to_pylist() == [{name: row[name] for name in table.column_names} for row in rows]
    [[count, quanta]] = ask(ledger, "SELECT count(*), sum(cost_quanta)::BIGINT FROM charges")
    found = bill(ledger, ALL).rows
    assert (len(found), sum(row.cost_quanta or 0 for row in found)) == (count, quanta)


def test_a_line_names_its_holder_owner_and_carbon(ledger: Ledger) -> None:
    """What exports say of a charge stands in its line."""
    line = bill(ledger, hours(0, 1)).rows[1]
    assert (line.device, line.holder, line.pod, line.team, line.organisation) == (
        "GPU-0001", "pod:uid-1/c", "-train", "vision", "acme",
    )  # fmt: skip
    assert (line.labels, line.state, line.reason, line.carbon_g_per_kwh) == ('{"app":"train"}', 2, "starved", 118)
    assert (line.period_id, line.corrects) == (None, None)


def test_corrections_belong_to_the_bill_that_they_are_on(ledger: Ledger) -> None:
    """They are found by the period that bills them, if it lies inside what is asked for, and keep their own hour."""
    assert bill(ledger, hours(0, 2), kind="correction").rows == []
    assert bill(ledger, hours(3, 6), kind="correction").rows == [], "the bill does not lie inside"
    found = bill(ledger, hours(2, 4), kind="correction").rows
    assert {(row.period_id, row.corrects, row.hour_us) for row in found} == {(2, hours(0, 2).label, START_US + HOUR)}
    assert sum(row.held_us for row in found) == 0
    assert [row.energy_mj for row in found] == [None] * len(found)


def test_too_much_at_once_is_refused(ledger: Ledger) -> None:
    """More lines than the limit, or hours cut in two, are an error with the next step, never a part of the truth."""
    with pytest.raises(ConfigError, match="more than 3 lines") as raised:
        bill_table(ledger, ALL, limit=3)
    assert "fewer hours" in raised.value.hint
    with pytest.raises(ConfigError, match="on the hour"):
        bill_table(ledger, Period(START_US + 1, START_US + HOUR, "off"))
