"""From the driver to the ledger, every figure is the scenario's truth: exact where the driver gives it exactly.

Where it does not (a tenant that leaves between two samples, a board that is lost with what it last did unread), the
figure is right to within one sampling step for each such instant. Which figures are which is the truth's to say; these
tests say for which kinds of figures that must be so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from agent.devices.simulated.scenario import Fleet, load
from agent.devices.simulated.scenario_file import SCENARIOS
from agent.devices.simulated.truth import Figure, Sums, Truth, work_out
from agent.devices.simulated.truth_board import UNATTRIBUTED
from collector.ledger.store import Ledger
from collector.pricing.files import parse_owner_map, parse_price_book
from collector.pricing.imports import import_owners, import_prices
from collector.queries.reconcile import reconcile
from collector.queries.scope import scope_params
from collector.queries.summed_days import NO_DAYS
from collector.rating import rate_dirty
from gpuledger import wire
from gpuledger.accounting.periods import Period
from gpuledger.accounting.pricebook import Priced
from gpuledger.accounting.units import US_PER_MINUTE, US_PER_SECOND
from gpuledger.clock import VirtualClock
from gpuledger.model import HELD_STATES, State, UsageRecord
from gpuledger.within import EVERYTHING
from tests.e2e.simulated_agents import run_agents

MONDAY_US = 1_767_571_200_000_000  # 2026-01-05, a Monday
NOTHING = Sums(Figure(0), Figure(0), Figure(0))
Amounts = tuple[int, int, int]  # held and active in microseconds x parts of a GPU, energy in mJ


@pytest.fixture(scope="module")
def small() -> Fleet:
    """Return the small fleet."""
    return load("small").at(MONDAY_US)


@pytest.fixture(scope="module")
def frames(small: Fleet, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Return what the small fleet's agents deliver, sampling once a minute."""
    return run_agents(small, tmp_path_factory.mktemp("spools"), US_PER_MINUTE)


def records(frames: list[bytes]) -> list[UsageRecord]:
    """Return the usage records of batches that keep every promise of the wire."""
    found = []
    for frame in frames:
        batch = wire.decode(frame)
        wire.check(batch, now_us=batch.sealed_at_us)
        found += wire.unpack_usage(batch)
    return found


def assert_agrees(truth: Mapping[Any, Sums], measured: Mapping[Any, Amounts]) -> None:
    """Each group's time, work and energy is what it should be, to within what its figures allow."""
    wrong = []
    for group in truth.keys() | measured.keys():
        for name, figure, value in zip(
            Sums._fields, truth.get(group, NOTHING), measured.get(group, (0, 0, 0)), strict=True
        ):
            if not figure.agrees(value):
                wrong.append(f"{group}: {name} is {value}, not {figure.value} (within {figure.within})")
    assert not wrong, "\n".join(wrong)


def by_line(usage: list[UsageRecord], truth: Truth) -> dict[object, Amounts]:
    """Return what was measured of each device, holder, state and reason."""
    parts = {line.device: line.parts for line in truth.lines}
    sums: dict[object, list[int]] = defaultdict(lambda: [0, 0, 0])
    for record in usage:
        of_line = sums[record.device, record.holder, record.state, record.reason]
        of_line[0] += record.held_us * parts[record.device]
        of_line[1] += (record.active_us or 0) * parts[record.device]
        of_line[2] += record.energy_mj or 0
    return {group: (held, active, energy) for group, (held, active, energy) in sums.items()}


@pytest.mark.parametrize("step_s", [60, 30, 10])
def test_usage_records_are_true(small: Fleet, tmp_path: Path, step_s: int) -> None:
    """For every device, holder, state and reason: time, work and energy, at three sampling steps."""
    step_us = step_s * US_PER_SECOND
    truth = work_out(small, step_us=step_us)
    measured = by_line(records(run_agents(small, tmp_path, step_us)), truth)
    assert_agrees(truth.by(lambda line: (line.device, line.holder, line.state, line.reason)), measured)


@pytest.mark.slow
def test_the_demos_usage_records_are_true(tmp_path: Path) -> None:
    """The same for the first three days of the demo, with all its incidents."""
    fleet = load("demo").at(MONDAY_US, 3)
    truth = work_out(fleet)
    measured = by_line(records(run_agents(fleet, tmp_path, US_PER_MINUTE)), truth)
    assert_agrees(truth.by(lambda line: (line.device, line.holder, line.state, line.reason)), measured)


