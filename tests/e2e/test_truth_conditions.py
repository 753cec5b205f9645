"""Planted trouble, from the driver to usage records: time that a board cannot be used is unavailable, all else as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.devices.simulated.scenario import Fleet, Scenario
from agent.devices.simulated.scenario_file import parse_scenario
from agent.devices.simulated.truth import work_out
from gpuledger import wire
from gpuledger.accounting.units import US_PER_MINUTE, US_PER_SECOND
from gpuledger.errors import ConfigError
from gpuledger.model import Event, State
from tests.e2e.simulated_agents import run_agents
from tests.e2e.test_truth import MONDAY_US, assert_agrees, by_line, records

SCENARIO = """
name = "trouble"
cluster = "lab"
length = "2h"

[[node]]
name = "lab-1"
boards = [{ capture = "h100-sxm", count = 3 }, { capture = "h100-sxm", mig = [{ profile = "3g.40gb", index = 0 }] }]

[[team]]
name = "vision"

[[workload]]
name = "train"
kind = "training"
platform = "user"
user = "ada"
team = "vision"
on = ["lab-1/0-1"]
start = "10m"
duration = "90m"

[[condition]] # the driver wants a reset; the training goes on meanwhile, and nobody pays for it
device = "lab-1/0"
from = "40m"
to = "55m"
recovery_action = "drain_and_reset"

[[condition]] # memory that cannot be repaired, on a board that nobody holds
device = "lab-1/2"
from = "30m"
to = "3h"
row_remap_failure = true
ecc_uncorrected = 3

[[condition]] # trouble that leaves a board usable
device = "lab-1/1"
from = "20m"
to = "50m"
row_remap_pending = true
ecc_corrected = 7
throttle = ["hardware_thermal"]

[[condition]] # the same on a board that is cut
device = "lab-1/3"
from = "20m"
to = "30m"
ecc_uncorrected = 1

[[fault]] # an application's fault
device = "lab-1/1"
at = "60m"
xid = 31
"""


def _fleet(text: str = SCENARIO) -> Fleet:
    return Scenario(parse_scenario(text, "trouble")).at(MONDAY_US)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return _fleet()


@pytest.fixture(scope="module")
def frames(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return run_agents(fleet, tmp_path_factory.mktemp("spools"), 10 * US_PER_SECOND)


def _events(frames: list[bytes], device: str) -> list[Event]:
    return [event for frame in frames for event in wire.decode(frame).events if event.device == device]


@pytest.mark.parametrize("step_s", [60, 10])
def test_usage_records_are_true(fleet: Fleet, tmp_path: Path, step_s: int) -> None:
    """For every device, holder, state and reason: time, work and energy, with trouble planted on each board."""
    step_us = step_s * US_PER_SECOND
    truth = work_out(fleet, step_us=step_us)
    measured = by_line(records(run_agents(fleet, tmp_path, step_us)), truth)
    assert_agrees(truth.by(lambda line: (line.device, line.holder, line.state, line.reason)), measured)


def test_time_that_a_board_cannot_be_used_is_unavailable_by_its_reason(fleet: Fleet, frames: list[bytes]) -> None:
    """Exactly the planted minutes, on exactly the planted boards."""
    boards = fleet.node("lab-1").boards
    unavailable = [record for record in records(frames) if record.state is State.UNAVAILABLE]
    found: dict[tuple[str, str], int] = {}
    for record in unavailable:
        key = record.device, record.reason
        found[key] = found.get(key, 0) + record.held_us
    assert found == {
        (boards[0].spec.uuid, "reset_required"): 15 * US_PER_MINUTE,
        (boards[2].spec.uuid, "row_remap_failure"): 90 * US_PER_MINUTE,
    }


def test_all_of_it_is_told(fleet: Fleet, frames: list[bytes]) -> None:
    """Each board's story, in order, with its severity."""
    first, second, third, fourth = (board.spec.uuid for board in fleet.node("lab-1").boards)
    start_us = fleet.start_us
    told = {
        board: [
            (event.kind, event.severity, (event.at_us - start_us) // US_PER_MINUTE)
            for event in sorted(_events(frames, board), key=lambda event: event.at_us)
            if event.kind != "device_added"
        ]
        for board in (first, second, third, fourth)
    }
    assert told[first] == [
        ("recovery_action", "error", 40),
        ("gpu_lost", "error", 40),
        ("recovery_action", "info", 55),
        ("gpu_recovered", "info", 55),
    ]
    assert told[second] == [
        ("throttling", "warning", 20),
        ("ecc_corrected", "info", 20),
        ("row_remap_pending", "warning", 20),
        ("throttling_ended", "info", 50),
        ("row_remap_pending", "info", 50),
        ("xid", "warning", 60),
    ]
    assert told[third] == [
        ("ecc_uncorrected", "error", 30),
        ("row_remap_failure", "error", 30),
        ("gpu_lost", "error", 30),
    ]
    assert told[fourth] == [("ecc_uncorrected", "error", 20)]


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ('device = "lab-1/3"\nfrom = "20m"\nto = "30m"\nrecovery_action = "gpu_reset"', "a board that is cut"),
        ('device = "lab-1/0-1"\nfrom = "20m"\nto = "30m"', "2 boards"),
        ('device = "lab-1/0"\nfrom = "20m 10s"\nto = "30m"', "whole minute"),
        ('device = "lab-1/0"\nfrom = "20m"\nto = "30m"\nrecovery_action = "prayer"', "prayer"),
        ('device = "lab-1/0"\nfrom = "20m"\nto = "30m"\nthrottle = ["cold"]', "cold"),
        ('device = "lab-1/9"\nfrom = "20m"\nto = "30m"', "boards 0 to 3"),
    ],
)
def test_conditions_that_cannot_be_are_refused(broken: str, says: str) -> None:
    """A condition that names nothing, or whose truth nobody could tell, is an error before anything is built."""
    with pytest.raises(ConfigError, match=says):
        _fleet(f"{SCENARIO}\n[[condition]]\n{broken}\n")


def test_a_board_with_accounting_mode_records_who_ended() -> None:
    """A process too short for any sample stands in the driver's record, with its own instants."""
    text = SCENARIO.replace(
        '{ capture = "h100-sxm", count = 3 }', '{ capture = "h100-sxm", count = 3, accounting = true }'
    )
    brief = text.replace('start = "10m"\nduration = "90m"', 'start = "10m 7s"\nduration = "31s"')
    world = _fleet(brief).node("lab-1").world
    state = world.board_at(0, MONDAY_US + 11 * US_PER_MINUTE, MONDAY_US + 10 * US_PER_MINUTE)
    (ended,) = state.ended
    (finished,) = state.finished
    assert (ended.start_us, ended.end_us) == (
        MONDAY_US + 10 * US_PER_MINUTE + 7 * US_PER_SECOND,
        MONDAY_US + 10 * US_PER_MINUTE + 38 * US_PER_SECOND,
    )
    assert (ended.pid, finished.came_us, finished.left_us) == (finished.pid, ended.start_us, ended.end_us)
    assert 0 < ended.percent <= 100
