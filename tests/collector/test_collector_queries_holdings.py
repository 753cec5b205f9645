"""Holdings: what holders needed of devices, by hand; what was not read is counted, and no device stands for another."""

from __future__ import annotations

from collector.ledger.store import Ledger
from collector.queries.bill import bill
from collector.queries.charge_id import ChargeId, charge_id_of
from collector.queries.explain import explain
from collector.queries.holdings import Holding, holdings
from gpuledger.model import State
from tests.collector.test_collector_queries_chargeback import HOUR, PERIOD
from tests.collector.test_collector_queries_memory import GIB, ledger

__all__ = ["ledger"]  # the fixture


def test_needs_are_those_of_the_records(ledger: Ledger) -> None:
    """Half an hour held idle is of the holder's hour too: a quarter of it was work; the most memory is of either state.

    What nobody watched is not there: no time at work was charged for it.
    """
    found = {row.device: row for row in holdings(ledger, PERIOD).rows}
    assert found.keys() == {"GPU-a", "MIG-c"}
    row = found["GPU-a"]
    assert (row.held_us, row.worked_us) == (HOUR, HOUR // 2)
    assert (row.active_p95_ppm, row.active_max_ppm) == (250_000, 250_000)
    assert (row.memory_max_bytes, row.memory_unknown_us, row.active_unknown_us) == (7 * GIB, 0, 0)
    assert (row.team, row.alone) == ("vision", True)
    assert found["MIG-c"].active_p95_ppm == 1_000_000


def test_the_hours_are_named_by_charges_that_explain_knows(ledger: Ledger) -> None:
    """Evidence walks to its usage records."""
    [row] = [row for row in holdings(ledger, PERIOD).rows if row.device == "GPU-a"]
    assert row.memory_hour_us == row.active_hour_us
    assert explain(ledger, charge=_charge(row)).rows


def _charge(row: Holding) -> ChargeId:
    named = {name: getattr(row, name) for name in ("cluster", "node", "device", "holder")}
    at = {"hour_us": row.memory_hour_us, "offset_us": row.memory_offset_us}
    return charge_id_of({**named, **at, "state": int(State.ACTIVE), "reason": ""})


def test_kinds_have_what_an_hour_of_a_device_costs(ledger: Ledger) -> None:
    """A kind for each model and profile that was there, with its price, and none where no price applies."""
    kinds = holdings(ledger, PERIOD).kinds
    assert len({(kind.cluster, kind.model, kind.mig_profile, kind.parts) for kind in kinds}) == len(kinds) > 1
    for kind in kinds:
        rates = {
            row.cost_quanta * HOUR // row.held_us
            for row in bill(ledger, PERIOD).rows
            if (row.model, row.mig_profile) == (kind.model, kind.mig_profile) and row.cost_quanta is not None
        }
        assert {kind.rate_quanta} == (rates or {None})
