"""`gpuledger demo --once`, as a person runs it: it ends well, reconciles, and its ledger is the fleet's ground truth."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import msgspec
import pytest

from agent.devices.simulated.scenario import Fleet, load
from agent.devices.simulated.truth import work_out
from agent.devices.simulated.truth_board import UNATTRIBUTED
from agent.replay import instant_us
from collector.ledger.store import Ledger
from collector.queries.audit import audit
from collector.queries.scope import scope_params
from collector.queries.summed_days import NO_DAYS
from gpuledger.accounting.intervals import Interval
from gpuledger.cli.demo_plan import LIVE_DAYS, MARKER, DemoPlan
from gpuledger.model import HELD_STATES, State
from gpuledger.within import EVERYTHING
from tests.e2e.processes import answer, gpuledger
from tests.e2e.test_truth import assert_agrees

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder in which a demo of three days has ended well."""
    folder = tmp_path_factory.mktemp("demo")
    done = gpuledger("demo", "--once", "--days", "3", "--data-dir", str(folder), timeout_s=240)
    assert done.returncode == 0, done.stderr
    assert "Chargeback" in done.stdout
    return folder


def plan_of(demo: Path) -> DemoPlan:
    """Return what the demo simulated."""
    return msgspec.json.decode((demo / MARKER).read_bytes(), type=DemoPlan)


def fleet_of(plan: DemoPlan) -> Fleet:
    """Return the demo's fleet, as its agents saw it."""
    return load("demo").at(instant_us(plan.from_), round(plan.days + LIVE_DAYS), nodes=plan.nodes, seed=plan.seed)


def test_the_demo_reconciles(demo: Path) -> None:
    """Time, energy and money balance to the last microsecond, millijoule and quantum."""
    plan = plan_of(demo)
    period = f"{plan.from_:%Y-%m-%dT%H:%M:%SZ}..{plan.until:%Y-%m-%dT%H:%M:%SZ}"
    proof = answer("reconcile", "--ledger", str(demo), "--period", period)
    assert proof["ok"] is True, json.dumps(proof["violations"])
    assert (proof["imbalance_us"], proof["energy_imbalance_mj"], float(str(proof["money_imbalance"]))) == (0, 0, 0.0)
    assert proof["elapsed_us"] == sum(proof["states_us"].values())  # type: ignore[attr-defined]
    assert proof["devices"] >= 40  # type: ignore[operator]


def test_whoever_asks_and_whoever_approves_has_a_token_of_their_own(demo: Path) -> None:
    """What the audit log calls them, so that an auditor does not see one identity approve what it asked for."""
    with Ledger.open(demo, read_only=True) as ledger:
        rows = audit(ledger, None, act="", actor="", limit=10_000).rows
    assert {(row.act, row.actor) for row in rows if row.act in ("approval.request", "approval.approve")} == {
        ("approval.request", "luis"),
        ("approval.approve", "lena"),
        ("approval.approve", "farida"),
    }


def test_the_demos_ledger_is_true(demo: Path) -> None:
    """Per team and state: GPU-seconds held and active, and joules, each exact or within what the driver can tell."""
    plan = plan_of(demo)
    span = Interval(instant_us(plan.from_), instant_us(plan.until))
    truth = work_out(fleet_of(plan), span).by_team_state()
    measured: dict[object, list[int]] = defaultdict(lambda: [0, 0, 0])
    with Ledger.open(demo, read_only=True) as ledger:
        period = {"from_us": span.start_us, "to_us": span.end_us, "by": "team", **scope_params(EVERYTHING), **NO_DAYS}
        rows = ledger.execute("query_chargeback", period)
        for row in rows.to_pylist():
            state = State(row["state"])
            team = row["group_key"] or (UNATTRIBUTED if state in HELD_STATES else "")
            for position, column in enumerate(("part_us", "active_part_us", "energy_mj")):
                measured[team, state][position] += int(row[column] or 0)
    assert_agrees(truth, {group: (held, active, energy) for group, (held, active, energy) in measured.items()})
    assert len({team for team, _ in truth}) >= 7  # five teams, nobody's time, and what nobody mapped
