"""The real agents of a simulated fleet, in this process and under a virtual clock: what they would have delivered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from agent.devices.idle_power import IdlePower
from agent.devices.simulated.driver import simulated_source
from agent.devices.simulated.scenario import Fleet, SimulatedNode
from agent.health.source import HealthSource
from agent.holders.resolve import HolderResolver
from agent.loop import AgentLoop, LoopSettings
from agent.observe import Observer
from agent.sampling import Sampling
from agent.sealer import Origin, Sealer, read_checkpoint
from agent.spool import Spool
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import VirtualClock


def run_agents(fleet: Fleet, folder: Path, step_us: int) -> list[bytes]:
    """Return every frame that the fleet's agents seal from its start to its end, sampling every `step_us`."""
    return [frame for node in fleet.nodes for frame in _run_agent(fleet, node, folder / node.name, step_us)]


def _run_agent(fleet: Fleet, node: SimulatedNode, folder: Path, step_us: int) -> Iterator[bytes]:
    """Run one node's agent; after each outage it starts as a new process would, from its spool."""
    clock = VirtualClock(fleet.start_us)
    for run in node.agent_runs(Interval(fleet.start_us, fleet.end_us)):
        clock.advance_to(run.start_us)
        with Spool(folder) as spool:
            checkpoint = read_checkpoint(spool)
            sampling = Sampling(HealthSource(simulated_source(node.world, clock), clock))
            loop = AgentLoop(
                sampling,
                Observer(
                    HolderResolver(node.processes, node.pods, node=node.name),
                    node=node.name,
                    pool=node.pool,
                    idle_power_mw=IdlePower().mw,
                ),
                Sealer(
                    spool,
                    Origin(node.name, node.name, fleet.cluster, "test"),
                    seal_interval_us=US_PER_HOUR,
                    known=checkpoint.devices if checkpoint else (),
                ),
                clock,
                LoopSettings(step_us, 3 * step_us),
                checkpoint=checkpoint.meter if checkpoint else None,
            )
            loop.run(threading.Event(), from_us=run.start_us, until_us=run.end_us)
            assert loop.finish()
            sampling.close()
            while (record := spool.oldest()) is not None:
                yield record.frame
                spool.acknowledge(record.sequence)
