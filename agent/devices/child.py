"""A driver that is read in another process, so that one which hangs, crashes or is upgraded takes nothing with it."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from agent.devices.base import DriverEvent, NodeReading
from agent.devices.child_early import EarlyReader
from agent.devices.child_frames import (
    Answer,
    ConnectionEndedError,
    DeadlineError,
    Failure,
    Frames,
    Opening,
    Read,
    Start,
    Wanted,
    replies,
)
from agent.devices.child_readers import ChildStats, Readers
from agent.devices.marks import BoardMarks
from gpuledger.clock import Clock, WallClock
from gpuledger.errors import DeviceError

TIMEOUT_S: Final = 10.0
OPENING_FACTOR: Final = 6  # opening wakes every GPU: without persistence mode that takes seconds each
_LOOK_S: Final = 0.5  # how often to look whether to stop waiting

_log = logging.getLogger(__name__)


class ChildSource:
    """A DeviceSource over the NVIDIA driver in a process of its own, started when it is first needed.

    An answer that takes longer than `timeout_s` (six times that where the driver has to be opened) ends that process;
    the next one goes on where its last answer was, so that what is missed is time and nothing else. Once `stop` is set
    nothing is waited for. `early` is a process that was forked for it. `kill` and `monotonic` are the
    system's own outside tests.
    """

    def __init__(
        self,
        library: Path | None = None,
        *,
        clock: Clock | None = None,
        wanted: Wanted = Wanted(),  # noqa: B008 - frozen
        timeout_s: float = TIMEOUT_S,
        stop: threading.Event | None = None,
        early: EarlyReader | None = None,
        kill: Callable[[int, int], None] = os.kill,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._library = library
        self._clock = clock or WallClock()
        self._wanted = wanted
        self._timeout_s = timeout_s
        self._stop = stop or threading.Event()
        self._readers = Readers(early=early, kill=kill, monotonic=monotonic)
        self._marks: tuple[BoardMarks, ...] = ()
        self._events: list[DriverEvent] = []  # of this source, in no reading yet
        self._lost = ""  # why the last reader is there no more

    @property
    def stats(self) -> ChildStats:
        """Return how it goes with the processes."""
        return self._readers.stats

    @property
    def pid(self) -> int | None:
        """Return the process that reads the driver now, if there is one."""
        return self._readers.current.pid if self._readers.current else None

    def read(self) -> NodeReading:
        """Return the current reading of every GPU. One failing GPU becomes a `fault`, never an exception.

        Raises DeviceError where the driver as a whole does not answer, or not in time.
        """
        try:
            reply = self._ask()
        except ConnectionEndedError:
            self._note_death()
            reply = self._ask_again()
        if reply.outdated:
            self._readers.replace()
            self._note_loss(reply.outdated)
        if isinstance(reply, Failure):
            raise DeviceError(reply.message, hint=reply.hint)
        self._marks = reply.marks
        events, self._events = self._events, []
        return reply.reading._replace(events=(*events, *reply.reading.events)) if events else reply.reading

    def close(self) -> None:
        """Let the driver be released, and end every process."""
        self._readers.close()

    def _ask(self) -> Answer | Failure:
        """Return the reader's answer.

        Raises DeviceError where there is none in time, ConnectionEndedError where the reader died.
        """
        fresh = self._readers.current is None
        reader = self._readers.get(self._first)
        try:
            reader.frames.send(Read(self._clock.now_us()))
            reply = self._receive(reader.frames, self._timeout_s * (OPENING_FACTOR if fresh else 1))
        except DeadlineError as error:
            became = self._readers.hung()
            message = f"the driver did not answer within {error} s; process {reader.pid} hung in it: {became}"
            self._events.append(DriverEvent("driver_hung", "", 0, message))
            self._note_loss("the one before hung")
            hint = "see `dmesg | grep NVRM`; a driver that takes longer than that needs a larger [nvml] timeout_s"
            raise DeviceError(message, hint=hint) from None
        if self._lost:
            lost, self._lost = self._lost, ""
            message = f"the driver is read by a new process, {reader.pid}: {lost}"
            _log.warning("%s", message)
            self._events.append(DriverEvent("driver_restarted", "", 0, message))
        return reply

    def _receive(self, frames: Frames, limit_s: float) -> Answer | Failure:
        began_s = time.monotonic()
        while True:
            try:
                reply = replies.decode(frames.receive(min(began_s + limit_s, time.monotonic() + _LOOK_S)))
            except DeadlineError:
                if time.monotonic() >= began_s + limit_s:
                    raise DeadlineError(f"{limit_s:g}") from None
                if self._stop.is_set():
                    self._readers.drop()
                    raise DeviceError("the driver had not answered when the agent was told to stop") from None
                continue
            except msgspec.MsgspecError as error:
                raise ConnectionEndedError(f"it said what cannot be understood: {error}") from error
            if not isinstance(reply, Opening):
                return reply
            limit_s, began_s = OPENING_FACTOR * self._timeout_s, time.monotonic()

    def _ask_again(self) -> Answer | Failure:
        try:
            return self._ask()
        except ConnectionEndedError:
            how = self._note_death()
            message = f"the process that reads the driver died twice at one reading: {how}"
            raise DeviceError(message, hint="see `dmesg`; a library that crashes is the driver's") from None

    def _first(self) -> Start:
        return Start(None if self._library is None else str(self._library), self._wanted, self._marks)

    def _note_death(self) -> str:
        how = self._readers.died()
        self._note_loss(f"the one before ended, {how}")
        return how

    def _note_loss(self, why: str) -> None:
        _log.warning("the process that reads the driver is replaced: %s", why)
        self._lost = why
