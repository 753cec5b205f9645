"""The processes that read the driver, one after another: starting, killing, counting those that cannot be killed."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

from agent.devices.child_early import EarlyReader, ForkedProcess
from agent.devices.child_frames import Frames, Start
from gpuledger.errors import DeviceError

MOST_ABANDONED: Final = 3  # each keeps its memory and its files: a driver that took three will take the next one too
SOUND_AFTER_S: Final = 60.0  # a process that lived that long begins a new count of failures
_MOST_PAUSE_S: Final = 60.0
_PROGRAM: Final = (sys.executable, "-P", "-m", "agent.devices.child_main")
_LEFT_TO_US: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_DYING_S: Final = 0.5  # how long a killed process may take to end before it is left to itself
_LEAVING_S: Final = 2.0  # how long it may take to release the driver
_STEP_S: Final = 0.005

_log = logging.getLogger(__name__)


class ChildStats(NamedTuple):
    """How it goes with the processes that read the driver."""

    starts: int = 0
    hangs: int = 0  # killed because an answer took too long
    crashes: int = 0  # ended on their own
    upgrades: int = 0  # replaced because the driver was
    abandonments: int = 0  # could not be killed
    abandoned: int = 0  # of these, how many are still there


_Process = subprocess.Popen[bytes] | ForkedProcess


class Reader(NamedTuple):
    """A process that reads the driver. `started_s` is when it was started."""

    process: _Process
    frames: Frames
    started_s: float

    @property
    def pid(self) -> int:
        """Return its pid."""
        return self.process.pid


class Readers:
    """Starts a reader where there is none, at once after a first failure and then after ever longer pauses.

    The first may have been forked `early`; all others are programs of their own, which can be started beside threads
    and hold no file of the agent.
    """

    def __init__(
        self, *, early: EarlyReader | None, kill: Callable[[int, int], None], monotonic: Callable[[], float]
    ) -> None:
        self._early = early
        self._kill = kill
        self._monotonic = monotonic
        self._abandoned: list[_Process] = []
        self._failures = 0  # in a row
        self._not_before_s: float | None = None
        self.current: Reader | None = None
        self.stats = ChildStats()

    def get(self, first: Callable[[], Start]) -> Reader:
        """Return the reader, after starting one where there is none; `first` makes what it is told first.

        Raises DeviceError where none can be started now.
        """
        if self._abandoned:
            self._abandoned = [process for process in self._abandoned if process.poll() is None]
            self._count()
        if self.current is not None:
            return self.current
        self._check_start()
        process, connection = self._early or _start()
        self._early = None
        self.current = reader = Reader(process, Frames(connection), self._monotonic())
        self._count(starts=1)
        reader.frames.send(first())
        return reader

    def died(self) -> str:
        """Take note that the reader ended on its own; return how."""
        reader = self._lose(failed=True)
        self._count(crashes=1)
        code = _wait(reader.process, _DYING_S)
        if code is None:
            self._end(reader.process)
            return "it closed its connection and had to be killed"
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"it died ({name})"

    def hung(self) -> str:
        """Kill the reader, which did not answer in time; return what became of it."""
        reader = self._lose(failed=True)
        self._count(hangs=1)
        return self._end(reader.process)

    def replace(self) -> None:
        """Let the reader go because the driver is not what it has loaded; the next is started when it is needed."""
        self._count(upgrades=1)
        self.close()

    def drop(self) -> None:
        """End the reader, whose answer nobody waits for any more."""
        self._end(self._lose(failed=False).process)

    def close(self) -> None:
        """Let the reader release the driver and end: its connection being closed tells it."""
        if self._early is not None:
            self._early.leave()
            self._early = None
        if self.current is not None:
            reader = self._lose(failed=False)
            if _wait(reader.process, _LEAVING_S) is None:
                self._end(reader.process)

    def _lose(self, *, failed: bool) -> Reader:
        reader, self.current = self.current, None
        assert reader is not None
        reader.frames.close()
        if failed:
            now_s = self._monotonic()
            sound = now_s - reader.started_s >= SOUND_AFTER_S
            self._failures = 1 if sound else self._failures + 1
            pause_s = 0.0 if self._failures == 1 else min(_MOST_PAUSE_S, 2.0 ** min(self._failures - 2, 10))
            self._not_before_s = now_s + pause_s
        return reader

    def _end(self, process: _Process) -> str:
        if process.poll() is None:
            self._kill(process.pid, signal.SIGKILL)
        if _wait(process, _DYING_S) is not None:
            return "it was killed"
        self._abandoned.append(process)
        self._count(abandonments=1)
        _log.error("process %d hangs in the driver and cannot be killed: it is left behind", process.pid)
        return "it cannot be killed and is left behind"

    def _check_start(self) -> None:
        if len(self._abandoned) >= MOST_ABANDONED:
            pids = [process.pid for process in self._abandoned]
            raise DeviceError(
                f"{len(pids)} processes hang in the driver and cannot be killed: {pids}",
                hint="see `dmesg | grep NVRM`: the node may need a reboot; no other is started until one has ended",
            )
        remaining_s = 0.0 if self._not_before_s is None else self._not_before_s - self._monotonic()
        if 0 < remaining_s <= _MOST_PAUSE_S:
            raise DeviceError(
                f"the process that reads the driver failed {self._failures} times: next start in {remaining_s:.0f} s",
                hint="the log says how it failed",
            )

    def _count(self, **more: int) -> None:
        counts = {name: getattr(self.stats, name) + number for name, number in more.items()}
        self.stats = self.stats._replace(**counts, abandoned=len(self._abandoned))


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a reader; return it and the socket on which it answers.

    Signals that end a group are held back until it ignores them, so that none ends it while it starts.
    """
    ours, theirs = socket.socketpair()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_US)
    try:
        with theirs:
            command = [*_PROGRAM, str(os.getpid())]
            return subprocess.Popen(command, stdin=theirs.fileno(), stdout=subprocess.DEVNULL), ours  # noqa: S603
    except OSError as error:
        ours.close()
        message = f"the process that reads the driver cannot be started: {error.strerror}"
        raise DeviceError(message, hint="free memory or processes; [nvml] child = false does without") from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _wait(process: _Process, limit_s: float) -> int | None:
    """Return the exit code once the process has ended, negative where a signal ended it; None: not within `limit_s`."""
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None
