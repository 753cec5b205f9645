"""The agent's settings: one TOML file, each key overridable by `GPULEDGER_<SECTION>_<KEY>`."""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from agent.spool import DEFAULT_MAX_BYTES
from gpuledger.accounting.units import US_PER_MINUTE, US_PER_SECOND
from gpuledger.client import DEFAULT_URL
from gpuledger.errors import ConfigError

_Positive = Annotated[int, msgspec.Meta(ge=1)]
_Seconds = Annotated[float, msgspec.Meta(gt=0, le=3_600)]
_Gap = Annotated[int, msgspec.Meta(ge=1, le=86_400_000)]
_Days = Annotated[float, msgspec.Meta(gt=0, le=36_500)]
_Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]


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
    """[collector]: where batches go. The token is read from a file, so that it stands in no settings."""

    url: str = DEFAULT_URL
    token_file: Path | None = None
    timeout_s: _Seconds = 10.0


class ExporterSection(msgspec.Struct, frozen=True):
    """[exporter]: `/metrics`. Port 0 takes any free port and prints it."""

    enabled: bool = True
    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"  # empty would be every address of the machine
    port: _Port = 9470
    max_series: Annotated[int, msgspec.Meta(ge=500, le=1_000_000)] = 20_000  # of a page; beyond, counted as `other`
    dcgm_names: bool = False  # the names of dcgm-exporter, too


class NvmlSection(msgspec.Struct, frozen=True):
    """[nvml]: the driver library to load instead of the system's."""

    library: Path | None = None


class HoldersSection(msgspec.Struct, frozen=True):
    """[holders]: where the host's processes and the kubelet's pod logs are seen."""

    proc: Path = Path("/proc")
    pod_logs: Path = Path("/var/log/pods")


class KubernetesSection(msgspec.Struct, frozen=True):
    """[kubernetes]: the kubelet's grants, and the pods of this node from the API server."""


class SlurmSection(msgspec.Struct, frozen=True):
    """[slurm]: what our prolog and epilog leave on the node, and the commands that check it."""


class ContainersSection(msgspec.Struct, frozen=True):
    """[containers]: names of containers that no scheduler runs."""


class IdentitySection(msgspec.Struct, frozen=True):
    """[identity]: by which rules a holder's workload is told."""


class HealthSection(msgspec.Struct, frozen=True):
    """[health]: which faults are looked for, and where."""


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
    def seal_interval_us(self) -> int:
        """Return how much time a batch covers."""
        return self.spool.seal_interval_s * US_PER_SECOND

    def token(self) -> str | None:
        """Read the bearer token, if a file is named. Raises ConfigError where that file cannot be read or is empty."""
        path = self.collector.token_file
        if path is None:
            return None
        try:
            token = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"[collector] token_file: {path} cannot be read: {error}", hint="make it readable for the agent's user"
            ) from error
        if not token:
            raise ConfigError(f"[collector] token_file: {path} is empty", hint="put the token of this agent into it")
        return token


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
