"""The agent process: puts the parts together, runs them until told to stop, and leaves nothing unsealed."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from agent.config import AgentSettings
from agent.devices.base import DeviceSource
from agent.devices.child_early import EarlyReader
from agent.devices.child_frames import Wanted
from agent.devices.idle_power import IdlePower
from agent.enrolment import EnrolledCollector, join_token
from agent.exporter import Exporter, MetricsServer, Vitals
from agent.health.driver_state import DriverState
from agent.health.source import HealthSource, kernel_log_at
from agent.holders.containers import Containers
from agent.holders.grants import GrantSource
from agent.holders.pods import PodLogDirectories, PodNames
from agent.holders.processes import ProcessTable, ProcFs, boot_instant_us
from agent.holders.resolve import HolderResolver
from agent.holders.sources import grant_sources
from agent.holders.standing import Standing
from agent.identity.facts import PodMetadata
from agent.identity.identify import Identifier
from agent.identity.rulebook import RuleBook
from agent.loop import AgentLoop, LoopSettings
from agent.metrics.own import ChildFigures
from agent.observe import Observer
from agent.sampling import Sampling
from agent.sealer import AgentCheckpoint, Origin, Sealer, read_checkpoint
from agent.shipper import Shipper
from agent.spool import Spool
from gpuledger import __version__
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import Clock, WallClock
from gpuledger.model import Event

DONE: Final = 0
FAILED: Final = 1
_HOST_PROC: Final = Path("/proc")

_log = logging.getLogger(__name__)


class NodeInputs(NamedTuple):
    """Everything that the agent reads of its node."""

    source: DeviceSource
    processes: ProcessTable
    pods: PodNames
    pool: str
    grants: tuple[GrantSource, ...] = ()  # strongest first
    identifier: Identifier | None = None
    containers: Containers | None = None
    metadata: Callable[[str], PodMetadata | None] | None = None  # of a pod, from the API server
    child: Callable[[], ChildFigures | None] = lambda: None  # of the process that reads the driver, where there is one


def run(settings: AgentSettings, *, stop: threading.Event | None = None, reader: EarlyReader | None = None) -> int:
    """Run the agent until `stop` (or SIGTERM, SIGINT), or until its simulated history is delivered.

    `reader` is a process that was forked to read the driver.
    Returns 0, or 1 where something could not be sealed or was refused by the collector for good.
    """
    _log_to_stderr()
    stop = stop or _stop_on_signals()
    with ExitStack() as closing:
        spool = closing.enter_context(Spool(settings.spool.directory, max_bytes=settings.spool.max_bytes))
        collector = EnrolledCollector(settings, partial(join_token, settings))
        closing.callback(collector.close)
        shipper = Shipper(spool, collector)
        if settings.simulation.scenario:
            sealed = _replay(settings, spool, shipper, stop, closing)
        else:
            inputs = _this_node(settings, *_driver(settings, stop, reader))
            agent = Agent(settings, inputs, WallClock(), spool=spool, shipper=shipper, closing=closing)
            shipper.start()
            agent.run(stop)
            sealed = agent.finish()
        shipper.finish(settings.agent.shutdown_s)
        return DONE if sealed and not shipper.stats.refused else FAILED


def check(settings: AgentSettings) -> None:
    """Raise ConfigError where a file that the settings name cannot be used."""
    RuleBook(settings.identity.rules)


class Agent:
    """The parts of a running agent. The loop is made anew for each run; a run goes on from the spool's checkpoint."""

    def __init__(
        self,
        settings: AgentSettings,
        inputs: NodeInputs,
        clock: Clock,
        *,
        spool: Spool,
        shipper: Shipper,
        closing: ExitStack,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._spool = spool
        self._child = inputs.child
        self._sampling = Sampling(inputs.source)
        closing.callback(self._sampling.close)
        self._resolver = HolderResolver(
            inputs.processes,
            inputs.pods,
            node=settings.node,
            identifier=inputs.identifier,
            containers=inputs.containers,
            metadata=inputs.metadata,
        )
        self._standing = Standing(inputs.grants)
        closing.callback(self._standing.close)
        checkpoint = read_checkpoint(spool)
        self._observer = Observer(
            self._resolver,
            node=settings.node,
            pool=settings.agent.pool or inputs.pool,
            idle_power_mw=IdlePower().mw,
            known=checkpoint.devices if checkpoint else (),
            standing=self._standing,
        )
        self._shipper = shipper
        self._exporter = self._start_exporter(closing) if settings.exporter.enabled else None
        self._loop = self._new_loop(checkpoint)
        self._say_hello()

    def run(self, stop: threading.Event, *, from_us: int | None = None, until_us: int | None = None) -> None:
        """Sample until `until_us` or until told to stop."""
        self._loop.run(stop, from_us=from_us, until_us=until_us)

    def finish(self) -> bool:
        """Seal everything up to the last sample; False where the spool does not take it."""
        finished = self._loop.finish()
        if not finished:
            _log.error("the last samples could not be sealed: their time will be unobserved")
        return finished

    def restart(self) -> None:
        """Go on as a new process would: from the checkpoint in the spool."""
        self._loop = self._new_loop(read_checkpoint(self._spool))

    def _new_loop(self, checkpoint: AgentCheckpoint | None) -> AgentLoop:
        settings = self._settings
        sealer = Sealer(
            self._spool,
            Origin(settings.name, settings.node, settings.agent.cluster, f"gpuledger {__version__}"),
            seal_interval_us=settings.seal_interval_us,
            max_rows=settings.spool.max_rows,
            known=checkpoint.devices if checkpoint else (),
            notify=self._shipper.notify,
        )
        return AgentLoop(
            self._sampling,
            self._observer,
            sealer,
            self._clock,
            LoopSettings(settings.interval_us, settings.max_gap_us),
            checkpoint=checkpoint.meter if checkpoint else None,
            watcher=self._exporter,
        )

    def _start_exporter(self, closing: ExitStack) -> Exporter:
        settings = self._settings.exporter
        vitals = Vitals(
            sampling=lambda: self._sampling.stats,
            spool=self._spool.stats,
            shipper=lambda: self._shipper.stats,
            blocked=lambda: self._loop.blocked,
            lookups_failed=self._resolver.failures,
            grants_failed=lambda: self._standing.failures,
            child=self._child,
        )
        exporter = Exporter(
            self._settings.node,
            __version__,
            self._clock,
            vitals,
            interval_us=self._settings.interval_us,
            max_series=settings.max_series,
            dcgm_names=settings.dcgm_names,
        )
        server = MetricsServer(exporter, settings.host, settings.port)
        closing.callback(server.close)
        _log.info("metrics at http://%s:%d/metrics", settings.host, server.port)
        return exporter

    def _say_hello(self) -> None:
        now_us = self._clock.now_us()
        self._loop.note(Event(now_us, "agent_started", f"agent {self._settings.name} {__version__} started"))
        stats = self._spool.stats()
        if stats.torn or stats.corrupt:
            message = f"damage in the spool: {stats.corrupt} records set aside, {stats.torn} unfinished writes cut off"
            _log.warning("%s (see its .bad files)", message)
            self._loop.note(Event(now_us, "spool_damaged", message, "error" if stats.corrupt else "warning"))
        _log.info(
            "agent %s samples node %s every %g s, %d batches wait in the spool",
            self._settings.name,
            self._settings.node,
            self._settings.interval_us / 1e6,
            stats.batches,
        )


def _replay(settings: AgentSettings, spool: Spool, shipper: Shipper, stop: threading.Event, closing: ExitStack) -> bool:
    """Run a simulated node's history; return whether all of it was sealed."""
    from agent import replay  # noqa: PLC0415 - a production agent does not load the simulation
    from agent.devices.simulated.driver import simulated_source  # noqa: PLC0415

    node = replay.read_node(settings.simulation)
    checkpoint = read_checkpoint(spool)
    runs = list(replay.runs(node, settings.simulation, checkpoint.meter.at_us if checkpoint else None))
    clock = replay.clock_for(runs, settings.simulation)
    health = settings.health
    live = settings.simulation.live  # in history that nobody watches, what changes is read when the driver tells of it
    driver = simulated_source(
        node.world,
        clock,
        gauges=settings.exporter.enabled,
        accounting=health.accounting,
        all_samples=live,
        slow_every_us=settings.slow_every_us if live else US_PER_HOUR,
    )
    source = HealthSource(driver, clock, unavailable_on=health.unavailable_on)
    inputs = NodeInputs(source, node.processes, node.pods, node.pool)
    agent = Agent(settings, inputs, clock, spool=spool, shipper=shipper, closing=closing)
    shipper.start()
    sealed = True
    for number, (from_us, until_us) in enumerate(runs):
        if number:
            agent.restart()
        agent.run(stop, from_us=from_us, until_us=until_us)
        sealed = agent.finish() and sealed
        if stop.is_set():
            return sealed
    shipper.wait_until_empty(stop)
    return sealed


def _driver(
    settings: AgentSettings, stop: threading.Event, reader: EarlyReader | None
) -> tuple[DeviceSource, Callable[[], ChildFigures | None]]:
    """Return the driver with the kernel beside it, and how the process does that reads it, where it has its own."""
    from agent.devices.child import ChildSource  # noqa: PLC0415 - a simulation has its own way to the driver

    library, health = settings.nvml.library, settings.health
    wanted = Wanted(settings.exporter.enabled, health.accounting, health.gpm, settings.slow_every_us)
    driver: DeviceSource
    child: ChildSource | None = None
    if settings.nvml.child:
        child = ChildSource(library, wanted=wanted, timeout_s=settings.nvml.timeout_s, stop=stop, early=reader)
        driver = child
    else:
        from agent.devices.nvml import NvmlSource  # noqa: PLC0415 - with a child, this process need not load pynvml

        driver = NvmlSource(library, **wanted._asdict())
    source = HealthSource(
        driver,
        WallClock(),
        kernel_log=kernel_log_at(health.kernel_log),
        driver_state=DriverState(health.driver_proc),
        slow_every_us=settings.slow_every_us,
        unavailable_on=health.unavailable_on,
    )
    return source, lambda: child.stats if child else None


def _this_node(settings: AgentSettings, driver: DeviceSource, child: Callable[[], ChildFigures | None]) -> NodeInputs:
    from agent.holders.kubernetes.build import kubernetes_grants  # noqa: PLC0415 - a simulation has no kubelet
    from agent.holders.runtimes import container_names  # noqa: PLC0415 - a simulation has no container runtimes

    proc = settings.holders.proc
    rules = RuleBook(settings.identity.rules)
    kubernetes = kubernetes_grants(settings, rule_labels=lambda: rules.label_patterns() | rules.annotation_patterns())
    asked = settings.kubernetes.enabled
    return NodeInputs(
        driver,
        ProcFs(proc, boot_us=boot_instant_us() if proc == _HOST_PROC else None, rules=rules),
        PodLogDirectories(settings.holders.pod_logs, settings.holders.container_logs),
        settings.agent.pool,
        grant_sources(settings, *([kubernetes] if asked else [])),
        Identifier(rules),
        container_names(settings.containers, rules.container_labels),
        kubernetes.metadata if asked and kubernetes.describes_pods else None,
        child,
    )


def _stop_on_signals() -> threading.Event:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _log_to_stderr() -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
