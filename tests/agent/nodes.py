"""Nodes for tests of the agent: readings, processes and pods that are simply given."""

from __future__ import annotations

from collections.abc import Callable

from agent.devices.base import BoardReading, DriverEvent, InstanceReading, NodeReading, ProcessReading
from agent.holders.pods import InMemoryPods, PodName
from agent.holders.processes import InMemoryProcesses, ProcessFacts
from agent.holders.resolve import HolderResolver
from agent.observe import Observer
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import DeviceError
from gpuledger.model import Device

MINUTE = US_PER_MINUTE
T0 = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
POD_UID = "6f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
CONTAINER = "a1b2c3d4" * 8
POD_CGROUP = f"0::/kubepods/burstable/pod{POD_UID}/{CONTAINER}\n"
POD_KEY = f"pod:{POD_UID}/main"
NAMELESS_POD_KEY = f"pod:{POD_UID}/{CONTAINER}"  # while the name of its container is not known
MODEL = "NVIDIA H100 80GB HBM3"


def gpu(number: int = 0, **facts: object) -> Device:
    return Device(key=f"GPU-{number}", kind="gpu", model=MODEL, index=number, **facts)  # type: ignore[arg-type]


def board(number: int = 0, *pids: int, memory: int | None = 100, **facts: object) -> BoardReading:
    processes = tuple(ProcessReading(pid, memory) for pid in pids)
    return BoardReading(gpu(number), processes=processes, **facts)  # type: ignore[arg-type]


def mig_board(number: int = 0, **pids: int) -> BoardReading:
    """Return a board cut into `a` and `b` (a quarter each); the rest is left over."""
    parts = {"a": 210, "b": 210}
    instances = [
        InstanceReading(
            Device(
                key=f"MIG-{number}{name}", kind="mig", model=MODEL, parts=size, board=f"GPU-{number}", mig_profile="2g"
            ),
            50,
            (ProcessReading(pids[name], 40),) if name in pids else (),
        )
        for name, size in parts.items()
    ]
    rest = Device(key=f"GPU-{number}/remainder", kind="remainder", model=MODEL, parts=420, board=f"GPU-{number}")
    return BoardReading(gpu(number), mig=True, energy_mj=10, instances=(*instances, InstanceReading(rest, None, ())))


def node(*boards: BoardReading, events: tuple[DriverEvent, ...] = (), epoch: str = "e") -> NodeReading:
    return NodeReading(epoch, "580", boards, events)


def process(
    pid: int, cgroup: str = POD_CGROUP, start_us: int = T0 - MINUTE, uid: int = 0, **facts: object
) -> ProcessFacts:
    return ProcessFacts(pid, start_us, cgroup, uid, **facts)  # type: ignore[arg-type]


def resolver(*processes: ProcessFacts, pods: dict[str, PodName] | None = None) -> HolderResolver:
    table = InMemoryProcesses({facts.pid: facts for facts in processes})
    return HolderResolver(table, InMemoryPods(pods or {POD_UID: PodName("ns", "trainer", ("main",))}), node="node-a")


def observer(*processes: ProcessFacts) -> Observer:
    return Observer(resolver(*processes), node="node-a", pool="pool-a", idle_power_mw=lambda _: 70_000)


class GivenSource:
    """A driver that answers with `answer()`: a reading, or an error that it raises."""

    def __init__(self, answer: Callable[[], NodeReading | DeviceError]) -> None:
        self.answer = answer
        self.closed = False

    def read(self) -> NodeReading:
        answer = self.answer()
        if isinstance(answer, DeviceError):
            raise answer
        return answer

    def close(self) -> None:
        self.closed = True
