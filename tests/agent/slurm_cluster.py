"""A real Slurm of one node with fake GPUs: Debian's daemons on free loopback ports, our prolog and epilog installed."""

from __future__ import annotations

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.devices.base import BoardReading, NodeReading
from gpuledger.model import Device
from tests.waiting import until

ROOT = Path(__file__).parents[2]
MISSING = "Slurm is missing: apt-get install --no-install-recommends slurmctld slurmd slurm-client"
FREEZER = Path("/sys/fs/cgroup/freezer")
MINORS = (2, 3, 1, 0)  # of the GPUs in NVML's order: no GPU's minor is its index
UUIDS = tuple(f"GPU-{number}0000000-aaaa-bbbb-cccc-00000000000{number}" for number in range(4))
BY_MINOR = dict(zip(MINORS, UUIDS, strict=True))
SLURMS_MINORS = (2, 3, 1, 0)  # h100 first, as slurm.conf has them, then a100
SHARDS = 4  # of the a100, minor 0


def reading() -> NodeReading:
    """Return what the driver shows of the node: four GPUs, three of them H100."""
    boards = [
        BoardReading(
            Device(key=uuid, kind="gpu", model="NVIDIA A100" if minor == 0 else "NVIDIA H100", index=index), minor=minor
        )
        for index, (uuid, minor) in enumerate(zip(UUIDS, MINORS, strict=True))
    ]
    return NodeReading("epoch", "580", tuple(boards))


