"""The processes that a process comes from, within its tenancy: tools mark what they start, not what that starts."""

from __future__ import annotations

from typing import Final, NamedTuple

from agent.holders.cgroup import parse_identity
from agent.holders.processes import ProcessFacts, ProcessTable
from gpuledger.errors import HolderError

MAX_DEPTH: Final = 16


class Ancestry(NamedTuple):
    """A process's ancestors, its parent first. `complete` is False where one of them could not be read."""

    chain: tuple[ProcessFacts, ...] = ()
    complete: bool = True


def ancestry(process: ProcessFacts, table: ProcessTable, *, max_depth: int = MAX_DEPTH) -> Ancestry:
    """Return the ancestors of a process within its pod, container, job or login.

    The one just outside (a shim, slurmstepd) is the last, with what its command line tells and without its environment,
    and only where it runs as root: what a user started outside says nothing about what is inside.
    """
    chain: list[ProcessFacts] = []
    child, tenancy = process, tenancy_of(process)
    while child.ppid and len(chain) < max_depth:
        try:
            parent = table.facts(child.ppid)
        except HolderError:
            return Ancestry(tuple(chain), complete=False)
        if parent is None or parent.start_us > child.start_us:
            break  # it has ended, and its pid may be another's by now
        if tenancy_of(parent) != tenancy:
            if parent.uid == 0 and parent.captured:
                chain.append(parent._replace(environ={}))
            break
        chain.append(parent)
        child = parent
    return Ancestry(tuple(chain))


def tenancy_of(process: ProcessFacts) -> tuple[str, ...]:
    """Return what tells one tenancy from another: pod and container, job, or else the person that logged in."""
    identity = parse_identity(process.cgroup)
    if identity.names_tenant:
        return identity.pod_uid, identity.container_id, identity.slurm_job or identity.slurm_sluid
    return ("login", str(process.uid if process.login_uid is None else process.login_uid))
