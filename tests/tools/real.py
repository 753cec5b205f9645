"""Starting real tools, meeting the processes that they start, and asking our own code who those are."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from agent.holders.ancestry import ancestry
from agent.holders.processes import ProcessFacts, ProcFs, boot_instant_us
from agent.identity.identify import Identifier, Identity
from agent.identity.rulebook import RuleBook

ROOT = Path(__file__).parents[2]
TOOLS = Path(os.environ.get("GPULEDGER_TOOLS") or ROOT / ".venv-tools").absolute()
PYTHON = TOOLS / "bin" / "python"
PATIENCE_S = 90
QUIET = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GIT_AUTHOR_EMAIL": "t@example.org",
    "GIT_AUTHOR_NAME": "t",
    "GIT_COMMITTER_EMAIL": "t@example.org",
    "GIT_COMMITTER_NAME": "t",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ALLOW_FILE_STORE": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "RAY_USAGE_STATS_ENABLED": "0",
    "WANDB_MODE": "offline",
    "WANDB_SILENT": "true",
}
SECRET = "hf_" + "Qz7" * 11  # beside every tool, where real ones have theirs


class Met(NamedTuple):
    """A process that came to the meeting, and stays until the meeting ends."""

    pid: int
    role: str


class Meeting:
    """A place where the processes of a tool say that they run, and wait. No test sleeps, no process runs away."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(directory / "meet"))
        self._server.listen(32)
        self._server.settimeout(1)
        self._guests: list[socket.socket] = []

    def code(self, role: str = "main") -> str:
        """Return Python text that comes here and waits."""
        return textwrap.dedent(
            f"""
            import os as _os, socket as _socket
            _meet = _socket.socket(_socket.AF_UNIX)
            _meet.connect({str(self._directory / "meet")!r})
            _meet.sendall(f"{{_os.getpid()}} {role}".encode())
            _meet.recv(1)
            """
        )

    def wait(self, host: subprocess.Popen[bytes]) -> Met:
        """Return the next process that comes; fails where the tool that should start it ends first."""
        guest = self._next(host)
        self._guests.append(guest)
        pid, _, role = guest.recv(256).decode().partition(" ")
        return Met(int(pid), role)

    def _next(self, host: subprocess.Popen[bytes]) -> socket.socket:
        for _ in range(PATIENCE_S):
            try:
                return self._server.accept()[0]
            except TimeoutError:
                assert host.poll() is None, "the tool ended, and nobody came"
        raise AssertionError(f"nobody came within {PATIENCE_S} s")

    def let_go(self) -> None:
        """Let everybody go on."""
        while self._guests:
            self._guests.pop().close()

    def close(self) -> None:
        """End the meeting."""
        self.let_go()
        self._server.close()


@contextmanager
def meeting(directory: Path) -> Iterator[Meeting]:
    """Hold a meeting in `directory`."""
    with closing(Meeting(directory)) as held:
        yield held


@contextmanager
def running(*command: str | Path, cwd: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a tool in a session of its own until the block ends; then everything that it started in it is stopped."""
    log = cwd / "tool.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [str(word) for word in command],
            cwd=cwd,
            env=tool_environ(cwd, **environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        sys.stdout.write(log.read_text("utf-8", "replace")[-6_000:])
        raise
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a tool's session: with patience, then without."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(10)
            break
        except subprocess.TimeoutExpired:
            continue
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def done(*command: str | Path, cwd: Path, **environ: str) -> str:
    """Run a tool to its end and return what it printed."""
    finished = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=tool_environ(cwd, **environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-3_000:] + finished.stderr[-3_000:]
    return finished.stdout


def tool(name: str) -> Path:
    """Return a command of the tools' environment."""
    return TOOLS / "bin" / name


def tool_environ(home: Path, **more: str) -> dict[str, str]:
    """Return the environment that tools get: quiet, at home in a folder of the test, with a secret beside the rest."""
    path = os.pathsep.join((str(TOOLS / "bin"), os.environ.get("PATH", os.defpath)))
    basics = {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", "VIRTUAL_ENV": str(TOOLS), "HF_TOKEN": SECRET}
    return {**basics, **QUIET, **more}


def identify(pid: int, processes: ProcFs | None = None, rules: RuleBook | None = None) -> Identity:
    """Return what our agent would say of a running process, having looked at nothing but /proc."""
    rules = rules or RuleBook()
    processes = processes or live(rules)
    facts = processes.facts(pid)
    assert facts is not None
    chain = ancestry(facts, processes).chain
    found = Identifier(rules).identify(facts, chain)
    for kept in (facts, *chain, found):
        assert SECRET not in repr(kept)
    return found


def live(rules: RuleBook | None = None) -> ProcFs:
    """Return the processes of this machine."""
    return ProcFs(boot_us=boot_instant_us(), rules=rules)


def facts_of(pid: int) -> ProcessFacts:
    """Return the facts of a running process."""
    facts = live().facts(pid)
    assert facts is not None
    return facts


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until an HTTP server answers, or fail with the process."""
    for _ in range(PATIENCE_S * 5):
        assert process.poll() is None, "the server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            try:
                process.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    raise AssertionError(f"{url} does not answer")


def missing(name: str) -> bool:
    """Return whether a command of this machine is not there."""
    return shutil.which(name) is None
