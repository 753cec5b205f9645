"""What the kernel tells about a process on a GPU: its cgroup, its user, when it started, and the few names we may read.

A pid is not an identity, it is used again; a pid together with its start time is.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from gpuledger.errors import HolderError

ALLOWED_ENVIRON: Final = frozenset(
    {
        "SLURM_JOB_ID",
        "SLURM_JOB_ACCOUNT",
        "SLURM_JOB_PARTITION",
        "SLURM_JOB_USER",
        "GPULEDGER_TEAM",
        "GPULEDGER_WORKLOAD",
    }
)  # no other variable of somebody's process is ever kept
_MAX_ENVIRON_BYTES: Final = 2 * 1024 * 1024
_MAX_VALUE_LENGTH: Final = 256


class ProcessFacts(NamedTuple):
    """A process at the moment it was read."""

    pid: int
    start_us: int
    cgroup: str  # text of /proc/<pid>/cgroup
    uid: int
    user: str = ""  # empty: the uid has no name here
    comm: str = ""
    environ: Mapping[str, str] = {}  # of ALLOWED_ENVIRON only
    environ_readable: bool = True


class ProcessTable(Protocol):
    """Where facts about processes come from."""

    def start_us(self, pid: int) -> int | None:
        """Return when the process started, or None where there is no such process any more."""
        ...

    def facts(self, pid: int) -> ProcessFacts | None:
        """Return what is known of the process, or None where it has ended.

        Raises HolderError where it runs but may not be read.
        """
        ...


class InMemoryProcesses:
    """A process table that is given, for simulations and tests."""

    def __init__(self, processes: Mapping[int, ProcessFacts]) -> None:
        self._processes = processes

    def start_us(self, pid: int) -> int | None:
        """Return when the process started, or None where the table does not have it."""
        facts = self._processes.get(pid)
        return facts.start_us if facts else None

    def facts(self, pid: int) -> ProcessFacts | None:
        """Return the process as given."""
        return self._processes.get(pid)


class ProcFs:
    """The processes of this node, from the proc filesystem at `root` (the host's: drivers list the host's pids).

    `boot_us` is the instant from which start times count; without it `btime` of `<root>/stat` serves, which is whole
    seconds. `user_name` names a uid, or returns an empty string.
    """

    def __init__(
        self,
        root: Path = Path("/proc"),
        *,
        boot_us: int | None = None,
        ticks_per_second: int | None = None,
        user_name: Callable[[int], str] | None = None,
    ) -> None:
        self._root = str(root)
        self._boot_us = _read_boot_us(root) if boot_us is None else boot_us
        self._us_per_tick = 1_000_000 // (ticks_per_second or os.sysconf("SC_CLK_TCK"))
        self._user_name = user_name or name_of_user
        self.environ_unreadable = 0  # processes whose environment could not be read: an identity may lack its account

    def start_us(self, pid: int) -> int | None:
        """Return when the process started (to a clock tick), or None where it has ended."""
        stat = self._read(pid, "stat")
        return None if stat is None else self._started_us(stat)

    def facts(self, pid: int) -> ProcessFacts | None:
        """Return what is known of the process, or None where it ended meanwhile, its pid perhaps taken by another."""
        stat, status, cgroup = self._read(pid, "stat"), self._read(pid, "status"), self._read(pid, "cgroup")
        if stat is None or status is None or cgroup is None:
            return None
        environ = self._environ(pid)
        start_us = self._started_us(stat)
        if self.start_us(pid) != start_us:
            return None
        uid = parse_uid(status)
        return ProcessFacts(
            pid=pid,
            start_us=start_us,
            cgroup=cgroup.decode("utf-8", "replace"),
            uid=uid,
            user=self._user_name(uid),
            comm=parse_comm(stat),
            environ=environ or {},
            environ_readable=environ is not None,
        )

    def _started_us(self, stat: bytes) -> int:
        return self._boot_us + parse_start_ticks(stat) * self._us_per_tick

    def _environ(self, pid: int) -> dict[str, str] | None:
        try:
            block = self._read(pid, "environ", _MAX_ENVIRON_BYTES)
        except HolderError:
            block = None
        if block is None:
            self.environ_unreadable += 1
            return None
        return parse_environ(block)

    def _read(self, pid: int, name: str, limit: int = 65_536) -> bytes | None:
        path = f"{self._root}/{pid}/{name}"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                return _read_up_to(descriptor, limit)
            finally:
                os.close(descriptor)
        except (FileNotFoundError, ProcessLookupError):
            return None
        except OSError as error:
            raise HolderError(
                f"{path} cannot be read: {error.strerror}",
                hint="run the agent as root on the host, or with the host's pid namespace (hostPID)",
            ) from error


def parse_start_ticks(stat: bytes) -> int:
    """Return field 22 of `/proc/<pid>/stat`; the command in field 2 may itself hold blanks and parentheses.

    Raises HolderError where there is no such number.
    """
    try:
        return int(stat[stat.rindex(b")") + 2 :].split(None, 20)[19])
    except (ValueError, IndexError) as error:
        hint = "mount the host's /proc into the agent"
        raise HolderError("a /proc/<pid>/stat has no start time", hint=hint) from error


def parse_comm(stat: bytes) -> str:
    """Return the command name in `/proc/<pid>/stat`."""
    return stat[stat.index(b"(") + 1 : stat.rindex(b")")].decode("utf-8", "replace")


def parse_uid(status: bytes) -> int:
    """Return the real uid in `/proc/<pid>/status`. Raises HolderError where there is none."""
    for line in status.splitlines():
        words = line.split()
        if line.startswith(b"Uid:") and len(words) > 1 and words[1].isdigit():
            return int(words[1])
    raise HolderError("a /proc/<pid>/status has no Uid line", hint="mount the host's /proc into the agent")


def parse_environ(block: bytes) -> dict[str, str]:
    """Return the allow-listed variables of `/proc/<pid>/environ`; values are cut at 256 characters."""
    found: dict[str, str] = {}
    for entry in block.split(b"\0"):
        name, equals, value = entry.partition(b"=")
        decoded = name.decode("ascii", "replace")
        if equals and decoded in ALLOWED_ENVIRON:
            found.setdefault(decoded, value.decode("utf-8", "replace")[:_MAX_VALUE_LENGTH])
    return found


def name_of_user(uid: int) -> str:
    """Return the user's name from the system's databases, or an empty string."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""


def boot_instant_us() -> int:
    """Return when this machine booted, finer than /proc/stat does. Read it once: it moves with the clock."""
    return (time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)) // 1_000


def _read_boot_us(root: Path) -> int:
    path = root / "stat"
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise HolderError(f"{path} cannot be read: {error.strerror}", hint="mount the host's /proc there") from error
    for line in lines:
        if line.startswith(b"btime "):
            return int(line.split()[1]) * 1_000_000
    raise HolderError(f"{path} has no btime line", hint="mount the host's /proc there")


def _read_up_to(descriptor: int, limit: int) -> bytes:
    chunks: list[bytes] = []
    while limit > 0 and (chunk := os.read(descriptor, min(limit, 65_536))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)
