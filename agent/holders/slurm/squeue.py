"""Asks the controller which jobs run on this node, seldom, in a thread of its own: a check, never the first word."""

from __future__ import annotations

import logging
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from agent.holders.slurm.facts import NO_FACTS, JobFacts
from agent.holders.slurm.squeue_json import QueuedJob, parse_squeue
from gpuledger.errors import HolderError

_TIMEOUT_S: Final = 30.0
_CLOSE_S: Final = 5.0
_MOST_BYTES: Final = 16 * 1024 * 1024  # Slurm 22.05 answers with the jobs of all nodes

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What the controller said; `number` counts its answers, `asked_us` is when it was asked."""

    number: int
    asked_us: int
    jobs: Mapping[str, QueuedJob]


class Squeue:
    """Keeps the controller's last answer. The thread starts with `start`, and asks every `interval_s`."""

    def __init__(
        self,
        node: Callable[[], str],
        now_us: Callable[[], int],
        *,
        interval_s: float,
        command: Sequence[str] = ("squeue",),
    ) -> None:
        """Ask about the node that `node` names."""
        self._node = node
        self._now_us = now_us
        self._interval_s = interval_s
        self._command = tuple(command)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.answer: Answer | None = None
        self.problem = ""  # why the last question was not answered
        self.failures = 0

    def start(self) -> None:
        """Begin to ask, once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="slurm-check", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop asking."""
        self._stop.set()
        process = self._process
        if process is not None:
            process.kill()
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def facts(self, job: str) -> JobFacts:
        """Return what the controller says of a job that runs here."""
        queued = self.answer.jobs.get(job) if self.answer else None
        return queued.facts if queued else NO_FACTS

    def says_runs(self, job: str) -> bool | None:
        """Tell whether the controller says that the job runs here; None where it has not been heard."""
        return None if self.answer is None else job in self.answer.jobs

    def ask(self) -> None:
        """Ask now. What goes wrong is kept in `problem`, and the last answer is forgotten."""
        node, asked_us = self._node(), self._now_us()
        try:
            jobs = parse_squeue(self._output(node), node)
        except HolderError as error:
            self.failures += 1
            if not self.problem:
                _log.warning("the check with Slurm's controller fails: %s", error)
            self.problem = error.message
            self.answer = None
        else:
            self.problem = ""
            self.answer = Answer(self.answer.number + 1 if self.answer else 1, asked_us, jobs)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.ask()
            self._stop.wait(self._interval_s)

    def _output(self, node: str) -> bytes:
        arguments = ("--json", f"--nodelist={node}", "--states=RUNNING,SUSPENDED,STOPPED,COMPLETING,CONFIGURING")
        try:
            with subprocess.Popen(  # noqa: S603 - the command is the operator's, the node's name one argument
                (*self._command, *arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            ) as process:
                self._process = process
                killer = threading.Timer(_TIMEOUT_S, process.kill)
                killer.start()
                try:
                    content = process.stdout.read(_MOST_BYTES + 1) if process.stdout else b""
                    if len(content) > _MOST_BYTES:
                        process.kill()
                finally:
                    self._process = None
                    killer.cancel()
        except OSError as error:
            raise HolderError(
                f"{self._command[0]} cannot be run: {error.strerror}", hint="give its path: [slurm] squeue"
            ) from error
        if len(content) > _MOST_BYTES:
            raise HolderError(
                "the answer of squeue is too long", hint="turn the check off: [slurm] check_interval_s = 0"
            )
        if process.returncode:
            raise HolderError(
                f"squeue ended with status {process.returncode}", hint="does the controller answer on this node?"
            )
        return content
