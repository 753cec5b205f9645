"""How the runs of a scenario show to their node: pids, cgroups, users, environments, and the names of pods."""

from __future__ import annotations

import hashlib
import zlib
from typing import NamedTuple

from agent.devices.simulated.scenario_file import NodeSpec, WorkloadSpec
from agent.devices.simulated.scenario_hardware import Slot, stable_uuid
from agent.devices.simulated.scenario_schedule import Run
from agent.holders.pods import PodName
from agent.holders.processes import ProcessFacts
from agent.identity.rulebook import built_in
from agent.identity.vocabulary import ALWAYS_READ
from gpuledger.errors import ConfigError

_FIRST_PID = 4_000
_PID_STEP = 7  # other processes come in between
_FIRST_JOB = 480_000
_RUNS_PER_WORKLOAD = 10_000


class Tenant(NamedTuple):
    """A run as its node sees it. `holder` is the key under which the agent will know it; one process per device."""

    run: Run
    holder: str
    pids: dict[Slot, int]
    facts: tuple[ProcessFacts, ...]
    pod_uid: str = ""
    pod: PodName | None = None


def build_tenants(
    runs: list[Run], nodes: dict[str, NodeSpec], workloads: dict[str, int], start_us: int
) -> list[Tenant]:
    """Return the tenant of each run; `workloads` numbers the workloads of the file, `start_us` is the scenario's."""
    next_pid = dict.fromkeys(nodes, _FIRST_PID)
    tenants: list[Tenant] = []
    for run in runs:
        pids: dict[Slot, int] = {}
        for slot in run.slots:
            pids[slot] = next_pid[slot.node]
            next_pid[slot.node] += _PID_STEP
        tenants.append(_tenant(run, pids, nodes, workloads[run.workload.name], start_us))
    return tenants


def check_holder(workload: WorkloadSpec) -> None:
    """Raise ConfigError where the workload lacks what its platform knows of a holder, or sets what is never read."""
    needed = {"kubernetes": ("namespace",), "slurm": ("account", "user"), "user": ("user",)}[workload.platform]
    for name in needed:
        if not getattr(workload, name):
            raise ConfigError(f'workload {workload.name} has no "{name}"', hint=f"{workload.platform} always knows one")
    read = built_in().keys("env") | ALWAYS_READ
    unread = sorted(set(workload.environ) - read)
    if unread:
        raise ConfigError(
            f"workload {workload.name}: no agent reads {unread[0]}", hint=f"one of {', '.join(sorted(read))}"
        )


def _tenant(run: Run, pids: dict[Slot, int], nodes: dict[str, NodeSpec], ordinal: int, start_us: int) -> Tenant:
    workload = run.workload
    started_us = start_us + run.interval.start_us
    environ = _environ(run)
    if workload.platform == "kubernetes":
        uid = stable_uuid(f"pod/{run.name}")
        container_id = hashlib.sha256(f"container/{run.name}".encode()).hexdigest()
        name = workload.pod.format(workload=workload.name, run=run.number, replica=run.replica)
        facts = tuple(
            ProcessFacts(
                pid, started_us, _pod_cgroup(nodes[slot.node].cgroups, uid, container_id), 0, "root", "python"
            )._replace(environ=environ)
            for slot, pid in pids.items()
        )
        pod = PodName(workload.namespace, name, (workload.container,))
        return Tenant(run, f"pod:{uid}/{workload.container}", pids, facts, uid, pod)
    user_id = workload.uid if workload.uid is not None else user_id_of(workload.user)
    if workload.platform == "user":
        cgroup = f"0::/user.slice/user-{user_id}.slice/session-{11 + run.number}.scope\n"
        facts = tuple(
            ProcessFacts(pid, started_us, cgroup, user_id, workload.user, "python3", environ) for pid in pids.values()
        )
        return Tenant(run, f"user:{user_id}", pids, facts)
    job = _FIRST_JOB + ordinal * _RUNS_PER_WORKLOAD + run.number * workload.replicas + run.replica
    environ |= {
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_ACCOUNT": workload.account,
        "SLURM_JOB_PARTITION": workload.partition,
        "SLURM_JOB_USER": workload.user,
    }
    facts = tuple(
        ProcessFacts(pid, started_us, cgroup, user_id, workload.user, "python3", environ)
        for task, (slot, pid) in enumerate(pids.items())
        for cgroup in (_job_cgroup(nodes[slot.node].cgroups, user_id, job, task),)
    )
    return Tenant(run, f"slurm:{job}.0", pids, facts)


def _environ(run: Run) -> dict[str, str]:
    """Return the environment of a run: one run, one identifier, whatever the replicas of it."""
    identifier = stable_uuid(f"run/{run.workload.name}/{run.number}")
    filled = {
        "{run}": str(run.number),
        "{replica}": str(run.replica),
        "{uuid}": identifier,
        "{hex}": identifier.replace("-", ""),
    }
    found = dict(run.workload.environ)
    for field, value in filled.items():
        found = {name: text.replace(field, value) for name, text in found.items()}
    return found


def user_id_of(user: str) -> int:
    """Return the uid that a user of the simulated cluster has."""
    return 10_000 + zlib.crc32(user.encode()) % 50_000


def _pod_cgroup(cgroups: str, uid: str, container_id: str) -> str:
    if cgroups in ("cgroupfs", "v1"):
        path = f"/kubepods/burstable/pod{uid}/{container_id}"
        return f"12:memory:{path}\n11:cpu,cpuacct:{path}\n4:devices:{path}\n1:name=systemd:{path}\n"
    slice_name = f"kubepods-burstable-pod{uid.replace('-', '_')}.slice"
    return f"0::/kubepods.slice/kubepods-burstable.slice/{slice_name}/cri-containerd-{container_id}.scope\n"


def _job_cgroup(cgroups: str, uid: int, job: int, task: int) -> str:
    if cgroups in ("cgroupfs", "v1"):
        path = f"/slurm/uid_{uid}/job_{job}/step_0/task_{task}"
        return f"9:memory:{path}\n5:devices:{path}\n4:freezer:{path}\n1:name=systemd:/system.slice/slurmd.service\n"
    return f"0::/system.slice/slurmstepd.scope/job_{job}/step_0/user/task_{task}\n"
