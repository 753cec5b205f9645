"""Reconciliation: a whole ledger is proven, and whatever is changed in it behind its back is found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from collector.ledger import slices
from collector.ledger.database import Session, Tables
from collector.ledger.store import Ledger
from collector.queries.reconcile import Reconciliation, reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.errors import ConfigError
from gpuledger.model import Device, Holder, State
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, prices, usage_frame

HOUR = US_PER_HOUR
PERIOD = Period(START_US, START_US + 3 * HOUR, "three hours")
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.49"\n'


def filled(directory: Path) -> Ledger:
    found = open_ledger(directory)
    held = records("GPU-0001", START_US, START_US + 3 * HOUR, "pod:uid-1/c")
    first = records("GPU-0002", START_US, START_US + HOUR)
    last = records("GPU-0002", START_US + 2 * HOUR, START_US + 3 * HOUR)
    assert found.ingest([frame(0, [*held, *first, *last])])[0].taken
    prices(found, BOOK)
    rate_dirty(found)
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a rated ledger of two devices over three hours, one of them silent for the second hour."""
    with filled(tmp_path) as found:
        yield found


def tamper(ledger: Ledger, sql: str) -> Reconciliation:
    with ledger.transaction() as session:
        session.script(sql, label="tampering")
    return reconcile(ledger, PERIOD)


def codes(proof: Reconciliation) -> set[str]:
    return {violation.code for violation in proof.violations}


