"""A reader of the driver that is forked when the agent starts, before it has threads, files or much in its memory.

What both need is then in memory once. Later readers are programs of their own: a process with threads must not fork.
"""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import time
import traceback
from typing import Final, NamedTuple

_STEP_S: Final = 0.005
_LEAVING_S: Final = 10.0


class ForkedProcess:
    """A forked process, with the few methods of `subprocess.Popen` that its owner needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        """Return its exit code once it has ended, negative where a signal ended it."""
        if self._code is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if ended else None
        return self._code

    def wait(self, timeout: float) -> int:
        """Return its exit code. Raises subprocess.TimeoutExpired where it lives longer than `timeout` seconds."""
        deadline_s = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() >= deadline_s:
                raise subprocess.TimeoutExpired("a forked process", timeout)
            time.sleep(_STEP_S)
        return code


class EarlyReader(NamedTuple):
    """A process that waits to be told what to read, and the socket on which it answers."""

    process: ForkedProcess
    connection: socket.socket

    def leave(self) -> None:
        """Let it end: nobody needs it."""
        self.connection.close()
        self.process.wait(_LEAVING_S)


def fork_reader() -> EarlyReader:
    """Fork a reader. The caller has one thread, and has opened nothing."""
    from agent.devices import child_main  # noqa: PLC0415 - not in the memory of an agent that does without this

    ours, theirs = socket.socketpair()
    parent = os.getpid()
    gc.collect()
    gc.freeze()  # collecting would write to the pages that both have
    pid = os.fork()
    if pid:
        theirs.close()
        return EarlyReader(ForkedProcess(pid), ours)
    code = 1
    try:
        ours.close()
        _redirect_standard_files()
        child_main.become_child(parent)
        child_main.serve(theirs)
        code = 0
    except BaseException:  # noqa: BLE001 - nothing may pass on into the agent's own frames, which lie below these
        traceback.print_exc()
    finally:
        os._exit(code)


def _redirect_standard_files() -> None:
    """Let go of the agent's input and output; errors are said where its own are."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    os.close(nothing)
