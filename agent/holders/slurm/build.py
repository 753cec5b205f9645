"""Puts Slurm's sources of grants together from the settings."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Final

from agent.config import AgentSettings, SlurmSection
from agent.holders.grants import GrantSource
from agent.holders.processes import ProcFs, boot_instant_us
from agent.holders.slurm.cgroup_events import CgroupEvents
from agent.holders.slurm.cgroup_grants import SlurmCgroups
from agent.holders.slurm.cgroup_jobs import JobCgroups
from agent.holders.slurm.context import SlurmContext
from agent.holders.slurm.holder_files import SlurmHolderFiles
from agent.holders.slurm.holder_folder import HolderFolder
from agent.holders.slurm.job_environ import JobEnvirons
from agent.holders.slurm.job_watch import JobWatch
from agent.holders.slurm.node import SlurmNode
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.clock import WallClock

_HOST_PROC: Final = Path("/proc")


def slurm_sources(settings: AgentSettings) -> tuple[GrantSource, ...]:
    """Return the sources, strongest first: files of our prolog, cgroups, and where it is asked for the check."""
    slurm = settings.slurm
    proc = settings.holders.proc
    processes = ProcFs(proc, boot_us=boot_instant_us() if proc == _HOST_PROC else None)
    node = SlurmNode(
        slurm.node_name or settings.agent.node or socket.gethostname().partition(".")[0],
        gres_conf=slurm.gres_conf,
        gpu_order=slurm.gpu_order,
        mig_minors=proc / "driver/nvidia-caps/mig-minors",
    )
    cgroups, environs = JobCgroups(slurm.cgroups), JobEnvirons(proc)
    watch = JobWatch(cgroups, environs, processes.start_us)
    context = SlurmContext(node, watch, CgroupEvents(cgroups, environs, WallClock().now_us))
    folder = HolderFolder(slurm.holders, keep_us=slurm.keep_ended_s * US_PER_SECOND)
    check = (_check(context, slurm),) if slurm.check_interval_s else ()
    files = SlurmHolderFiles(folder, context, grace_us=slurm.stale_after_s * US_PER_SECOND)
    return files, SlurmCgroups(context), *check


def _check(context: SlurmContext, slurm: SlurmSection) -> GrantSource:
    from agent.holders.slurm.controller_check import SlurmControllerCheck  # noqa: PLC0415 - few nodes ask, most do not load it
    from agent.holders.slurm.squeue import Squeue  # noqa: PLC0415

    context.squeue = Squeue(
        lambda: context.node.name, WallClock().now_us, interval_s=slurm.check_interval_s, command=(slurm.squeue,)
    )
    return SlurmControllerCheck(context, context.squeue)
