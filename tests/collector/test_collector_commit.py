"""Group commit: frames share transactions, answers follow the commit, and overload is said instead of suffered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from collector.commit import GroupCommit, OverloadError
from collector.config import IngestSettings
from collector.ledger.database import UnfitError
from collector.ledger.intake import BatchResult, Intake
from gpuledger.errors import LedgerError, WireError

QUICK = IngestSettings(window_ms=5)


class FakeStore:
    """A ledger that remembers which frames shared a transaction, can be held up, and can refuse."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.open = threading.Event()
        self.open.set()
        self.busy = False
        self.fault: Callable[[list[Intake]], Exception | None] = lambda _: None

    def read(self, frame: bytes) -> Intake:
        return Intake(frame, None, None, None)

    def store(self, intakes: Sequence[Intake]) -> list[BatchResult]:
        self.busy = True
        assert self.open.wait(20)
        error = self.fault(list(intakes))
        if error:
            raise error
        self.groups.append([each.frame for each in intakes])
        return [
            BatchResult(each.frame.decode(), "", 0, 1, code=each.error.code if each.error else "") for each in intakes
        ]


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, 30)

    asyncio.run(bounded())


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - what is waited for happens in other threads too
        await asyncio.sleep(0.001)


def test_frames_that_wait_together_share_a_transaction() -> None:
    """While one group is stored the next gathers; each sender gets the answer to its own frame."""

    async def work() -> None:
        store = FakeStore()
        store.open.clear()
        commit = GroupCommit(store, QUICK)
        commit.start()
        first = asyncio.create_task(commit.submit(b"first"))
        await until(lambda: store.busy)
        rest = [asyncio.create_task(commit.submit(str(n).encode())) for n in range(50)]
        await until(lambda: commit.queued >= 51)
        store.open.set()
        assert (await first).agent == "first"
        assert [result.agent for result in await asyncio.gather(*rest)] == [str(n) for n in range(50)]
        assert store.groups[0] == [b"first"]
        assert sum(map(len, store.groups)) == 51
        assert len(store.groups) <= 4, "the fifty shared transactions"
        await commit.stop()

    run(work())


def test_a_group_holds_no_more_than_its_limits() -> None:
    """Neither more frames nor (by one frame) more bytes than configured share a transaction."""

    async def work() -> None:
        store = FakeStore()
        commit = GroupCommit(store, IngestSettings(window_ms=0, group_frames=3))
        commit.start()
        await asyncio.gather(*(commit.submit(b"x") for _ in range(10)))
        assert max(map(len, store.groups)) <= 3
        await commit.stop()

    run(work())


def test_overload_is_refused_with_a_time_to_come_back() -> None:
    """Beyond the queue's limit a frame is refused at once; those in hand are still answered."""

    async def work() -> None:
        store = FakeStore()
        store.open.clear()
        commit = GroupCommit(store, IngestSettings(window_ms=0, queue_frames=2))
        commit.start()
        held = [asyncio.create_task(commit.submit(b"x")) for _ in range(2)]
        await until(lambda: commit.queued >= 2)
        with pytest.raises(OverloadError, match="wait for the ledger") as caught:
            await commit.submit(b"y")
        assert caught.value.retry_after_s > 0
        store.open.set()
        assert len(await asyncio.gather(*held)) == 2
        assert (await commit.submit(b"y")).agent == "y", "room again"
        await commit.stop()

    run(work())


def test_a_failing_ledger_fails_everyone_and_recovers() -> None:
    """Where the database fails, every sender of the group hears it; the next group is stored."""

    async def work() -> None:
        store = FakeStore()
        store.fault = lambda _: LedgerError("the disk is full")
        commit = GroupCommit(store, QUICK)
        commit.start()
        answers = await asyncio.gather(*(commit.submit(b"x") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(answer, LedgerError) for answer in answers)
        store.fault = lambda _: None
        assert (await commit.submit(b"x")).taken
        assert commit.queued == 0
        await commit.stop()

    run(work())


@pytest.mark.parametrize("error", [UnfitError("out of range"), OverflowError("too large")])
def test_one_frame_that_cannot_be_stored_does_not_stop_the_others(error: Exception) -> None:
    """A frame that the database cannot hold is refused as malformed; its neighbours are stored."""

    async def work() -> None:
        store = FakeStore()
        store.fault = lambda intakes: error if any(i.frame == b"bad" and not i.error for i in intakes) else None
        commit = GroupCommit(store, QUICK)
        commit.start()
        answers = await asyncio.gather(*(commit.submit(frame) for frame in (b"a", b"bad", b"b")))
        assert [answer.code for answer in answers] == ["", "malformed", ""]
        await commit.stop()

    run(work())


def test_a_frame_that_cannot_even_be_read_harms_only_its_sender() -> None:
    """A fault in reading reaches the one who sent the frame; its neighbours are stored."""

    class Fragile(FakeStore):
        def read(self, frame: bytes) -> Intake:
            if frame == b"bad":
                raise RuntimeError("unforeseen")
            return super().read(frame)

    async def work() -> None:
        commit = GroupCommit(Fragile(), QUICK)
        commit.start()
        answers = await asyncio.gather(*(commit.submit(f) for f in (b"a", b"bad", b"b")), return_exceptions=True)
        assert [isinstance(answer, BatchResult) for answer in answers] == [True, False, True]
        assert commit.working
        await commit.stop()

    run(work())


def test_enough_bytes_end_the_window_early() -> None:
    """A long window does not hold up frames that fill a transaction: they are stored while the window would run."""

    async def work() -> None:
        store = FakeStore()
        commit = GroupCommit(store, IngestSettings(window_ms=5_000, enough_bytes=10))
        commit.start()
        before_s = asyncio.get_running_loop().time()
        await asyncio.gather(*(commit.submit(b"12345") for _ in range(2)))
        assert asyncio.get_running_loop().time() - before_s < 4
        await commit.stop()

    run(work())


def test_stopping_commits_what_is_in_hand() -> None:
    """A stop refuses what is new, and answers everything that was taken in before."""

    async def work() -> None:
        store = FakeStore()
        store.open.clear()
        commit = GroupCommit(store, QUICK)
        commit.start()
        held = [asyncio.create_task(commit.submit(b"x")) for _ in range(5)]
        await until(lambda: commit.queued >= 5)
        stopping = asyncio.create_task(commit.stop())
        await asyncio.sleep(0)
        with pytest.raises(OverloadError, match="stopping"):
            await commit.submit(b"late")
        store.open.set()
        await stopping
        assert all(result.taken for result in await asyncio.gather(*held))
        assert not commit.working

    run(work())


def test_a_sender_that_hangs_up_is_still_stored() -> None:
    """A cancelled request leaves its frame to be committed: the sender will send it again and hear of a duplicate."""

    async def work() -> None:
        store = FakeStore()
        store.open.clear()
        commit = GroupCommit(store, QUICK)
        commit.start()
        gone = asyncio.create_task(commit.submit(b"gone"))
        await until(lambda: commit.queued >= 1)
        gone.cancel()
        store.open.set()
        await commit.stop()
        assert store.groups == [[b"gone"]]

    run(work())


def test_an_error_keeps_its_type() -> None:
    """Overload is a ledger error that may pass, so that handlers answer 503 and agents keep the batch."""
    assert issubclass(OverloadError, LedgerError)
    assert not issubclass(OverloadError, WireError)
