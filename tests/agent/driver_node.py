"""A node on the C driver library for tests: the real pynvml in real processes, under a clock that the test moves."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from agent.devices.base import NodeReading
from agent.devices.child import ChildSource
from agent.holders.pods import InMemoryPods
from agent.holders.processes import InMemoryProcesses, ProcessFacts
from agent.holders.resolve import HolderResolver
from agent.loop import AgentLoop, LoopSettings
from agent.observe import Observer
from agent.sampling import Sampling
from agent.sealer import Origin, Sealer
from agent.spool import Spool
from gpuledger import wire
from gpuledger.model import Event, UsageRecord
from tests.driver.control import World

T0 = 1_790_000_040_000_000  # a full minute
SECOND = 1_000_000
STEP = 10 * SECOND
LINES = (
    "boards 2", "board * idle 1", "board * busy 60", "board * jitter 9", f"energy_since_us {T0 - SECOND}",
    "process 0 11 1000 30", "process 0 12 2000 20", "process 1 13 3000 40",
)  # fmt: skip


class WorldClock:
    """The clock of the driver's world, for the agent too."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now_us(self) -> int:
        return self._world.clock_us

    def sleep_until(self, at_us: int, stop: threading.Event) -> None:
        if not stop.is_set():
            self._world.clock_us = max(self._world.clock_us, at_us)


class DriverNode:
    """A world, and a source that reads it through a child."""

    def __init__(self, directory: Path, library: Path, *lines: str, timeout_s: float = 20.0, **given: object) -> None:
        self.directory = directory
        self.world = World(directory, *(lines or LINES), clock_us=T0)
        self.clock = WorldClock(self.world)
        self.source = ChildSource(
            library,
            clock=self.clock,
            timeout_s=timeout_s,
            monotonic=lambda: self.world.clock_us / SECOND,
            **given,  # type: ignore[arg-type]
        )

    def read(self, after_s: float = 10) -> NodeReading:
        os.environ.update(self.world.environment)  # for a process that is started; the fixture takes it out again
        self.world.clock_us += int(after_s * SECOND)
        return self.source.read()

    def ledger(self, steps: int, before: Callable[[int], object] = lambda _: None) -> Ledger:
        """Run the agent's loop for that many steps; `before` is called before each."""
        os.environ.update(self.world.environment)
        processes = {pid: ProcessFacts(pid, T0 - SECOND, "0::/\n", pid) for pid in (11, 12, 13)}
        resolver = HolderResolver(InMemoryProcesses(processes), InMemoryPods({}), node="n")
        sampling = Sampling(self.source)
        with Spool(self.directory / f"spool-{time.monotonic_ns()}") as spool:
            loop = AgentLoop(
                sampling,
                Observer(resolver, node="n"),
                Sealer(spool, Origin("a", "n", "c", "test")),
                self.clock,
                LoopSettings(STEP, 3 * STEP),
            )
            for step in range(steps):
                self.world.clock_us = T0 + step * STEP
                before(step)
                loop.sample(self.world.clock_us)
            loop.finish()
            batches = []
            while (record := spool.oldest()) is not None:
                batches.append(wire.decode(record.frame))
                spool.acknowledge(record.sequence)
        return Ledger(batches)


class Ledger:
    """What was delivered."""

    def __init__(self, batches: list[wire.Batch]) -> None:
        self.records: list[UsageRecord] = sorted(
            (record for batch in batches for record in wire.unpack_usage(batch)),
            key=lambda record: (record.device, record.start_us, record.holder or "", record.state),
        )
        self.events: list[Event] = [event for batch in batches for event in batch.events]

    def sum(self, field: str, **only: object) -> int:
        """Return the sum of a field over the records whose other fields are as given."""
        return sum(
            getattr(record, field) or 0
            for record in self.records
            if all(getattr(record, name) == value for name, value in only.items())
        )


def has_ended(pid: int) -> bool:
    """Tell whether there is no such process any more (one that nobody has waited for yet has ended too)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
