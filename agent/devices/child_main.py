"""The process that reads the driver for the agent, the only one that loads its library. Started by child_readers."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from agent.devices.child_frames import Answer, ConnectionEndedError, Failure, Frames, Opening, Read, Start, requests
from agent.devices.driver_files import DriverFiles
from agent.devices.nvml import NvmlSource, codes
from gpuledger.errors import DeviceError

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_NAME: Final = b"gpuledger-nvml"  # as `ps` shows it; the kernel keeps fifteen bytes
_IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)  # sent to a whole group; the agent ends its child


def main() -> None:
    """Answer on the standard input, a socket, until the agent is gone; its pid is the first argument."""
    become_child(int(sys.argv[1]))
    serve(socket.socket(fileno=os.dup(0)))


def serve(connection: socket.socket) -> None:
    """Answer on the socket until the agent is gone."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    read_driver(Frames(connection))


def become_child(parent: int) -> None:
    """Leave signals to the agent, and end when it does, even within a call of the driver."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _IGNORED)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, _NAME)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before that could be said
        sys.exit(1)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)  # importing leaves half a megabyte that is not needed again


class ToldClock:
    """A clock that shows what the agent's showed when it asked."""

    def __init__(self) -> None:
        self.at_us = 0

    def now_us(self) -> int:
        """Return the instant that was told."""
        return self.at_us

    def sleep_until(self, at_us: int, stop: object) -> None:
        """Do nothing: nobody sleeps here."""


def read_driver(frames: Frames) -> None:
    """Answer requests for readings until the agent is gone or asks no more."""
    clock = ToldClock()
    try:
        first = requests.decode(frames.receive())
        assert isinstance(first, Start)
        library = Path(first.library) if first.library else None
        source = NvmlSource(
            library,
            clock=clock,
            **first.wanted._asdict(),
            marks=first.marks,
            opening=lambda: frames.send(Opening()),
        )
        files = DriverFiles(library)
        while True:
            request = requests.decode(frames.receive())
            assert isinstance(request, Read)
            clock.at_us = request.now_us
            frames.send(_answer(source, files))
    except ConnectionEndedError:
        return


def _answer(source: NvmlSource, files: DriverFiles) -> Answer | Failure:
    try:
        reading = source.read()
    except DeviceError as error:
        code = getattr(error.__cause__, "value", 0)
        mismatch = code == codes.LIB_RM_VERSION_MISMATCH
        outdated = "the driver's version changed under the loaded library" if mismatch else files.changed()
        return Failure(error.message, error.hint, code, outdated)
    return Answer(reading, source.marks, files.changed())


if __name__ == "__main__":
    main()
