"""Agents and the collector are killed again and again, and the bill does not change."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.processes import NODES, PERIOD, Fleet, answer

KILLS = 50
SLOW = 300.0  # seconds of history a second: nobody gets to the end while the killing goes on


def _bill(fleet: Fleet) -> dict[str, object]:
    """Return every figure of the period that the ledger answers for."""
    ledger = ("--ledger", str(fleet.ledger), "--period", PERIOD)
    bill: dict[str, object] = {
        f"chargeback by {by}, {view}": answer("chargeback", *ledger, "--by", by, "--view", view)
        for by in ("team", "user", "namespace", "device")
        for view in ("allocation", "usage")
    }
    bill["utilization"] = answer("utilization", *ledger, "--by", "device")
    bill["idle"] = answer("idle", *ledger)
    bill["reconcile"] = answer("reconcile", *ledger)
    return bill


def _play(fleet: Fleet, disturb: Callable[[Fleet], None] | None = None) -> dict[str, object]:
    """Run the fleet's history to its end and return the bill."""
    try:
        fleet.start("collector")
        fleet.wait_ready()
        fleet.import_books()
        for node in NODES:
            fleet.start(node)
        if disturb:
            disturb(fleet)
        for node in NODES:
            assert fleet.wait(node) == 0, fleet.log(node)
    finally:
        fleet.stop_all()
    return _bill(fleet)


def _kill_at_random(fleet: Fleet) -> None:
    """Kill and restart whatever chance picks, `KILLS` times; then let history run to its end."""
    chance = random.Random(20260105)
    killed = 0
    while killed < KILLS:
        time.sleep(chance.uniform(0.1, 0.9))  # a random point is the subject of the test
        victim = chance.choice(["collector", *NODES])
        assert fleet.kill(victim), f"{victim} ended by itself:\n{fleet.log(victim)}"
        killed += 1
        fleet.start(victim)
    fleet.set_speed(0)
    for node in NODES:
        fleet.kill(node)
        fleet.start(node)
    fleet.wait_ready()


@pytest.mark.slow
def test_fifty_kills_leave_the_bill_of_an_undisturbed_run(tmp_path: Path) -> None:
    """Kill -9 of agents and collector at 50 random points: every figure equals the undisturbed run's, and reconciles."""
    undisturbed = _play(Fleet(tmp_path / "undisturbed", speed=0))
    disturbed = _play(Fleet(tmp_path / "disturbed", speed=SLOW), _kill_at_random)
    assert undisturbed["reconcile"]["ok"] is True  # type: ignore[index]
    for figure, expected in undisturbed.items():
        assert disturbed[figure] == expected, figure
