"""What the collector's process does beside serving: the log of changes is folded away in quiet times."""

from __future__ import annotations

import asyncio

from collector.app import checkpoint_when_idle
from gpuledger.errors import LedgerError


class FullDisk:
    """A ledger whose first checkpoint fails."""

    def __init__(self) -> None:
        self.commits = 0
        self.tried = 0

    def checkpoint(self) -> None:
        """Fail once, then work."""
        self.tried += 1
        if self.tried == 1:
            raise LedgerError("checkpoint: no space left on device")


def test_a_checkpoint_that_fails_is_tried_again_and_ends_nothing() -> None:
    """A disk that is full for a while costs neither the task nor the shutdown that waits for it; done is done."""
    ledger = FullDisk()

    async def watch() -> bool:
        task = asyncio.create_task(checkpoint_when_idle(ledger, 0))
        await asyncio.sleep(0.01)
        ledger.commits = 1
        while ledger.tried < 2 and not task.done():  # noqa: ASYNC110 - the checkpoint runs in another thread
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        ended = task.done()
        task.cancel()
        return ended

    assert asyncio.run(asyncio.wait_for(watch(), 20)) is False
    assert ledger.tried == 2