def test_what_must_be_exact_is_exact(small: Fleet) -> None:
    """Truth does not hide behind tolerance: only what touches an instant between samples, or a lost board, has any.

    At a sampling step of a minute these are exact: all time and energy of an agent's outage, of MIG instances and of
    what they leave over, of a sharing board on which all comes and goes at whole minutes; a tenant's whole held time
    where it left at a sample, wherever it came.
    """
    truth = work_out(small)
    sums = truth.by(lambda line: (line.device, line.holder, line.state))
    shared = small.node("lab-1").boards[2].spec.uuid
    sliced = small.node("lab-1").boards[1]
    exact = {sliced.key(0), sliced.key(3), f"{sliced.spec.uuid}/remainder", shared}
    for (device, _, state), group in sums.items():
        if device in exact or state is State.UNOBSERVED:
            assert all(figure.exact for figure in group), (device, state)
    assert {device for device, *_ in sums} >= exact
    inexact = [group for group, found in sums.items() if not all(figure.exact for figure in found)]
    assert {device for device, *_ in inexact} == {
        small.node("lab-1").boards[0].spec.uuid,
        *(board.spec.uuid for board in small.node("lab-2").boards),
    }
    teams = truth.by_team()
    assert teams[UNATTRIBUTED].held.exact
    assert teams["language"].held.within <= 840 * US_PER_MINUTE
    assert teams["vision"].held.within <= 2 * 840 * US_PER_MINUTE


@pytest.fixture(scope="module")
def ledger_states(small: Fleet, frames: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a ledger that was given the frames, prices and owners, and has rated them."""
    folder = tmp_path_factory.mktemp("ledger")
    with Ledger.open(folder, clock=VirtualClock(small.end_us)) as ledger:
        results = ledger.ingest(frames)
        assert all(not result.duplicate for result in results)
        for importing, name in ((import_prices, "small-prices.toml"), (import_owners, "small-owners.toml")):
            importing(ledger, (SCENARIOS / name).read_bytes(), "toml", source=name, imported_us=small.end_us)
        rate_dirty(ledger)
    return folder


def test_the_ledger_is_true(small: Fleet, ledger_states: Path) -> None:
    """Per team and state, what the ledger would charge for is the truth: seconds held, seconds active, joules."""
    period = {"from_us": small.start_us, "to_us": small.end_us, "by": "team", **scope_params(EVERYTHING), **NO_DAYS}
    measured: dict[object, list[int]] = defaultdict(lambda: [0, 0, 0])
    with Ledger.open(ledger_states, clock=VirtualClock(small.end_us)) as ledger:
        for row in ledger.execute("query_chargeback", period).to_pylist():
            state = State(row["state"])
            team = row["group_key"] or (UNATTRIBUTED if state in HELD_STATES else "")
            for position, column in enumerate(("part_us", "active_part_us", "energy_mj")):
                measured[team, state][position] += int(row[column] or 0)
    truth = work_out(small).by_team_state()
    assert_agrees(truth, {group: (held, active, energy) for group, (held, active, energy) in measured.items()})
    assert {team for team, _ in truth} == {"vision", "language", UNATTRIBUTED, ""}


def test_the_ledger_reconciles(small: Fleet, ledger_states: Path) -> None:
    """Its proof has no imbalance in time, energy or money, and it knows all the time that passed."""
    with Ledger.open(ledger_states, clock=VirtualClock(small.end_us)) as ledger:
        proof = reconcile(ledger, Period(small.start_us, small.end_us, "small"))
    assert proof.ok, proof.violations
    assert (proof.imbalance_us, proof.energy_imbalance_mj) == (0, 0)
    devices = {line.device for line in work_out(small).lines}
    assert proof.devices == len(devices)
    assert proof.elapsed_us == len(devices) * (small.end_us - small.start_us)
    assert proof.unpriced_gpu_hours == pytest.approx(2 * 4)


def test_incidents_are_told(small: Fleet, frames: list[bytes]) -> None:
    """Each XID, the lost board, its return and the driver load are events of the nodes that had them."""
    events = [event for frame in frames for event in wire.decode(frame).events]
    first, other = small.node("lab-1").boards[0].spec.uuid, small.node("lab-2").boards[0].spec.uuid
    told = {(event.kind, event.device, event.details.get("xid", "")) for event in events}
    assert {("xid", first, "79"), ("xid", other, "13"), ("gpu_lost", first, ""), ("gpu_recovered", first, "")} <= told
    assert {event.device for event in events if event.kind == "counter_reset"} >= {first, other}


def test_the_demos_books_fit_its_fleet() -> None:
    """The demo's owners name the team that each workload of the scenario is of, and every model has a price."""
    books = files("gpuledger.cli") / "demo_books"
    owners = parse_owner_map((books / "owners.toml").read_bytes(), "toml", "owners.toml")
    prices = parse_price_book((books / "prices.toml").read_bytes(), "toml", "prices.toml")
    fleet = load("demo").at(MONDAY_US, 7)
    for tenant in fleet.tenants:
        workload = tenant.run.workload
        known = {"namespace": workload.namespace, "slurm_account": workload.account, "user": workload.user}
        found = owners.resolve({name: value for name, value in known.items() if value}, MONDAY_US)
        assert (found.owner.team if found else "") == workload.team, workload.name
    for board in (board for node in fleet.nodes for board in node.boards):
        assert prices.price(Priced(board.capture.name, cluster=fleet.cluster), MONDAY_US), board.capture.name
