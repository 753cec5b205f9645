"""Processes that a command starts and is answerable for: each has a log, and none outlives the command."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from gpuledger.errors import GpuLedgerError

STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.05
_LOG_TAIL_BYTES: Final = 2_000


class Service:
    """One child process, its output in a log file."""

    def __init__(self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )

    @property
    def running(self) -> bool:
        """Return whether the process is still there."""
        return self._process.poll() is None

    def check(self) -> None:
        """Raise GpuLedgerError, with the end of the log, where the process ended with an error."""
        code = self._process.poll()
        if code:
            raise GpuLedgerError(f"{self.name} ended with code {code}: {self._tail()}", hint=f"its log is {self.log}")

    def wait_ready(self, port: int, path: str, timeout_s: float) -> None:
        """Return once the process answers 200 at `path`; raises GpuLedgerError where it ends or takes too long."""
        deadline = time.monotonic() + timeout_s
        while not answers(port, path):
            self.check()
            if not self.running or time.monotonic() > deadline:
                raise GpuLedgerError(f"{self.name} does not answer: {self._tail()}", hint=f"its log is {self.log}")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Ask the process to end, and wait; kill it where it does not."""
        if not self.running:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _tail(self) -> str:
        text = self.log.read_bytes()[-_LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"


def gpuledger_command(*arguments: str) -> list[str]:
    """Return the command line of this program in this environment."""
    return [sys.executable, "-m", "gpuledger.cli", *arguments]


def answers(port: int, path: str) -> bool:
    """Return whether something on this machine answers 200 there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def refuse_busy(host: str, port: int) -> None:
    """Raise GpuLedgerError where nobody can listen on `host` and `port`: it is taken, or no address of this machine."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise GpuLedgerError(
            f"cannot listen on {host}:{port}: {error.strerror}", hint="end what listens there, or give another --port"
        ) from error


def free_port(preferred: int) -> int:
    """Return `preferred` where it is free on this machine, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise GpuLedgerError("no free port on this machine", hint="end a process that listens on one")
