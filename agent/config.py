"""The agent's settings: one TOML file, each key overridable by `GPULEDGER_<SECTION>_<KEY>`."""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec

from agent.health.conditions import UNAVAILABLE_ON
from agent.holders.kubernetes import defaults
from agent.spool import DEFAULT_MAX_BYTES
from gpuledger.accounting.units import US_PER_MINUTE, US_PER_SECOND
from gpuledger.client import DEFAULT_URL
from gpuledger.errors import ConfigError
from gpuledger.tokens import read_token

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3_600)]
_Gap = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
_Days = Annotated[float, msgspec.Meta(gt=0, le=36_500)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]

LEAST_CHECK_INTERVAL_S: Final = 60  # a controller is shared by thousands of nodes


class AgentSection(msgspec.Struct, frozen=True):
    """[agent]: who this agent is. `name` and `node` default to the machine's host name."""

    name: str = ""
    node: str = ""
    cluster: str = "default"
    pool: str = ""
    shutdown_s: _Seconds = 5.0  # how long to go on delivering when told to stop


class SamplingSection(msgspec.Struct, frozen=True):
    """[sampling]: how often devices are read. Samples lie on a grid that meets every full minute."""

    interval_ms: Annotated[int, msgspec.Meta(ge=1, le=3_600_000)] = 10_000
    max_gap_ms: _Gap | None = None  # a longer time without a sample is unobserved; default: three intervals


class SpoolSection(msgspec.Struct, frozen=True):
    """[spool]: where batches wait, how much may wait, and when a batch is sealed."""

    directory: Path = Path("/var/lib/gpuledger/spool")
    max_bytes: _Positive = DEFAULT_MAX_BYTES
    seal_interval_s: Annotated[int, msgspec.Meta(ge=1, le=2_678_400)] = 60  # up to a month, for simulated history
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=200_000)] = 20_000


class CollectorSection(msgspec.Struct, frozen=True):
    """[collector]: where batches go. Tokens are read from files, so that they stand in no settings.

    With a join token the agent makes a token of its own, has it registered, and keeps it beside the spool.
    """

    url: str = DEFAULT_URL
    token_file: Path | None = None
    join_token_file: Path | None = None  # default: that of a collector that the same user runs on this machine
    ca_file: Path | None = None  # whose certificates are trusted; by default as the system has it
    certificate_file: Path | None = None  # of this agent, for collectors that ask for one
    key_file: Path | None = None
    timeout_s: _Seconds = 10.0


class ExporterSection(msgspec.Struct, frozen=True):
    """[exporter]: `/metrics`. Port 0 takes any free port and prints it."""

    enabled: bool = True
    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"  # empty would be every address of the machine
    port: _Port = 9470
    max_series: Annotated[int, msgspec.Meta(ge=500, le=1_000_000)] = 20_000  # of a page; beyond, counted as `other`
    dcgm_names: bool = False  # the names of dcgm-exporter, too


class NvmlSection(msgspec.Struct, frozen=True):
    """[nvml]: the driver library to load instead of the system's, and the process of its own that reads the driver."""

    library: Path | None = None
    child: bool = True  # false: read the driver in the agent's own process, which a driver that hangs takes with it
    timeout_s: _Seconds = (
        10.0  # an answer that takes longer ends that process; opening the driver may take six times that
    )


class HoldersSection(msgspec.Struct, frozen=True):
    """[holders]: where the host's processes and the kubelet's pod and container logs are seen."""

    proc: Path = Path("/proc")
    pod_logs: Path = Path("/var/log/pods")
    container_logs: Path = Path("/var/log/containers")


