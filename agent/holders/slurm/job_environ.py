"""What a job's processes were started with: the environment that slurmstepd made for them, allow-listed.

Only a process that slurmstepd itself started is read: its environment is as slurmstepd set it at exec, while a child of
the job's may have been given anything. It is still a claim, weaker than what the prolog was told.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from agent.holders.slurm.cgroup_jobs import JobCgroup, pids, steps
from agent.holders.slurm.facts import NO_FACTS, JobFacts, filled, parse_facts, parse_gpus

_NAMES: Final = {
    "SLURM_JOB_ID": "job",
    "SLURM_JOB_SLUID": "sluid",
    "SLURM_ARRAY_JOB_ID": "array_job",
    "SLURM_ARRAY_TASK_ID": "array_task",
    "SLURM_JOB_UID": "uid",
    "SLURM_JOB_USER": "user",
    "SLURM_JOB_ACCOUNT": "account",
    "SLURM_JOB_PARTITION": "partition",
    "SLURM_JOB_NAME": "name",
    "SLURM_CLUSTER_NAME": "cluster",
    "SLURM_JOB_GPUS": "gpus",
    "SLURM_STEP_GPUS": "step_gpus",
    "CUDA_VISIBLE_DEVICES": "visible_devices",
    "SLURM_GPUS_ON_NODE": "gpus_on_node",
    "SLURM_SHARDS_ON_NODE": "shards",
    "CUDA_MPS_ACTIVE_THREAD_PERCENTAGE": "mps_percent",
}
_STEPD: Final = "slurmstepd"
_FIRST: Final = ("batch", "interactive")  # their environment is the job's, not narrowed to a step
_MOST_BYTES: Final = 2 * 1024 * 1024
_DELETED_OK: Final = (FileNotFoundError, ProcessLookupError)


class FoundEnviron(NamedTuple):
    """What a job's processes say; `problem`: why it is not believed."""

    facts: JobFacts = NO_FACTS
    stepds: tuple[int, ...] = ()  # the pids of the slurmstepds behind them
    problem: str = ""
    steps: tuple[str, ...] = ()
    settled: bool = False  # what the job as a whole has is known: more steps say no more


class JobEnvirons:
    """Reads jobs' processes under `proc`."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)
        self.unreadable = 0  # processes whose environment may not be read

    def find(self, cgroup: JobCgroup) -> FoundEnviron:
        """Return what the job's steps say together, the batch step first; the job's GPUs, else the steps'."""
        facts = NO_FACTS
        step_gpus: list[str] = []
        stepds: list[int] = []
        names = steps(cgroup)
        try:
            for step in sorted(names, key=lambda name: (name not in _FIRST, name == "extern", name)):
                pid, stepd = self._started_by_stepd(pids(cgroup, step))
                said = self._environ(pid) if pid is not None else None
                if said is None or stepd is None:
                    continue
                stepds.append(stepd)
                told = said.pop("step_gpus", "")
                if "gpus_on_node" in said:  # slurmstepd sets or clears it; what a user exports of the other survives
                    step_gpus += [gpu for gpu in told.split(",") if gpu and gpu not in step_gpus]
                facts = filled(facts, _checked(cgroup, parse_facts(said)))
            settled = bool(facts.gpus) or facts.shards is not None
            facts = filled(facts, JobFacts(gpus=parse_gpus(",".join(step_gpus))))
            if not facts.gpus:
                facts = facts._replace(visible=())  # the user's own word: slurmstepd sets it where it gives GPUs
        except ValueError as error:
            return FoundEnviron(problem=str(error), steps=names)
        return FoundEnviron(facts, tuple(stepds), "", names, settled)

    def titles(self) -> frozenset[str]:
        """Return the jobs that a slurmstepd of this node works for, from its title `slurmstepd: [<job>.<step>]`.

        It finds jobs where Slurm makes no cgroups (proctrack/linuxproc, proctrack/pgid).
        """
        found: set[str] = set()
        for entry in Path(self._proc).iterdir():
            if not entry.name.isdigit():
                continue
            title = self._read(int(entry.name), "cmdline", 256) or b""
            if title.startswith(b"slurmstepd: ["):
                found.add(title[13:].partition(b".")[0].decode("ascii", "replace"))
        return frozenset(found)

    def _started_by_stepd(self, candidates: tuple[int, ...]) -> tuple[int | None, int | None]:
        """Return the first process whose parent is slurmstepd, and that parent."""
        for pid in candidates:
            stat = self._read(pid, "stat", 1_024)
            if stat is None or self._comm(stat) == _STEPD:
                continue
            parent = int(stat[stat.rindex(b")") + 2 :].split(None, 2)[1])
            above = self._read(parent, "stat", 1_024)
            if above is not None and self._comm(above) == _STEPD and self._is_slurms(parent):
                return pid, parent
        return None, None

    def _is_slurms(self, pid: int) -> bool:
        """Tell whether a process is root's, as slurmstepd is: anybody may call a process that."""
        try:
            return Path(self._proc, str(pid)).stat().st_uid == 0
        except OSError:
            return False

    def _environ(self, pid: int) -> dict[str, str] | None:
        block = self._read(pid, "environ", _MOST_BYTES)
        if block is None:
            return None
        said: dict[str, str] = {}
        for entry in block.split(b"\0"):
            name, equals, value = entry.partition(b"=")
            known = _NAMES.get(name.decode("ascii", "replace"))
            if equals and value and known:
                said.setdefault(known, value[:4_096].decode("utf-8", "replace"))
        return said

    def _read(self, pid: int, name: str, most: int) -> bytes | None:
        try:
            with Path(f"{self._proc}/{pid}/{name}").open("rb") as file:
                return file.read(most)
        except _DELETED_OK:
            return None
        except OSError:
            self.unreadable += 1
            return None

    @staticmethod
    def _comm(stat: bytes) -> str:
        return stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode("utf-8", "replace")


def _checked(cgroup: JobCgroup, facts: JobFacts) -> JobFacts:
    """Return the facts. Raises ValueError where the cgroup that Slurm put the process in contradicts them."""
    for what, by_cgroup, by_environ in (
        ("job", cgroup.job, facts.job),
        ("SLUID", cgroup.sluid, facts.sluid),
        ("uid", cgroup.uid, facts.uid),
    ):
        if by_cgroup not in ("", None) and by_environ not in ("", None) and by_cgroup != by_environ:
            raise ValueError(f"its cgroup says {what} {by_cgroup}, its environment {by_environ}")
    return facts
