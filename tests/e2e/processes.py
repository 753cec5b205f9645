"""Real agent and collector processes of a small simulated fleet, to be started, killed and asked."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

FROM = "2026-01-05T00:00:00Z"
UNTIL = "2026-01-05T04:00:00Z"
PERIOD = f"{FROM}..{UNTIL}"
NODES = ("lab-1", "lab-2")
PRICES = """
currency = "EUR"
[[price]]
model = "*"
rate = "2.50"
from = 2026-01-01T00:00:00Z
"""
OWNERS = """
[[owner]]
team = "vision"
match.namespace = "vision-*"
[[owner]]
team = "vision"
match.slurm_account = "vision"
[[owner]]
team = "language"
match.namespace = "language-*"
[[owner]]
team = "language"
match.slurm_account = "language"
"""


def gpuledger(
    *arguments: str, timeout_s: float = 60, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command line, with `env` added to its environment, and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "gpuledger.cli", *arguments],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env={**_environment(), **(env or {})},
        check=False,
    )


def answer(*arguments: str) -> dict[str, object]:
    """Run a reading command and return its JSON document; it must succeed."""
    done = gpuledger(*arguments, "--format", "json")
    assert done.returncode == 0, done.stderr + done.stdout
    document = json.loads(done.stdout)
    assert isinstance(document, dict)
    return document


class Fleet:
    """A collector and one agent a node, in a folder of their own."""

    def __init__(self, folder: Path, *, speed: float) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        folder.mkdir()
        (folder / "collector.toml").write_text(f'[server]\nport = {self.port}\n[ledger]\ndirectory = "{self.ledger}"\n')
        (folder / "prices.toml").write_text(PRICES)
        (folder / "owners.toml").write_text(OWNERS)
        self.set_speed(speed)

    def set_speed(self, speed: float) -> None:
        """Say how many seconds of history an agent plays in one second (0: as many as it can) from its next start."""
        for node in NODES:
            (self.folder / f"{node}.toml").write_text(
                f'[agent]\ncluster = "lab"\n[spool]\ndirectory = "{self.folder / "spool" / node}"\n'
                f'[collector]\nurl = "{self.url}"\n[exporter]\nenabled = false\n'
                f'[simulation]\nscenario = "small"\nnode = "{node}"\nfrom = {FROM}\nuntil = {UNTIL}\nspeed = {speed}\n'
            )

    def start(self, name: str) -> None:
        """Start the collector or one node's agent; its log goes on in the same file."""
        kind = "collector" if name == "collector" else "agent"
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-m", "gpuledger.cli", kind, "--config", str(self.folder / f"{name}.toml")],
                stdout=log,
                stderr=log,
                env=_environment(),
            )

    def kill(self, name: str) -> bool:
        """Kill a process without warning; False where it had ended by itself."""
        process = self._running[name]
        running = process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        return running

    def wait(self, name: str, timeout_s: float = 120) -> int:
        """Wait until a process ends by itself."""
        return self._running[name].wait(timeout=timeout_s)

    def stop_all(self) -> None:
        """End what still runs, politely first."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)

    def wait_ready(self, timeout_s: float = 30) -> None:
        """Wait until the collector can commit."""
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, self.log("collector")
                self._running["collector"].poll()
                time.sleep(0.05)

    def log(self, name: str) -> str:
        """Return what a process has said so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def import_books(self) -> None:
        """Give the running collector its prices and owners."""
        for kind in ("price", "owner"):
            done = gpuledger(kind, "import", str(self.folder / f"{kind}s.toml"), "--url", self.url)
            assert done.returncode == 0, done.stderr


def _environment() -> dict[str, str]:
    return {**{k: v for k, v in os.environ.items() if not k.startswith("GPULEDGER_")}, "PYTHONUNBUFFERED": "1"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
