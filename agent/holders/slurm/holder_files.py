"""Grants from the files of our prolog and epilog: the strongest source there is for Slurm.

The prolog is run by slurmd as root with what the controller decided, at the start and the end of each job. What it is
not told (on most versions the array, the job's name, the number of shards) is filled in from the job's own processes
and from the controller.
"""

from __future__ import annotations

from typing import Final

from agent.devices.base import NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.grants import Granted
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.holder_folder import Entry, HolderFolder
from agent.holders.slurm.once import Once
from agent.holders.slurm.order import GpuOrder
from agent.holders.slurm.sharing import Claim, claims_of, grants_of
from agent.holders.slurm.staleness import Staleness
from gpuledger.model import Confidence, Event

BY_PROLOG: Final = "slurm_prolog"
_FORGET_US: Final = 86_400_000_000  # a file that was stale for a day is deleted


class SlurmHolderFiles:
    """A source of grants."""

    name = "slurm_holder_files"

    def __init__(self, folder: HolderFolder, context: SlurmContext, *, grace_us: int) -> None:
        """Read `folder`; a job without process is believed for `grace_us`."""
        self._folder = folder
        self._context = context
        self._staleness = Staleness(grace_us, is_alive=context.watch.is_alive, says_runs=self._says_runs)
        self._stale_us: dict[str, int] = {}
        self._once = Once()

    def read(self, at_us: int, reading: NodeReading, /) -> Granted:
        """Return the grants of jobs that run, and of those that ended since the previous reading."""
        context = self._context
        scan = self._folder.scan(at_us)
        for entry in (*scan.running, *scan.ended):
            context.node.rename(entry.held.node)
        order = context.node.order(reading)
        index = DeviceIndex(reading)
        context.sluids = {entry.held.facts.sluid: entry.held.facts.job for entry in scan.running}
        context.watch.jobs(at_us, context.sluids)
        running = [claim for entry in scan.running for claim in self._claims(entry, order, index, at_us)]
        ended = [claim for entry in scan.ended for claim in self._claims(entry, order, index, at_us)]
        stale = self._staleness.judge(running, at_us)
        self._tell_stale(stale, scan.running, at_us)
        believed = [claim for claim in running if claim.facts.job not in stale]
        context.over = {entry.held.facts.job for entry in scan.ended} | set(stale)
        context.over -= {claim.facts.job for claim in believed}
        context.claims = _by_job(believed)
        if order.problem:
            self._once.tell("order", Event(at_us, "slurm_gpus_unknown", order.problem, "warning"))
        self._folder.taken(scan.ended, at_us)
        grants, replicas = grants_of([*believed, *ended])
        return Granted(grants, order.managed, replicas, (*scan.events, *self._once.turn()))

    def close(self) -> None:
        """Do nothing: nothing is held between readings."""

    def _says_runs(self, job: str) -> bool | None:
        squeue = self._context.squeue
        return squeue.says_runs(job) if squeue else None

    def _claims(self, entry: Entry, order: GpuOrder, index: DeviceIndex, at_us: int) -> tuple[Claim, ...]:
        facts = self._context.completed(entry.held.facts)
        base = Claim("", facts, 1, 1, BY_PROLOG, entry.held.since_us, entry.until_us, Confidence.MEASURED)
        found = claims_of(facts, order, index, base)
        if found.problem:
            event = Event(at_us, found.problem, found.detail, "warning", holder=f"slurm:{facts.job}")
            self._once.tell(f"{found.problem} {facts.job}", event)
        return found.claims

    def _tell_stale(self, stale: dict[str, str], running: tuple[Entry, ...], at_us: int) -> None:
        self._stale_us = {job: self._stale_us.get(job, at_us) for job in stale}
        for job, reason in stale.items():
            message = f"job {job} has no epilog yet and is not billed further: {reason}"
            event = Event(at_us, "holder_file_stale", message, "warning", holder=f"slurm:{job}")
            self._once.tell(f"stale {job}", event)
        for entry in running:
            since_us = self._stale_us.get(entry.held.facts.job)
            if since_us is not None and at_us - since_us > _FORGET_US:
                self._folder.drop(entry.name)


def _by_job(claims: list[Claim]) -> dict[str, tuple[Claim, ...]]:
    found: dict[str, tuple[Claim, ...]] = {}
    for claim in claims:
        found[claim.facts.job] = (*found.get(claim.facts.job, ()), claim)
    return found
