"""On a demo of a month each planted waste, fault and drift is found with its cause, and nothing else is.

Precision and recall are printed for each kind. The month is one that is over, so that its weekdays are always the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from agent.devices.simulated.plants import DRIFT, FAULT, HARDWARE, WASTE, WORK, Plant, find_plants
from agent.devices.simulated.scenario import load
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import to_us
from gpuledger.cli.demo_findings import Finding, Found, find_all
from gpuledger.cli.demo_plan import SCENARIO, DemoPlan, make_plan
from gpuledger.cli.demo_score import drawing, score
from gpuledger.cli.fleet import Fleet
from gpuledger.cli.sources import open_local

pytestmark = pytest.mark.slow
UNTIL = datetime.fromisoformat(os.environ.get("GPULEDGER_FINDINGS_UNTIL", "2026-02-04T19:00:00")).replace(tzinfo=UTC)
SEED = int(os.environ.get("GPULEDGER_FINDINGS_SEED", "0")) or None


@pytest.fixture(scope="module")
def plan() -> DemoPlan:
    """Return a demo of thirty days."""
    return make_plan(UNTIL, 30, SEED, None)


@pytest.fixture(scope="module")
def plants(plan: DemoPlan) -> list[Plant]:
    """Return what is planted in it."""
    scenario = load(SCENARIO)
    return find_plants(scenario, scenario.at(to_us(plan.from_), plan.days, seed=plan.seed))


@pytest.fixture(scope="module")
def found(plan: DemoPlan, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """Give what every finder tells of the demo's ledger, which its real agents and collector made."""
    folder: Path = tmp_path_factory.mktemp("findings")
    scenario = load(SCENARIO)
    with Fleet(folder, port=0) as fleet:
        fleet.start_collector()
        fleet.import_books()
        fleet.build_history(plan, [node.name for node in scenario.file.node], scenario.file.cluster, lambda: None)
    source = open_local(folder)
    try:
        yield find_all(source, Interval(to_us(plan.from_), to_us(plan.until)))
    finally:
        source.close()


def test_each_plant_is_found_and_nothing_else(plants: list[Plant], found: Found) -> None:
    """Precision and recall are 1 for waste, faults and drift; what is missed or false is named."""
    scores = score(plants, found)
    Console(width=160).print(drawing(scores))
    assert [(each.recall, each.precision) for each in scores] == [(1.0, 1.0)] * 3
    assert {each.kind: each.planted for each in scores} == {WASTE: 7, FAULT: 8, DRIFT: 3}


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        (WASTE, "memory_held"),
        (WASTE, "throttled"),
        (WASTE, "stranded"),
        (FAULT, "xid 79"),
        (FAULT, "xid 13"),
        (FAULT, "gpu_lost"),
        (FAULT, "throttling"),
        (FAULT, "reset_required"),
        (FAULT, "agent_down"),
        (DRIFT, HARDWARE),
        (DRIFT, WORK),
        (DRIFT, DRIFT),
    ],
)
def test_a_finder_that_is_missing_is_missed(plants: list[Plant], found: Found, kind: str, cause: str) -> None:
    """Without what one finder tells of one cause, a plant is missed, and it is named with that cause."""
    kept = tuple(each for each in found.findings if (each.kind, each.cause) != (kind, cause))
    assert len(kept) < len(found.findings)
    [of_kind] = [each for each in score(plants, found._replace(findings=kept)) if each.kind == kind]
    assert of_kind.missed
    assert all(cause in name for name in of_kind.missed)


def test_a_false_alarm_is_named(plants: list[Plant], found: Found) -> None:
    """The same cause on another card, the right card with another cause, and the right cause at another time are false."""
    card = next(each for each in found.findings if each.cause == HARDWARE)
    lost = next(each for each in found.findings if each.cause == "gpu_lost")
    alarms: list[Finding] = [
        card._replace(key="GPU-of-nobody"),
        card._replace(cause=WORK),
        card._replace(metric="gpu_hours"),
        lost._replace(interval=Interval(lost.interval.start_us - 10**12, lost.interval.start_us - 10**12 + 1)),
    ]
    false = [name for each in score(plants, found._replace(findings=(*found.findings, *alarms))) for name in each.false]
    assert sorted(false) == sorted(alarm.words for alarm in alarms)