class KubernetesSection(msgspec.Struct, frozen=True):
    """[kubernetes]: the kubelet's grants, and the pods of this node from the API server."""

    enabled: bool = True  # where there is no kubelet's socket nothing is asked anyway
    socket: Path = defaults.SOCKET
    timeout_s: _Seconds = 1.0
    stands_s: _Seconds = 1800.0  # how long the kubelet's last answer stands: one that is down admits nobody
    max_message_bytes: _Positive = defaults.MAX_MESSAGE_BYTES
    resources: tuple[str, ...] = defaults.RESOURCES  # patterns
    dra_drivers: tuple[str, ...] = defaults.DRIVERS
    checkpoint: Path = defaults.CHECKPOINT
    cgroups: Path = defaults.CGROUPS  # the host's, for which pods live
    api: bool = True
    api_url: str = ""  # default: the one that the pod's environment names
    api_timeout_s: _Seconds = 10.0
    token_file: Path | None = None  # default: the service account's
    ca_file: Path | None = None
    node: str = ""  # this node's name in Kubernetes, where it is not the agent's
    requests_per_second: Annotated[float, msgspec.Meta(gt=0, le=100)] = 5.0  # for owners and ResourceSlices
    labels: tuple[str, ...] = defaults.LABELS  # patterns of labels and annotations that go with a holder


class SlurmSection(msgspec.Struct, frozen=True):
    """[slurm]: what our prolog and epilog leave on the node, and the check with the controller.

    `enabled` is by default whether Slurm is installed here; `gpu_order` states the devices in Slurm's order (UUIDs or
    device files) where its configuration does not tell it.
    """

    enabled: bool | None = None
    holders: Path = Path("/run/gpuledger/holders")
    gres_conf: Path | None = None  # looked for where Slurm has it; slurm.conf lies beside it
    node_name: str = ""  # as Slurm names this node: the short host name
    gpu_order: tuple[str, ...] = ()
    cgroups: Path = Path("/sys/fs/cgroup")
    stale_after_s: Annotated[int, msgspec.Meta(ge=1, le=604_800)] = 900  # a job without epilog and without process
    keep_ended_s: Annotated[int, msgspec.Meta(ge=0, le=604_800)] = 120  # longer than a batch takes to be sealed
    check_interval_s: Annotated[int, msgspec.Meta(ge=0, le=86_400)] = 0  # 0: the controller is not asked
    squeue: str = "squeue"


class ContainersSection(msgspec.Struct, frozen=True):
    """[containers]: who tells the names of containers. A socket or a folder that is not there is not asked."""

    enabled: bool = True
    docker: Path = Path("/run/docker.sock")
    podman: Path = Path("/run/podman/podman.sock")
    containerd: Path = Path("/run/containerd/io.containerd.runtime.v2.task")
    crio: Path = Path("/run/containers/storage/overlay-containers")


class IdentitySection(msgspec.Struct, frozen=True):
    """[identity]: by which rules a holder's workload is told. Files of your own go over the built-in table, live."""

    rules: tuple[Path, ...] = ()


class HealthSection(msgspec.Struct, frozen=True):
    """[health]: which faults are looked for, how often, and which make a device unavailable."""

    interval_s: _Seconds = 60.0  # of ECC, remapped rows, links and whatever else changes slowly
    kernel_log: str = "/dev/kmsg"  # where XIDs stand, too; empty: it is not read
    driver_proc: Path = Path("/proc/driver/nvidia")  # what the kernel module says of itself
    accounting: bool = True  # read the driver's record of ended processes, where accounting mode is on
    gpm: bool = True  # sample performance counters, where the GPU has them: the only activity of MIG instances
    unavailable_on: tuple[str, ...] = UNAVAILABLE_ON  # recovery actions and row_remap_failure

    def __post_init__(self) -> None:
        """Raise ConfigError on a condition that nobody knows."""
        for name in self.unavailable_on:
            if name not in UNAVAILABLE_ON:
                known = ", ".join(UNAVAILABLE_ON)
                raise ConfigError(
                    f'[health] unavailable_on: no condition is called "{name}"', hint=f"choose of {known}"
                )


