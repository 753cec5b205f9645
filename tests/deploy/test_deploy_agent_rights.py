"""The agent itself, as user 0 with no other capability than those of its DaemonSet: it runs, names, seals and leaves."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.deploy.manifests import ROOT, agent, overlay
from tests.driver.build import require
from tests.driver.control import World
from tests.e2e.processes import gpuledger
from tests.gpuledger.lesser import NOBODY, require_setpriv

START_S = 30


def test_service_links_would_keep_the_agent_from_starting() -> None:
    """What Kubernetes would put into the environment for our Services looks like settings: hence no service links."""
    done = gpuledger("agent", "--check-config", env={"GPULEDGER_COLLECTOR_SERVICE_HOST": "10.0.0.7"})
    assert done.returncode == 2
    assert "unknown setting GPULEDGER_COLLECTOR_SERVICE_HOST" in done.stderr


def test_the_agent_runs_with_the_capabilities_of_its_daemon_set(tmp_path: Path) -> None:
    """It reads a driver, names another user's process by an environment that is not its own, and seals what it found."""
    require_setpriv()
    with claiming_process() as pid:
        world = World(tmp_path, "boards 1", "board 0 idle 1", "board 0 uuid GPU-fake", f"process 0 {pid} 10 20")
        with running_agent(tmp_path, require(), world.environment) as (process, url):
            text = wait_for(url, re.compile(r"gpuledger_\w+\{[^}]*team=\"vision\"[^}]*\}"))
            process.send_signal(signal.SIGTERM)
            assert process.wait(START_S) == 0
    assert 'device="GPU-fake"' in text
    assert list((tmp_path / "spool").iterdir())


@contextmanager
def claiming_process() -> Iterator[int]:
    """Yield the pid of another user's process that names its team in its environment."""
    command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "cat"]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "GPULEDGER_TEAM": "vision"},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"up\n")
        process.stdin.flush()
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


@contextmanager
def running_agent(folder: Path, library: Path, driver: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run the agent with the DaemonSet's rights; yield it and the address of its metrics."""
    added = agent(overlay("plain"))["containers"][0]["securityContext"]["capabilities"]["add"]
    config = folder / "agent.toml"
    config.write_text(
        f"""
        [agent]
        shutdown_s = 0.1
        [sampling]
        interval_ms = 200
        [spool]
        directory = "{folder}/spool"
        [collector]
        url = "http://127.0.0.1:9"
        [exporter]
        port = 0
        [nvml]
        library = "{library}"
        """
    )
    bounding = "--bounding-set=-all," + ",".join(f"+{name.lower()}" for name in added)
    command = ["setpriv", bounding, "--inh-caps=-all", "--no-new-privs"]
    command += [sys.executable, "-m", "gpuledger.cli", "agent", "--config", str(config)]
    log = folder / "agent.log"
    environment = {**os.environ, **driver}
    with (
        log.open("w") as output,
        subprocess.Popen(command, stderr=output, text=True, cwd=ROOT, env=environment) as process,
    ):
        try:
            deadline = time.monotonic() + START_S
            while not (found := re.search(r"metrics at (\S+)", log.read_text())):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield process, found[1]
        finally:
            process.kill()


def wait_for(url: str, pattern: re.Pattern[str]) -> str:
    """Return the metrics once they hold `pattern`."""
    deadline = time.monotonic() + START_S
    text = ""
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                text = answer.read().decode()
        except urllib.error.URLError:
            text = ""
        if pattern.search(text):
            return text
        time.sleep(0.1)
    pytest.fail(f"no {pattern.pattern} in {text}")
