"""The whole agent with live processes: what they run and who is said to pay for them arrives with the batches."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from agent import app
from agent.config import AgentSettings
from agent.holders.pods import InMemoryPods
from agent.holders.processes import ProcFs, boot_instant_us
from agent.identity.identify import Identifier
from agent.identity.rulebook import RuleBook
from agent.shipper import Shipper
from agent.spool import Spool
from gpuledger.cli.main import main
from gpuledger.client import CollectorClient
from gpuledger.clock import VirtualClock
from gpuledger.config import load_config
from gpuledger.model import Workload
from tests.agent.nodes import MINUTE, T0, GivenSource, board, node
from tests.agent.test_app import drain

SITE = """
[rules.lab-run]
system = "labtool"
scope = "run"
level = "run"
id = "{env:LABTOOL_RUN}"
"""


@pytest.fixture
def trainer() -> Iterator[int]:
    """Start a process that holds a GPU: a child of one that a launcher marked, with its own environment cleaned."""
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import os; print(os.getpid(), flush=True); input()'], env={})"
    environ = {**os.environ, "MLFLOW_RUN_ID": "run-7", "GPULEDGER_TEAM": "nlp", "LABTOOL_RUN": "42"}
    child = subprocess.Popen(
        [sys.executable, "-c", program], env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    yield int(child.stdout.readline())
    child.communicate("\n")


def holders(tmp_path: Path, pid: int, *rules: Path) -> set[tuple[Workload | None, str, str]]:
    """Run an agent over a card that `pid` holds, and return what its batches say of the holder."""
    book = RuleBook(rules)
    clock = VirtualClock(T0)
    source = GivenSource(lambda: node(board(0, pid, energy_mj=(clock.now_us() - T0) // 1_000)))
    settings = load_config(AgentSettings, None, {"GPULEDGER_EXPORTER_ENABLED": "false"})
    processes = ProcFs(boot_us=boot_instant_us(), rules=book)
    with ExitStack() as closing:
        spool = closing.enter_context(Spool(tmp_path / "spool", max_bytes=1_000_000))
        shipper = Shipper(spool, CollectorClient())
        inputs = app.NodeInputs(source, processes, InMemoryPods({}), "", identifier=Identifier(book))
        agent = app.Agent(settings, inputs, clock, spool=spool, shipper=shipper, closing=closing)
        agent.run(threading.Event(), from_us=T0, until_us=T0 + 3 * MINUTE)
        agent.finish()
        batches = drain(spool)
    return {(holder.workload, holder.team_claim, holder.team_source) for batch in batches for holder in batch.holders}


def test_a_live_processs_run_and_team_arrive(tmp_path: Path, trainer: int) -> None:
    """The process that holds the card shows nothing itself; what started it is found, and the sources are said."""
    run = Workload("mlflow", "run", "run-7", "run-7")
    assert holders(tmp_path, trainer) == {(run, "nlp", "env:GPULEDGER_TEAM@ancestor")}


def test_a_sites_rule_decides_first(tmp_path: Path, trainer: int) -> None:
    """A site's own tool is recognised, and reads a variable that nothing else reads."""
    (tmp_path / "site.toml").write_text(SITE)
    found = holders(tmp_path, trainer, tmp_path / "site.toml")
    assert found == {(Workload("labtool", "run", "42", ""), "nlp", "env:GPULEDGER_TEAM@ancestor")}


def test_rules_are_checked_with_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check-config` reads the files that the settings name; a mistake in one is bad configuration."""
    (tmp_path / "site.toml").write_text(SITE.replace('level = "run"', 'level = "runs"'))
    config = tmp_path / "agent.toml"
    config.write_text(f'[identity]\nrules = ["{tmp_path / "site.toml"}"]\n')
    assert main(["agent", "--config", str(config), "--check-config"]) == 2
    assert 'level "runs" is none of run' in capsys.readouterr().err
    (tmp_path / "site.toml").write_text(SITE)
    assert main(["agent", "--config", str(config), "--check-config"]) == 0
