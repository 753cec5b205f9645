"""What changes for good, from the driver to usage records: another power for the same work, other work, other memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.devices.simulated.plants import DRIFT, HARDWARE, WASTE, WORK, find_plants
from agent.devices.simulated.scenario import Scenario
from agent.devices.simulated.scenario_file import parse_scenario
from agent.devices.simulated.truth import work_out
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND
from gpuledger.errors import ConfigError
from gpuledger.model import State
from tests.e2e.simulated_agents import run_agents
from tests.e2e.test_truth import MONDAY_US, assert_agrees, by_line, records

MIB = 1024 * 1024
SCENARIO = """
name = "changes"
cluster = "lab"
length = "4h"

[[node]]
name = "lab-1"
boards = [{ capture = "h100-sxm", count = 3 }, { capture = "a100-40gb", mig = [{ profile = "3g.20gb", index = 0 }] }]

[[team]]
name = "vision"

[[workload]]
name = "train"
kind = "training"
platform = "user"
user = "ada"
team = "vision"
on = ["lab-1/0-1"]
every = "2h"
duration = "110m"
memory_mib = 1000
activity = { shape = "steady", level = 80, jitter = 0 }

[[workload]]
name = "asleep"
kind = "notebook"
platform = "user"
user = "bob"
team = "vision"
on = ["lab-1/2"]
duration = "4h"
activity = { shape = "none" }

[[change]]
device = "lab-1/1"
from = "70m"
power_percent = 50

[[change]] # of a board that is cut
device = "lab-1/3"
from = "70m"
power_percent = 90

[[change]]
workload = "train"
from = "90m"
memory_mib = 3000
activity = { shape = "steady", level = 40, jitter = 0 }

[[waste]]
workload = "asleep"
reason = "memory_held"

[[waste]]
node = "lab-1"
reason = "stranded"
"""


def scenario(text: str = SCENARIO) -> Scenario:
    """Return the checked scenario."""
    return Scenario(parse_scenario(text, "changes"))


@pytest.mark.parametrize("step_s", [60, 10])
def test_usage_records_are_true(tmp_path: Path, step_s: int) -> None:
    """For every device, holder, state and reason: time, work and energy, before and after each change."""
    fleet = scenario().at(MONDAY_US)
    truth = work_out(fleet, step_us=step_s * US_PER_SECOND)
    measured = by_line(records(run_agents(fleet, tmp_path, step_s * US_PER_SECOND)), truth)
    assert_agrees(truth.by(lambda line: (line.device, line.holder, line.state, line.reason)), measured)


def test_the_card_and_the_work_change_when_they_should(tmp_path: Path) -> None:
    """From minute 70 on one card's work takes half the power; the run after minute 90 does half the work, in more memory."""
    fleet = scenario().at(MONDAY_US)
    found = records(run_agents(fleet, tmp_path, US_PER_MINUTE))
    good, failing = (board.spec.uuid for board in fleet.node("lab-1").boards[:2])

    def of(device: str, minute: int) -> tuple[int, int, int]:
        at_us = MONDAY_US + minute * US_PER_MINUTE
        [row] = [r for r in found if r.device == device and r.start_us == at_us and r.state is State.ACTIVE]
        return row.energy_mj or 0, row.active_us or 0, row.memory_max_bytes or 0

    power = fleet.node("lab-1").boards[0].power
    assert of(good, 60) == of(failing, 60)
    assert of(good, 80) == of(good, 60)
    floor_mj = power.held_mw * 60
    assert (of(failing, 80)[0] - floor_mj) * 2 == pytest.approx(of(good, 80)[0] - floor_mj, rel=1e-3)
    assert of(good, 130)[1] * 2 == of(good, 60)[1]
    assert (of(good, 60)[2], of(good, 130)[2]) == (1000 * MIB, 3000 * MIB)


def test_what_is_planted_is_said() -> None:
    """Who, since when, and the cause of each plant: two cards, one workload, a holder that sleeps, what MIG leaves over."""
    made = scenario()
    fleet = made.at(MONDAY_US)
    plants = find_plants(made, fleet)
    _, failing, _, cut = fleet.node("lab-1").boards
    drifts = [plant for plant in plants if plant.kind == DRIFT]
    assert [(plant.causes, plant.interval.start_us) for plant in drifts] == [
        (frozenset({HARDWARE}), MONDAY_US + 70 * US_PER_MINUTE),
        (frozenset({HARDWARE}), MONDAY_US + 70 * US_PER_MINUTE),
        (frozenset({WORK}), MONDAY_US + 90 * US_PER_MINUTE),
    ]
    assert [plant.devices for plant in drifts[:2]] == [frozenset({failing.spec.uuid}), frozenset({cut.spec.uuid})]
    late = [tenant.holder for tenant in fleet.tenants if tenant.run.interval.start_us == 2 * US_PER_HOUR]
    assert (drifts[2].holders, drifts[2].metrics) == (
        frozenset(late),
        frozenset({"active_ratio", "busy_ratio", "power_w", "temperature_c", "memory_bytes"}),
    )
    asleep, left_over = (plant for plant in plants if plant.kind == WASTE)
    assert (asleep.name, asleep.causes, len(asleep.holders)) == ("asleep", frozenset({"memory_held"}), 1)
    assert left_over.devices == frozenset({f"{cut.spec.uuid}/remainder"})


def test_what_comes_after_the_end_is_not_planted() -> None:
    """A fleet that ends before a change has none of it."""
    made = scenario()
    assert {plant.kind for plant in find_plants(made, made.at(MONDAY_US, 1 / 24))} == {WASTE}


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('[[change]]\nfrom = "1h"\npower_percent = 50', "one device or of one workload"),
        ('[[change]]\nfrom = "1h"\ndevice = "lab-1/0"\nworkload = "train"\npower_percent = 50', "one device or of one"),
        ('[[change]]\nfrom = "1h"\ndevice = "lab-1/0-1"\npower_percent = 50', "power or clock of one board"),
        ('[[change]]\nfrom = "1h"\ndevice = "lab-1/0"\nmemory_mib = 5', "power or clock of one board"),
        ('[[change]]\nfrom = "1h"\nworkload = "train"\npower_percent = 50', "no change of work"),
        ('[[change]]\nfrom = "1h"\nworkload = "trian"\nmemory_mib = 5', "no such workload"),
        ('[[change]]\nfrom = "1h 10s"\nworkload = "train"\nmemory_mib = 5', "within a minute"),
    ],
)
def test_changes_that_cannot_be_are_refused(broken: str, says: str) -> None:
    """A change of nothing, of two things, or at an instant that no truth is told for is an error."""
    with pytest.raises(ConfigError, match=says):
        scenario(f"{SCENARIO}\n{broken}\n")


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('[[waste]]\nreason = "stranded"\nworkload = "train"', "names the wrong thing"),
        ('[[waste]]\nreason = "memory_held"', "names the wrong thing"),
        ('[[waste]]\nreason = "memory_held"\nworkload = "aslepe"', 'no "aslepe"'),
        ('[[waste]]\nreason = "stranded"\nnode = "lab-9"', 'no "lab-9"'),
    ],
)
def test_waste_that_nobody_could_find_is_refused(broken: str, says: str) -> None:
    """Planted waste names a workload or a node that there is."""
    made = scenario(f"{SCENARIO}\n{broken}\n")
    with pytest.raises(ConfigError, match=says):
        find_plants(made, made.at(MONDAY_US))