class SimulationSection(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """[simulation]: with a scenario, a node of it is sampled instead of this machine.

    History runs from `from` to `until` as fast as it can (or `speed` times as fast as time passes); then the agent
    ends, or with `live` goes on with the wall clock.
    """

    scenario: str = ""
    node: str = ""
    nodes: _Positive | None = None  # how many nodes of the scenario there are: all
    seed: int | None = None
    from_: datetime | None = None
    days: _Days | None = None  # how long the scenario's plan is; its own length by default
    until: datetime | None = None
    speed: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    live: bool = False


class AgentSettings(msgspec.Struct, frozen=True):
    """Everything that the agent can be told."""

    agent: AgentSection = AgentSection()
    sampling: SamplingSection = SamplingSection()
    spool: SpoolSection = SpoolSection()
    collector: CollectorSection = CollectorSection()
    exporter: ExporterSection = ExporterSection()
    nvml: NvmlSection = NvmlSection()
    holders: HoldersSection = HoldersSection()
    kubernetes: KubernetesSection = KubernetesSection()
    slurm: SlurmSection = SlurmSection()
    containers: ContainersSection = ContainersSection()
    identity: IdentitySection = IdentitySection()
    health: HealthSection = HealthSection()
    simulation: SimulationSection = SimulationSection()

    def __post_init__(self) -> None:
        """Raise ConfigError on settings that contradict one another."""
        _check_interval(self)
        _check_simulation(self.simulation)
        _check_slurm(self.slurm)

    @property
    def node(self) -> str:
        """Return the node's name."""
        return self.agent.node or self.simulation.node or socket.gethostname()

    @property
    def name(self) -> str:
        """Return the agent's name: what its batches are identified by."""
        return self.agent.name or self.node

    @property
    def interval_us(self) -> int:
        """Return the time between two samples."""
        return self.sampling.interval_ms * 1_000

    @property
    def max_gap_us(self) -> int:
        """Return how long a time without a sample may be before it is unobserved."""
        given_ms = self.sampling.max_gap_ms
        return 3 * self.interval_us if given_ms is None else given_ms * 1_000

    @property
    def slow_every_us(self) -> int:
        """Return the pace of the slow families of telemetry."""
        return round(self.health.interval_s * US_PER_SECOND)

    @property
    def seal_interval_us(self) -> int:
        """Return how much time a batch covers."""
        return self.spool.seal_interval_s * US_PER_SECOND

    def token(self) -> str | None:
        """Read the bearer token, if a file is named. Raises ConfigError where that file cannot be read or is empty."""
        return read_token(self.collector.token_file) if self.collector.token_file else None


def _check_interval(config: AgentSettings) -> None:
    interval_us = config.interval_us
    if US_PER_MINUTE % interval_us and interval_us % US_PER_MINUTE:
        raise ConfigError(
            f"[sampling] interval_ms: {config.sampling.interval_ms} ms does not meet every full minute",
            hint="choose a divisor of 60000 (1000, 5000, 10000, 30000) or a multiple of it",
        )
    if config.max_gap_us < interval_us:
        raise ConfigError(
            f"[sampling] max_gap_ms: {config.sampling.max_gap_ms} ms is shorter than the interval between two samples",
            hint="leave it out: it is three intervals then",
        )


def _check_slurm(slurm: SlurmSection) -> None:
    if 0 < slurm.check_interval_s < LEAST_CHECK_INTERVAL_S:
        raise ConfigError(
            f"[slurm] check_interval_s: {slurm.check_interval_s} s is too often for a controller of many nodes",
            hint=f"give at least {LEAST_CHECK_INTERVAL_S}, or 0 for no check",
        )


def _check_simulation(simulation: SimulationSection) -> None:
    if not simulation.scenario:
        return
    if not simulation.node:
        raise ConfigError("[simulation] node is missing", hint="name one node of the scenario for this agent to be")
    for name, instant in (("from", simulation.from_), ("until", simulation.until)):
        if instant is not None and instant.tzinfo is None:
            raise ConfigError(
                f"[simulation] {name}: {instant} has no time zone", hint="write it like 2026-01-01T00:00:00Z"
            )
    if simulation.from_ is None:
        raise ConfigError("[simulation] from is missing", hint="say when history begins: from = 2026-01-01T00:00:00Z")
    if simulation.until is not None and simulation.until <= simulation.from_:
        raise ConfigError("[simulation] until is not after from", hint="swap them, or leave until out")
