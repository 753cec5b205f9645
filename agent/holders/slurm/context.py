"""What Slurm's sources of grants share on a node: its configuration, its jobs, and what each source believes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.holders.slurm.cgroup_events import CgroupEvents
from agent.holders.slurm.facts import JobFacts, filled
from agent.holders.slurm.job_watch import JobWatch
from agent.holders.slurm.node import SlurmNode
from agent.holders.slurm.sharing import Claim

if TYPE_CHECKING:
    from agent.holders.slurm.squeue import Squeue


@dataclass
class SlurmContext:
    """One for each agent. Sources are read in the order of precedence: later ones see what earlier ones told."""

    node: SlurmNode
    watch: JobWatch
    events: CgroupEvents | None = None
    squeue: Squeue | None = None
    sluids: dict[str, str] = field(default_factory=dict)  # SLUID -> job id, as holder files say
    over: set[str] = field(default_factory=set)  # jobs that holder files say have ended, or are stale
    claims: dict[str, tuple[Claim, ...]] = field(default_factory=dict)  # of each job, as its strongest source says

    def believed(self, said: JobFacts) -> JobFacts:
        """Return what processes say; without a percentage of MPS where Slurm gives none here: users set their own."""
        return said if self.node.gives_mps else said._replace(mps_percent=None)

    def completed(self, facts: JobFacts) -> JobFacts:
        """Return the facts, what is unknown in them filled from the job's processes, then from the controller.

        Processes of another user are not this job's: nothing of theirs is taken.
        """
        told = [self.watch.facts(facts.job)]
        if self.events is not None:
            told.append(self.events.facts(facts.job))
        for said in told:
            if facts.uid is None or said.uid is None or facts.uid == said.uid:
                facts = filled(facts, self.believed(said))
        if self.squeue is None:
            return facts
        queued = self.squeue.facts(facts.job)
        facts = filled(facts, queued)
        if (
            queued.shards is not None or queued.gpus_on_node
        ):  # processes say what their user exported, the controller knows
            facts = facts._replace(shards=queued.shards)
        return facts
