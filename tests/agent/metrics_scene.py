"""An exporter over a node whose readings are given, for tests of `/metrics`."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from agent.devices.base import BoardHealth, DriverEvent, InstanceReading, NodeReading, SamplerStats
from agent.exporter import Exporter, Vitals
from agent.holders.pods import InMemoryPods, PodName
from agent.holders.processes import InMemoryProcesses
from agent.holders.resolve import HolderResolver
from agent.metrics.own import ProcessStats
from agent.observe import Observer
from agent.sampling import SamplingStats
from agent.shipper import ShipperStats
from agent.spool import SpoolStats
from gpuledger.accounting.meter import Meter
from gpuledger.clock import VirtualClock
from tests.agent.nodes import MINUTE, POD_UID, T0, board, gpu, mig_board, node, process

STEP = 10_000_000


class Child(NamedTuple):
    """What is told of the processes that read the driver."""

    starts: int
    hangs: int
    crashes: int
    upgrades: int
    abandoned: int


class Scene:
    """An exporter over a node whose readings are given."""

    def __init__(self, *, max_series: int = 1_000, dcgm_names: bool = False) -> None:
        self.clock = VirtualClock(T0)
        self.samplers: list[SamplerStats] = []  # beside those of the readings
        vitals = Vitals(
            sampling=lambda: SamplingStats(readings=3, failures=1, duration_s=0.002),
            samplers=lambda: self.samplers,
            spool=lambda: SpoolStats(2, 4_096, T0 - 30_000_000, 1, 0, 0),
            shipper=lambda: ShipperStats(delivered=5, duplicates=1, failures=2),
            lookups_failed=lambda: {"vanished": 1},
            child=lambda: Child(3, 1, 0, 1, 0),
            grants_failed=lambda: {"kubernetes": 2},
            process=lambda: ProcessStats(1.25, 31_457_280),
        )
        self.exporter = Exporter(
            "node-a", "1.2.3", self.clock, vitals, interval_us=STEP, max_series=max_series, dcgm_names=dcgm_names
        )
        processes = [
            process(1, environ={"GPULEDGER_TEAM": "vision", "GPULEDGER_WORKLOAD": "mlflow:run-1"}),
            process(2, "0::/\n", uid=5, user="ada"),
            *(process(pid, "0::/\n", uid=pid, user=f"user-{pid}") for pid in range(1_000, 1_400)),
        ]
        self.processes = {facts.pid: facts for facts in processes}
        pods = InMemoryPods({POD_UID: PodName("ns", "trainer", ("main",))})
        self.observer = Observer(HolderResolver(InMemoryProcesses(self.processes), pods, node="node-a"), node="node-a")
        self.meter = Meter(3 * STEP)

    def show(self, reading: NodeReading, at_us: int) -> None:
        self.clock.advance_to(at_us)
        observation = self.observer.observe(reading, at_us)
        self.exporter.observed(observation, lambda: self.observer.holders)
        self.exporter.metered(self.meter.observe(observation.snapshot))

    def text(self) -> str:
        return self.exporter.text().decode()

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the samples of a metric by their labels; the parser adds `_total` to DCGM's counters."""
        names = (name, f"{name}_total") if name.startswith("DCGM_") else (name,)
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
            if sample.name in names
        }

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the samples of a metric by some of their labels."""
        return {
            tuple(dict(found).get(label, "") for label in labels): value for found, value in self.samples(name).items()
        }

    def series(self) -> int:
        return len([line for line in self.text().splitlines() if not line.startswith("#")])


HEALTH = BoardHealth(**{name: number for number, name in enumerate(sorted(BoardHealth._fields))})._replace(
    throttle_reasons=0x44, slow_at_us=T0, recovery_action=0
)


def everything(at_us: int) -> NodeReading:
    """Return two holders on a board, a free board in all its health, a cut board and a lost one."""
    elapsed_s = (at_us - T0) // 1_000_000
    cut = mig_board(2, a=1)
    device = msgspec.structs.replace(cut.instances[0].device, memory_bytes=10 << 30, index=2)
    used = InstanceReading(device, 6 << 20, cut.instances[0].processes, 400_000, "gpm", 7, 0, sm_active_ppm=125_000)
    whole = gpu(0, memory_bytes=80 << 30, pci_bus_id="00000000:17:00.0")
    return node(
        board(0, 1, 2, energy_mj=elapsed_s * 400_000, power_mw=400_000, utilization_ppm=900_000, minor=4,
              memory_used_bytes=700 << 20, temperature_c=61, process_activity_ppm={1: 600_000, 2: 300_000},
              sm_active_ppm=750_000, memory=300 << 20)._replace(device=whole),
        board(1, energy_mj=elapsed_s * 70_000, power_mw=70_000, utilization_ppm=0, memory_used_bytes=0, temperature_c=30,
              health=HEALTH),
        cut._replace(instances=(used, *cut.instances[1:]), energy_mj=elapsed_s * 100_000),
        board(3, fault="gpu_lost"),
        events=(DriverEvent("xid", "GPU-3", 79, "fell off the bus"),) if at_us == T0 + STEP else (),
    )._replace(samplers=(SamplerStats("ecc", 9, 0, 0.0005),))  # fmt: skip


def run(scene: Scene, reading: NodeReading | None = None, minutes: int = 1) -> None:
    """Show a reading, or everything, for some minutes."""
    for at_us in range(T0, T0 + minutes * MINUTE + 1, STEP):
        scene.show(reading or everything(at_us), at_us)
