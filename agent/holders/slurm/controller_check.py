"""Compares what this node's sources believe with what the controller says: differences become events, never grants."""

from __future__ import annotations

from agent.devices.base import NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.grants import Granted
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.order import GpuOrder
from agent.holders.slurm.sharing import devices_of
from agent.holders.slurm.squeue import Answer, Squeue
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import HolderError
from gpuledger.model import Event

_YOUNG_US = 60 * US_PER_SECOND  # a job this new may not have been known to whoever was asked


class SlurmControllerCheck:
    """A source that grants nothing. It is read after the others, whose claims it compares."""

    name = "slurm_controller_check"

    def __init__(self, context: SlurmContext, squeue: Squeue) -> None:
        self._context = context
        self._squeue = squeue
        self._compared = 0  # the number of the last answer that was compared
        self._suspected: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()

    def read(self, at_us: int, reading: NodeReading, /) -> Granted:
        """Return an event for each difference that two answers in a row confirm, once.

        Raises HolderError where the controller does not answer.
        """
        self._squeue.start()
        answer = self._squeue.answer
        if self._squeue.problem:
            raise HolderError(self._squeue.problem, hint="turn the check off: [slurm] check_interval_s = 0")
        if answer is None or answer.number == self._compared:
            return Granted()
        self._compared = answer.number
        differences = self._differences(answer, self._context.node.order(reading), DeviceIndex(reading))
        now = frozenset(differences)
        new = (now & self._suspected) - self._told
        self._told = now & (self._told | new)
        self._suspected = now
        events = [
            Event(at_us, "holder_conflict", key, "warning", holder=f"slurm:{differences[key]}") for key in sorted(new)
        ]
        return Granted(events=tuple(events))

    def close(self) -> None:
        """Stop asking."""
        self._squeue.close()

    def _differences(self, answer: Answer, order: GpuOrder, index: DeviceIndex) -> dict[str, str]:
        """Return each difference in words, and the job that it is about."""
        found: dict[str, str] = {}
        claims = self._context.claims
        for job, queued in answer.jobs.items():
            believed = {claim.device for claim in claims.get(job, ())}
            devices, _ = devices_of(queued.facts, order, index)
            if queued.told and believed != set(devices):
                told = ", ".join(sorted(devices)) or f"GPUs {sorted(queued.gpus)}, which are not known here"
                here = ", ".join(sorted(believed)) or "none"
                found[f"the controller gives job {job} {told}; on this node it is seen to have {here}"] = job
        for job, held in claims.items():
            since_us = max((claim.since_us or 0 for claim in held), default=0)
            if held and job not in answer.jobs and answer.asked_us - since_us > _YOUNG_US:
                found[f"job {job} is seen to hold GPUs on this node; the controller does not say that it runs here"] = (
                    job
                )
        return found
