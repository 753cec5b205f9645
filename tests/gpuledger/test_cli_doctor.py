"""What `doctor` finds as a whole: it reads the agent's settings, and no finding leaves the reader alone."""

from __future__ import annotations

import json
import re
import socket
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from gpuledger.cli.checks import delivery
from gpuledger.cli.checks.machine import Machine, machine_checks
from gpuledger.cli.checks.places import Places
from gpuledger.cli.checks.surroundings import Surroundings
from gpuledger.cli.main import main

PERMISSIONS = Path(__file__).parents[2] / "docs" / "reference" / "permissions.md"


def rows(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run doctor and return its exit code and its rows by check."""
    code = main(["doctor", *arguments, "--format", "json"])
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (code == 0)
    return code, {row["check"]: row for row in answer["rows"]}


def test_a_collector_that_is_down_fails_the_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3, one JSON document, and the failed check says how to start a collector."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code, found = rows(capsys, "--url", url, "--spool", str(tmp_path))
    assert (code, found["collector"]["status"]) == (3, "failed")
    assert "gpuledger collector" in found["collector"]["next_step"]


def test_what_the_agents_settings_name_is_what_is_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The collector, the spool, the driver's library, /proc and the pod logs of the file, overridden by the environment."""
    config = tmp_path / "agent.toml"
    config.write_text(
        f"""
        [agent]
        node = "gpu-7"
        [collector]
        url = "http://127.0.0.1:9"
        token_file = "{tmp_path}/no-token"
        [spool]
        directory = "{tmp_path}/spool"
        [nvml]
        library = "{tmp_path}/no-driver.so"
        [holders]
        proc = "{tmp_path}/no-proc"
        """
    )
    monkeypatch.setenv("GPULEDGER_HOLDERS_POD_LOGS", str(tmp_path))
    code, found = rows(capsys, "--config", str(config))
    assert code == 3
    assert found["settings"]["found"] == str(config)
    assert found["node name"]["found"] == "gpu-7"
    assert found["collector"]["found"].startswith("http://127.0.0.1:9:")
    assert str(tmp_path) in found["spool"]["found"]
    assert "no-driver.so" in found["driver"]["found"]
    assert "no-proc" in found["processes"]["found"]
    assert found["token"]["status"] == "failed"
    assert found["pod logs"]["found"] == f"1 in {tmp_path}"


def test_settings_that_are_wrong_are_bad_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the agent would not start with is exit code 2 with the nearest known key, as it is for the agent."""
    config = tmp_path / "agent.toml"
    config.write_text("[spool]\ndirectori = 'x'\n")
    assert main(["doctor", "--config", str(config)]) == 2
    assert 'did you mean "directory"' in capsys.readouterr().err


@pytest.mark.parametrize("in_pod", [False, True])
def test_every_failed_or_absent_thing_has_a_next_step(tmp_path: Path, *, in_pod: bool) -> None:
    """No finding leaves the reader alone, and what fails says what is lost."""
    missing = Places(*(tmp_path / name for name in Places._fields))
    machine = Machine("http://127.0.0.1:9", tmp_path, places=missing, around=Surroundings(in_pod=in_pod), environ={})
    for finding in machine_checks(machine):
        assert finding.status == "ok" or finding.next_step, finding
        assert finding.status != "failed" or finding.lost, finding


def test_every_check_is_in_the_table_of_permissions(tmp_path: Path) -> None:
    """The page says of each check what it is for; a check that is new is written down there."""
    table = PERMISSIONS.read_text()
    server = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "9"}
    machine = Machine("http://127.0.0.1:9", tmp_path, environ=server)
    names = {finding.check for finding in machine_checks(machine)} | {"API rights", "clock", "settings"}
    for name in names - {name for name in names if name.startswith("extra: ")}:
        assert re.search(rf"^\|.*`{name}`", table, re.MULTILINE), f"{name} is not in {PERMISSIONS.name}"


@pytest.mark.parametrize(("off_s", "status"), [(0, "ok"), (30, "failed"), (-30, "failed")])
def test_clocks_that_differ_by_more_than_seconds_fail(off_s: int, status: str) -> None:
    """Whichever way they differ: batches from the future are refused, and late ones fall into the wrong hour."""
    now = time.time()
    assert delivery.check_clock(formatdate(now + off_s, usegmt=True), now, now).status == status
