"""Group commit: frames that arrive within a short window share one transaction, and are answered once it is durable.

Two threads work behind the event loop: one reads (decodes and checks) a group while the other stores the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple, Protocol, TypeVar

from collector.access.refusals import NotAllowedError
from collector.config import IngestSettings
from collector.ledger.intake import BatchResult, Intake
from gpuledger.errors import LedgerError, Terminal, Transient, WireError

RETRY_AFTER_S: Final = 2
_A = TypeVar("_A")
_T = TypeVar("_T")
_log: Final = logging.getLogger(__name__)


class OverloadError(LedgerError, Transient):
    """The collector has as much in hand as it may: come back in `retry_after_s` seconds."""

    def __init__(self, message: str, *, hint: str = "", retry_after_s: int = RETRY_AFTER_S) -> None:
        super().__init__(message, hint=hint)
        self.retry_after_s = retry_after_s


class Store(Protocol):
    """What group commit needs of the ledger."""

    def read(self, frame: bytes) -> Intake:
        """Decode and check one frame."""
        ...

    def store(self, intakes: Sequence[Intake]) -> list[BatchResult]:
        """Store all of them in one transaction, or raise."""
        ...


class Waiting(NamedTuple):
    """A frame, and who waits for its answer."""

    frame: bytes
    answer: asyncio.Future[BatchResult]
    sender: str = ""  # the only agent whose batch it may be; empty: any


class GroupCommit:
    """Takes frames from handlers of one event loop and commits them in groups. `start` it inside that loop."""

    def __init__(
        self,
        store: Store,
        settings: IngestSettings,
        observe: Callable[[int, float], None] | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._observe = observe
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._arrived = asyncio.Event()
        self._enough = asyncio.Event()
        self._read: asyncio.Queue[tuple[list[Waiting], list[Intake]]] = asyncio.Queue(maxsize=1)
        self._in_hand_frames = 0
        self._in_hand_bytes = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._accepting = False
        self._reader = ThreadPoolExecutor(1, "ledger-reader")
        self._writer = ThreadPoolExecutor(1, "ledger-writer")
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def queued(self) -> int:
        """Return how many frames wait for their answer."""
        return self._in_hand_frames

    @property
    def working(self) -> bool:
        """Return whether frames are accepted and both stages are alive."""
        return self._accepting and not any(task.done() for task in self._tasks)

    def start(self) -> None:
        """Begin to accept frames."""
        self._accepting = True
        self._tasks = [asyncio.create_task(self._gather()), asyncio.create_task(self._commit())]

    async def stop(self) -> None:
        """Accept no more, commit what is in hand, and end the threads."""
        self._accepting = False
        self._enough.set()
        idle = asyncio.create_task(self._idle.wait())
        await asyncio.wait([idle, *self._tasks], return_when=asyncio.FIRST_COMPLETED)
        idle.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        self._reader.shutdown()
        self._writer.shutdown()

    async def submit(self, frame: bytes, sender: str = "") -> BatchResult:
        """Return what became of `frame` once it is durable. Raises OverloadError where too much is in hand.

        Raises NotAllowedError where it is a batch of another agent than `sender`: nothing of it is kept.
        """
        self._admit(len(frame))
        answer: asyncio.Future[BatchResult] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda _: self._release(len(frame)))
        self._waiting.append(Waiting(frame, answer, sender))
        self._waiting_bytes += len(frame)
        self._arrived.set()
        if self._waiting_bytes >= self._settings.enough_bytes or len(self._waiting) >= self._settings.group_frames:
            self._enough.set()
        return await asyncio.shield(answer)  # a sender that hangs up does not take back what it sent

    def _admit(self, size_bytes: int) -> None:
        if not self._accepting:
            raise OverloadError("the collector is stopping", hint="keep the batch and send it again")
        full = self._in_hand_frames >= self._settings.queue_frames
        if full or self._in_hand_bytes + size_bytes > self._settings.queue_bytes:
            raise OverloadError(
                f"{self._in_hand_frames} batches ({self._in_hand_bytes} bytes) wait for the ledger already",
                hint="keep the batch and send it again; if this lasts, give the collector a faster disk or more memory",
            )
        self._in_hand_frames += 1
        self._in_hand_bytes += size_bytes
        self._idle.clear()

    def _release(self, size_bytes: int) -> None:
        self._in_hand_frames -= 1
        self._in_hand_bytes -= size_bytes
        if not self._in_hand_frames:
            self._idle.set()

    async def _gather(self) -> None:
        while True:
            await self._arrived.wait()
            await self._window()
            await self._read_group(self._next_group())

    async def _read_group(self, group: list[Waiting]) -> None:
        read = await _outcome(self._reader, self._read_all, [waiting.frame for waiting in group])
        if not isinstance(read, BaseException):
            await self._read.put(_honest(group, read))
        elif len(group) > 1:  # a fault of ours: let it hit no more than the frame that brings it out
            for waiting in group:
                await self._read_group([waiting])
        else:
            group[0].answer.set_exception(read)

    async def _window(self) -> None:
        """Let frames gather until the window ends, or there are enough of them to fill a transaction well."""
        if self._accepting and self._settings.window_ms:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._enough.wait(), self._settings.window_ms / 1_000)

    def _read_all(self, frames: list[bytes]) -> list[Intake]:
        return [self._store.read(frame) for frame in frames]

    def _next_group(self) -> list[Waiting]:
        group: list[Waiting] = []
        size_bytes = 0
        while self._waiting and len(group) < self._settings.group_frames and size_bytes < self._settings.group_bytes:
            group.append(self._waiting.popleft())
            size_bytes += len(group[-1].frame)
        self._waiting_bytes -= size_bytes
        if not self._waiting:
            self._arrived.clear()
        if self._waiting_bytes < self._settings.enough_bytes and len(self._waiting) < self._settings.group_frames:
            self._enough.clear()
        return group

    async def _commit(self) -> None:
        while True:
            group, intakes = await self._read.get()
            started_s = time.perf_counter()
            await self._store_group(group, intakes)
            if self._observe:
                self._observe(len(group), time.perf_counter() - started_s)

    async def _store_group(self, group: list[Waiting], intakes: list[Intake]) -> None:
        stored = await _outcome(self._writer, self._store.store, intakes)
        if isinstance(stored, LedgerError) and not isinstance(stored, Terminal):
            for waiting in group:
                waiting.answer.set_exception(stored)
        elif not isinstance(stored, BaseException):
            for waiting, result in zip(group, stored, strict=True):
                waiting.answer.set_result(result)
        elif len(group) > 1:  # one of them is at fault, the others are not
            for waiting, intake in zip(group, intakes, strict=True):
                await self._store_group([waiting], [intake])
        elif intakes[0].error:  # not even quarantine would have it
            group[0].answer.set_exception(stored)
        else:
            _log.error("the ledger cannot hold a batch", exc_info=stored)
            hint = "the batch is kept in quarantine: report it with the collector's log"
            fault = WireError("malformed", f"the ledger cannot hold this batch: {stored}", hint=hint)
            await self._store_group(group, [intakes[0]._replace(error=fault)])


def _honest(group: list[Waiting], read: list[Intake]) -> tuple[list[Waiting], list[Intake]]:
    """Answer those that send in the name of another agent; return the rest."""
    kept: list[tuple[Waiting, Intake]] = []
    for waiting, intake in zip(group, read, strict=True):
        if waiting.sender and intake.batch and intake.batch.agent != waiting.sender:
            waiting.answer.set_exception(
                NotAllowedError(
                    f"this token is that of agent {waiting.sender}, and the batch is not",
                    hint="give each agent a token of its own: delete its token file and let it enrol",
                )
            )
        else:
            kept.append((waiting, intake))
    return [waiting for waiting, _ in kept], [intake for _, intake in kept]


async def _outcome(pool: ThreadPoolExecutor, work: Callable[[_A], _T], argument: _A) -> _T | BaseException:
    """Return what `work` returned or raised in a thread of `pool`."""
    running = asyncio.get_running_loop().run_in_executor(pool, work, argument)
    [outcome] = await asyncio.gather(running, return_exceptions=True)
    return outcome