class Cluster:
    """A controller and a node. Everything of it lies under `folder`; `more` are further lines of slurm.conf."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self._more = more
        self.holders = folder / "holders"
        self.node = f"node{os.getpid()}-{random.randrange(10_000)}"  # its cgroups are not those of another cluster
        self.conf = folder / "slurm.conf"
        self.no_epilog = folder / "no-epilog"
        self._controller: subprocess.Popen[bytes] | None = None
        self.daemon: subprocess.Popen[bytes] | None = None
        for name in ("dev", "state", "spool", "out"):
            (folder / name).mkdir()
        for minor in MINORS:
            os.mknod(folder / "dev" / f"nvidia{minor}", 0o600 | 0o020000, os.makedev(195, minor))
        self._write_configuration()

    def start(self) -> None:
        self._controller = self._daemon("slurmctld", "-c")
        self.start_node()

    def start_node(self) -> None:
        self.daemon = self._daemon("slurmd", "-N", self.node)
        until(lambda: self.run("sinfo", "--noheader", "--format=%t").strip() in ("idle", "mix"), "an idle node", 30)

    def stop(self) -> None:
        with contextlib.suppress(AssertionError):
            self.clear()
        for process in (self.daemon, self._controller):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(10)
        for path, _, _ in os.walk(FREEZER / f"slurm_{self.node}", topdown=False):
            with contextlib.suppress(OSError):
                Path(path).rmdir()

    def clear(self) -> None:
        """End every job, and wait until the controller has none left."""
        if self.run("squeue", "--noheader").strip():
            self.run("scancel", "--user=root")
            until(lambda: not self.run("squeue", "--noheader").strip(), "an empty queue")

    def run(self, *command: str) -> str:
        """Run one of Slurm's commands; return what it prints."""
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=self.environ)
        assert done.returncode == 0, f"{command}: {done.stderr}{self._logs()}"
        return done.stdout

    def submit(self, *options: str, script: str = "sleep 60") -> str:
        """Submit a batch job; return its id."""
        out = f"--output={self.folder}/out/%j"
        return (
            self.run("sbatch", "--parsable", "--ntasks=1", out, *options, f"--wrap={script}").strip().partition(";")[0]
        )

    def started(self, job: str) -> str:
        """Wait until a job's prolog has run and its script has begun."""
        until((self.holders / f"{job}.job").exists, f"the holder file of job {job}")
        until(lambda: self.run("squeue", "--noheader", f"--job={job}", "--format=%T").strip() == "RUNNING", "running")
        return job

    def ended(self, job: str) -> Path:
        """Wait until a job's epilog has run; return the file."""
        return until(lambda: next(self.holders.glob(f"{job}.*.ended"), None), f"the end of job {job}")

    def cancel(self, *jobs: str) -> None:
        """End jobs, and wait for their epilogs."""
        self.run("scancel", *jobs)
        for job in jobs:
            self.ended(job)

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "SLURM_CONF": str(self.conf), "HOME": "/", "LC_ALL": "C.UTF-8"}

    def _daemon(self, name: str, *options: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"{name}.log").open("ab")
        with log:
            return subprocess.Popen((f"/usr/sbin/{name}", "-D", *options), env=self.environ, stdout=log, stderr=log)

    def _logs(self) -> str:
        return "".join(path.read_text("utf-8", "replace")[-2_000:] for path in self.folder.glob("*.log"))

    def _write_configuration(self) -> None:
        folder = self.folder
        ports = free_ports(2)
        (folder / "gres.conf").write_text(
            f"NodeName=other[1-9] Name=gpu Type=h100 File={folder}/dev/nvidia9\n"
            f"NodeName={self.node} Name=gpu Type=h100 File={folder}/dev/nvidia[2-3]  # two in one line\n"
            f"NodeName={self.node} Name=gpu Type=a100 File={folder}/dev/nvidia0\n"
            f"NodeName={self.node} Name=gpu Type=h100 File={folder}/dev/nvidia1\n"
            f"NodeName={self.node} Name=shard Count={SHARDS} File={folder}/dev/nvidia0\n"
        )
        (folder / "cgroup.conf").write_text(
            "CgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\nCgroupPlugin=cgroup/v1\n"
        )
        for name in ("prolog", "epilog"):
            script = folder / f"{name}.d" / "50-gpuledger"
            script.parent.mkdir()
            guard = f"[ -e {self.no_epilog} ] && exit 0\n" if name == "epilog" else ""
            ours = ROOT / "deploy" / "slurm" / f"gpuledger-{name}.sh"
            script.write_text(f"#!/bin/sh\n{guard}GPULEDGER_HOLDERS={self.holders} exec {ours}\n")
            script.chmod(0o755)
        self.conf.write_text(f"""
ClusterName=tests
SlurmctldHost={socket.gethostname()}(127.0.0.1)
AuthType=auth/none
CredType=cred/none
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/cgroup
TaskPlugin=task/none
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
MpiDefault=none
SwitchType=switch/none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
GresTypes=gpu,shard
Prolog={folder}/prolog.d/*
Epilog={folder}/epilog.d/*
PrologFlags=Alloc,Contain
JobAcctGatherType=jobacct_gather/none
FirstJobId={random.randrange(10_000, 60_000) * 1_000}
KillWait=1
NodeName={self.node} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 CPUs=8 Gres=gpu:h100:3,gpu:a100:1,shard:{SHARDS}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
{self._more}
""")


def free_ports(number: int) -> list[int]:
    """Return ports that nobody listens on."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def why_not() -> str:
    """Return why no Slurm can run here; empty where one can."""
    if any(shutil.which(name, path="/usr/sbin:/usr/bin") is None for name in ("slurmctld", "slurmd", "sbatch")):
        return MISSING
    if os.geteuid() != 0:
        return "Slurm's node daemon and its cgroups need root"
    return "" if os.access(FREEZER, os.W_OK) else f"{FREEZER} is not writable: Slurm 22.05 tracks jobs there"


def running_cluster(folder: Path, more: str = "") -> Iterator[Cluster]:
    """Run a cluster for as long as a fixture lives. Where there is no Slurm its tests are skipped, in CI they fail."""
    reason = why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    if reason:
        pytest.skip(reason)
    cluster = Cluster(folder, more)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def crash(cluster: Cluster, pids: list[int]) -> bool:
    """Take a node down: its daemon and the given processes die without a word. Return whether there was none left."""
    assert cluster.daemon is not None
    cluster.daemon.kill()
    cluster.daemon.wait(10)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return not pids


def stepds(job: str) -> list[int]:
    """Return the slurmstepd processes that work for a job."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(f"slurmstepd: [{job}.".encode()):
                found.append(int(path.parent.name))
    return found


def me() -> str:
    """Return the name of the user who submits."""
    return pwd.getpwuid(os.geteuid()).pw_name