def test_a_whole_ledger_is_proven(ledger: Ledger) -> None:
    """Time, energy and money are conserved; silent time is unobserved and has its cost."""
    proof = reconcile(ledger, PERIOD)
    assert (proof.ok, proof.violations) == (True, [])
    assert (proof.devices, proof.elapsed_us) == (2, 6 * HOUR)
    assert proof.states_us == {"active": 3 * HOUR, "idle": 2 * HOUR, "unobserved": HOUR}
    assert (proof.imbalance_us, proof.energy_imbalance_mj, proof.money_imbalance) == (0, 0, "0.00")
    assert (proof.cost, proof.currency, proof.pending_hours) == ("14.94", "EUR", 0)
    assert proof.energy_mj == 5 * 60 * (60_000_000 // 7_000)


def test_a_part_of_it_is_proven_alike(ledger: Ledger) -> None:
    """A period inside a batch compares that batch's energy whole, and its own hours alone."""
    proof = reconcile(ledger, Period(START_US + HOUR, START_US + 2 * HOUR, "the second hour"))
    assert proof.ok
    assert proof.states_us == {"active": HOUR, "unobserved": HOUR}
    assert proof.cost == "4.98"


def test_device_hours_are_compared_slice_by_slice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in memory at once does not grow with the period; the sums and what is missing are those of all of it."""
    asked: list[int] = []
    execute = Session.execute

    def watch(self: Session, name: str, params: dict[str, int] | None = None, tables: Tables | None = None) -> pa.Table:
        if name == "reconcile_money" and params:
            asked.append(params["to_us"] - params["from_us"])
        return execute(self, name, params, tables)

    monkeypatch.setattr(Session, "execute", watch)
    monkeypatch.setattr(slices, "DEVICE_HOURS", 24)
    days = Period(START_US, START_US + 50 * HOUR, "two days and more")
    with open_ledger(tmp_path) as ledger:
        assert ledger.ingest([frame(0, records("GPU-0001", days.start_us, days.end_us, "pod:uid-1/c"))])[0].taken
        prices(ledger, BOOK)
        proof = reconcile(ledger, days)
        assert (proof.ok, proof.cost) == (True, "124.50")
        assert max(asked) <= 24 * HOUR
        with ledger.transaction() as session:
            session.script(f"DELETE FROM charges WHERE hour_us = {START_US + 49 * HOUR}", label="tampering")
        assert [each.code for each in reconcile(ledger, days).violations] == ["charges", "unrated"]


def test_a_period_has_to_be_on_the_hour(ledger: Ledger) -> None:
    """Charges are hourly, so half an hour cannot be proven."""
    with pytest.raises(ConfigError, match="on the hour"):
        reconcile(ledger, parse_period("2026-05-28T00:30..2026-05-28T02:00"))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE usage SET held_us = held_us + 1 WHERE holder_id IS NOT NULL", {"shares", "imbalance", "roll_up"}),
        ("UPDATE usage SET energy_mj = energy_mj + 1 WHERE holder_id IS NOT NULL", {"energy", "roll_up"}),
        ("UPDATE board_energy SET energy_mj = energy_mj - 1", {"energy"}),
        ("DELETE FROM usage WHERE holder_id IS NOT NULL", {"roll_up", "energy"}),
        ("INSERT INTO usage SELECT * FROM usage LIMIT 1", {"shares", "imbalance", "roll_up", "energy"}),
        ("UPDATE usage_hourly SET active_us = active_us + 1 WHERE holder_id IS NOT NULL", {"roll_up", "charges"}),
        ("DELETE FROM usage_hourly WHERE holder_id IS NOT NULL", {"roll_up", "charges"}),
        ("UPDATE charges SET cost_quanta = cost_quanta + 1", {"money"}),
        ("UPDATE charges SET cost_quanta = NULL", {"money", "price"}),
        ("UPDATE charges SET held_us = held_us - 1 WHERE state = 5", {"charges"}),
        ("UPDATE charges SET rate_quanta = rate_quanta + 1", {"money", "price"}),
        ("UPDATE charges SET energy_mj = energy_mj + 1", {"charges"}),
        ("UPDATE charges SET active_cost_quanta = active_cost_quanta + 1 WHERE state = 1", {"money"}),
        ("UPDATE charges SET active_cost_quanta = NULL WHERE state = 1", {"money"}),
        (
            "UPDATE charges SET price_version = NULL, price_entry = NULL, rate_quanta = NULL, cost_quanta = NULL",
            {"price"},
        ),
        ("DELETE FROM charges", {"charges", "unrated"}),
        ("UPDATE price_entries SET rate_quanta = 1", {"price"}),
        (
            "UPDATE usage SET start_us = start_us - 60000000 WHERE start_us % 3600000000 = 60000000",
            {"overlap", "shares"},
        ),
    ],
)
def test_what_is_changed_behind_its_back_is_found(ledger: Ledger, sql: str, expected: set[str]) -> None:
    """Each stage is held against the next, so that a change of any one of them shows."""
    proof = tamper(ledger, sql)
    assert not proof.ok
    assert codes(proof) >= expected


def test_cost_moved_between_two_holders_of_one_hour_is_found(tmp_path: Path) -> None:
    """The hour still costs what it costs, but one holder pays for another."""
    half_us = START_US + HOUR // 2
    usage = [
        *records("GPU-0001", START_US, half_us, "pod:uid-1/c"),
        *records("GPU-0001", half_us, START_US + HOUR, "pod:uid-2/c"),
    ]
    with open_ledger(tmp_path) as shared:
        assert shared.ingest([frame(0, usage)])[0].taken
        prices(shared, BOOK)
        assert reconcile(shared, PERIOD).ok
        moved = "(SELECT max(holder_id) FROM charges)"
        proof = tamper(shared, f"UPDATE charges SET cost_quanta = cost_quanta + IF(holder_id = {moved}, 2, -2)")
    assert (codes(proof), proof.money_imbalance) == ({"money"}, "0.00")


def test_many_violations_are_counted_and_a_few_are_told(ledger: Ledger) -> None:
    """Ten of a kind are written out, the rest is a number."""
    details = [v.detail for v in tamper(ledger, "UPDATE board_energy SET board = board || '-' || rowid").violations]
    assert len(details) == 4
    proof = tamper(
        ledger, "INSERT INTO board_energy SELECT batch_id, 'x' || i, 1, '', NULL, NULL FROM board_energy, range(9) t(i)"
    )
    assert [v.detail for v in proof.violations][-1].startswith("and ")


def test_the_command_leaves_with_3_where_something_is_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code tells a script, the table a person: which law does not hold, by how much money of which currency."""
    ledger = filled(tmp_path)
    asked = ["reconcile", "--ledger", str(tmp_path), "--period", f"{iso(START_US)}..{iso(START_US + 3 * HOUR)}"]
    tamper(ledger, "UPDATE charges SET cost_quanta = cost_quanta + 10000000 WHERE state = 1")
    ledger.close()
    assert main([*asked, "--format", "table"]) == 3
    assert "off by 0.03 EUR" in capsys.readouterr().out
    assert main([*asked, "--format", "json"]) == 3
    assert msgspec.json.decode(capsys.readouterr().out)["ok"] is False


def test_a_pool_that_is_over_booked_is_a_violation(ledger: Ledger) -> None:
    """Jobs that held more GPUs than the pool has are neither cut nor hidden."""
    pool = Device(key="pool:c1/small", kind="pool", model="Tesla T4", units=1)
    jobs = [Holder(key=f"slurm:{n}", kind="slurm_job") for n in range(2)]
    usage = [
        record
        for job in jobs
        for record in records(pool.key, START_US, START_US + HOUR, job.key, state=State.HELD_UNOBSERVED, active_us=None, energy_mj=None)
    ]  # fmt: skip
    taken = [ledger.ingest([usage_frame(9 + n, [r for r in usage if r.holder == job.key], [pool], jobs)])[0].taken for n, job in enumerate(jobs)]  # fmt: skip
    assert taken == [True, True]
    proof = reconcile(ledger, PERIOD)
    assert codes(proof) == {"imbalance", "overbooked", "money"}
    assert (proof.imbalance_us, proof.money_imbalance) == (HOUR, "2.49")


def test_what_waits_is_rated_first_and_when_reading_only_it_is_said(tmp_path: Path) -> None:
    """New usage is rated before the proof; a reader cannot, and reports the hours that wait."""
    ledger = filled(tmp_path)
    ledger.ingest([frame(1, records("GPU-0001", START_US + 3 * HOUR, START_US + 4 * HOUR))])
    whole = Period(START_US, START_US + 4 * HOUR, "all")
    assert reconcile(ledger, whole).ok
    ledger.ingest([frame(2, records("GPU-0001", START_US + 4 * HOUR, START_US + 5 * HOUR))])
    ledger.close()
    with Ledger.open(tmp_path, read_only=True) as reader:
        assert reconcile(reader, whole).ok
        proof = reconcile(reader, Period(START_US, START_US + 5 * HOUR, "all"))
    assert (proof.ok, codes(proof), proof.pending_hours) == (False, {"pending"}, 1)


def test_an_empty_ledger_has_nothing_to_prove(tmp_path: Path) -> None:
    """Nothing is conserved."""
    with open_ledger(tmp_path) as empty:
        proof = reconcile(empty, PERIOD)
    assert (proof.ok, proof.devices, proof.elapsed_us, proof.cost) == (True, 0, 0, None)
