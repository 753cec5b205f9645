"""Grants from the cgroups of jobs and what their processes were started with: for nodes without our prolog.

Weaker than the prolog's files: the environment is a claim, if one that slurmstepd made and that the cgroup must not
contradict, and a job that ends within its first milliseconds may not be read in time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agent.devices.base import NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.grants import Grant, Granted
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.facts import filled, holder_of
from agent.holders.slurm.job_watch import WatchedJob
from agent.holders.slurm.once import Once
from agent.holders.slurm.order import GpuOrder
from agent.holders.slurm.sharing import Claim, claims_of, grants_of
from gpuledger.model import Confidence, Event

BY_ENVIRON: Final = "slurm_job_environment"


class SlurmCgroups:
    """A source of grants."""

    name = "slurm_cgroups"

    def __init__(self, context: SlurmContext) -> None:
        """Read the jobs of `context`; its events tell of those that came and went between two readings."""
        self._context = context
        self._once = Once()

    def read(self, at_us: int, reading: NodeReading, /) -> Granted:
        """Return the grants of every job that has a cgroup now and of which no file says that it is over."""
        context = self._context
        order = context.node.order(reading)
        index = DeviceIndex(reading)
        jobs = context.watch.jobs(at_us, context.sluids)
        left = self._left(jobs)
        claims: list[Claim] = []
        for job, watched in jobs.items():
            if watched.problem:
                message = f"the environment of job {job} is not believed: {watched.problem}"
                self._tell("slurm_environment_false", job, message, at_us)
            elif job not in context.over and job not in left:
                claims += self._claims(job, watched, order, index, at_us)
        for job, base in left.items():
            if job not in context.over:
                claims += claims_of(base.facts, order, index, base).claims
        grants, replicas = grants_of(claims)
        excused = tuple(
            Grant(device, holder_of(watched.facts), BY_ENVIRON)
            for job, watched in jobs.items()
            if not (watched.heard or watched.problem or job in context.over or context.claims.get(job))
            for device in order.managed
        )
        return Granted(grants, order.managed, replicas, self._once.turn(), excused)

    def close(self) -> None:
        """Stop watching."""
        if self._context.events is not None:
            self._context.events.close()

    def _claims(
        self, job: str, watched: WatchedJob, order: GpuOrder, index: DeviceIndex, at_us: int
    ) -> tuple[Claim, ...]:
        facts = self._context.completed(self._context.believed(watched.facts))
        base = Claim("", facts, 1, 1, BY_ENVIRON, watched.since_us, None, Confidence.DERIVED)
        found = claims_of(facts, order, index, base)
        if job not in self._context.claims:
            self._context.claims[job] = found.claims
            if found.problem:
                self._tell(found.problem, job, found.detail, at_us)
        return found.claims

    def _left(self, jobs: Mapping[str, WatchedJob]) -> dict[str, Claim]:
        """Return the jobs whose cgroup was removed since the previous reading, from its making to its removal."""
        events = self._context.events
        if events is None:
            return {}
        events.start()
        seen = {cgroup.path: watched for watched in jobs.values() for cgroup in watched.cgroups}
        found: dict[str, Claim] = {}
        for left in events.departed():
            before = self._context.watch.gone.get(left.path) or seen.get(left.path)
            facts = filled(left.facts, before.facts) if before else left.facts
            since_us = before.since_us if before and before.since_us is not None else left.since_us
            facts = self._context.believed(facts)
            if facts.job:
                found[facts.job] = Claim("", facts, 1, 1, BY_ENVIRON, since_us, left.until_us, Confidence.DERIVED)
        return found

    def _tell(self, kind: str, job: str, message: str, at_us: int) -> None:
        self._once.tell(f"{kind} {job}", Event(at_us, kind, message, "warning", holder=f"slurm:{job}"))
