"""What the kernel tells about a process on a GPU: its cgroup, its user, when it started, and the few names we may read.

A pid is not an identity, it is used again; a pid together with its start time is.
"""

from __future__ import annotations

import os
import pwd
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from agent.holders.pidfds import PidFds
from agent.identity.rulebook import RuleBook
from agent.identity.unpack import read_file_of
from gpuledger.errors import HolderError

READABLE: Final = "readable"
UNREADABLE: Final = "unreadable"  # no right to read it, or it was gone: what stands in it is not known
WIPED: Final = "wiped"  # the process overwrote it with its title: what stood in it is not known any more
NO_LOGIN: Final = 2**32 - 1  # the kernel's mark for a process that nobody's login started

_MAX_ENVIRON_BYTES: Final = 2 * 1024 * 1024
_MANY_NULS: Final = b"\0" * 64  # between two variables stands one
_REMEMBERED: Final = 1_024
_MAX_CHILDREN: Final = 64
_MAX_OPEN_FILES: Final = 256


class ProcessFacts(NamedTuple):
    """A process at the moment it was read. Of its environment and command line only what rules ask for is kept."""

    pid: int
    start_us: int
    cgroup: str  # text of /proc/<pid>/cgroup
    uid: int
    user: str = ""  # empty: the uid has no name here
    comm: str = ""
    environ: Mapping[str, str] = {}  # of the rules' vocabulary only
    environ_state: str = READABLE
    ppid: int | None = None
    login_uid: int | None = None  # whose login started it, whatever it runs as; None: nobody's
    login_user: str = ""
    captured: Mapping[str, Mapping[str, str]] = {}  # by the rules' patterns, of the command line and children's files


class ProcessTable(Protocol):
    """Where facts about processes come from."""

    def begin_reading(self, pids: Collection[int]) -> None:
        """Begin a reading; `pids` were listed at the one before: what is held of others may be let go."""
        ...

    def start_us(self, pid: int) -> int | None:
        """Return when the process started, or None where there is no such process any more."""
        ...

    def facts(self, pid: int) -> ProcessFacts | None:
        """Return what is known of the process, or None where it has ended.

        Raises HolderError where it runs but may not be read.
        """
        ...

    def failures(self) -> dict[str, int]:
        """Return of how many processes something was not to be learned, by reason."""
        ...


class InMemoryProcesses:
    """A process table that is given, for simulations and tests."""

    def __init__(self, processes: Mapping[int, ProcessFacts]) -> None:
        self._processes = processes

    def begin_reading(self, pids: Collection[int]) -> None:
        """Do nothing."""

    def start_us(self, pid: int) -> int | None:
        """Return when the process started, or None where the table does not have it."""
        facts = self._processes.get(pid)
        return facts.start_us if facts else None

    def facts(self, pid: int) -> ProcessFacts | None:
        """Return the process as given."""
        return self._processes.get(pid)

    def failures(self) -> dict[str, int]:
        """Return nothing: all that is given is there."""
        return {}


class ProcFs:
    """The processes of this node, from the proc filesystem at `root` (the host's: drivers list the host's pids).

    `boot_us` is the instant from which start times count; without it `btime` of `<root>/stat` serves, which is whole
    seconds. `user_name` names a uid, or returns an empty string. `rules` say what may be read of a process.

    What a process showed at first sight is remembered by pid and start time: it may wipe its environment later.
    """

    def __init__(
        self,
        root: Path = Path("/proc"),
        *,
        boot_us: int | None = None,
        ticks_per_second: int | None = None,
        user_name: Callable[[int], str] | None = None,
        rules: RuleBook | None = None,
    ) -> None:
        self._root = str(root)
        self._boot_us = _read_boot_us(root) if boot_us is None else boot_us
        self._us_per_tick = 1_000_000 // (ticks_per_second or os.sysconf("SC_CLK_TCK"))
        self._user_name = user_name or name_of_user
        self._rules = rules or RuleBook()
        self._seen: OrderedDict[int, tuple[int, ProcessFacts]] = OrderedDict()  # generation of the rules, facts
        self._pidfds: PidFds | None = None  # from the first reading on
        self.environ_unreadable = 0  # processes whose environment could not be read: an identity may lack its account
        self.environ_wiped = 0  # processes that had overwritten theirs before it was ever read

    def begin_reading(self, pids: Collection[int]) -> None:
        """Ask once which of these still run; their starts need not be read again at this reading."""
        if self._pidfds is not None:
            self._pidfds.begin(pids)
        elif PidFds.usable(self._root):
            self._pidfds = PidFds()

    def start_us(self, pid: int) -> int | None:
        """Return when the process started (to a clock tick), or None where it has ended."""
        if self._pidfds is None:
            return self._read_start_us(pid)
        start_us = self._pidfds.start_us(pid)
        if start_us is None:
            opened = self._pidfds.open(pid)
            start_us = self._read_start_us(pid)
            if opened:
                self._pidfds.note(pid, start_us)
        return start_us

    def _read_start_us(self, pid: int) -> int | None:
        stat = self._read(pid, "stat")
        return None if stat is None else self._started_us(stat)

    def facts(self, pid: int) -> ProcessFacts | None:
        """Return what is known of the process, or None where it ended meanwhile, its pid perhaps taken by another."""
        stat, cgroup = self._read(pid, "stat"), self._read(pid, "cgroup")
        if stat is None or cgroup is None:
            return None
        start_us, comm, ppid = self._started_us(stat), parse_comm(stat), parse_ppid(stat)
        generation, known = self._seen.get(pid, (0, None))
        if known is not None and known.start_us != start_us:
            known = None
        settled = known is not None and known.comm == comm and known.environ_state != UNREADABLE
        seen = (
            known if settled and generation == self._rules.generation else self._read_anew(pid, start_us, comm, known)
        )
        if seen is None or self._read_start_us(pid) != start_us:
            return None
        files = self._files_of_children(pid)
        if files:
            seen = seen._replace(captured={**seen.captured, **files})
        self._remember(seen)
        return seen._replace(cgroup=cgroup.decode("utf-8", "replace"), ppid=ppid)

    def failures(self) -> dict[str, int]:
        """Return how many environments could not be read, and how many were wiped before they ever were."""
        return {"environ_unreadable": self.environ_unreadable, "environ_wiped": self.environ_wiped}

    def _read_anew(self, pid: int, start_us: int, comm: str, before: ProcessFacts | None) -> ProcessFacts | None:
        """Read all of a process; what it has wiped since it was first read stays as it was then."""
        status = self._read(pid, "status")
        if status is None:
            return None
        uid, login_uid = parse_uid(status), self._login_uid(pid)
        state, environ = self._environ(pid)
        captured = self._rules.vocabulary.read_command(self._allowed(pid, "cmdline", 65_536) or b"")
        if state != READABLE and before is not None:
            environ, captured = dict(before.environ), {**before.captured, **captured}
        elif state != READABLE:
            self.environ_unreadable += state == UNREADABLE
            self.environ_wiped += state == WIPED
        return ProcessFacts(
            pid=pid,
            start_us=start_us,
            cgroup="",
            uid=uid,
            user=self._user_name(uid),
            comm=comm,
            environ=environ,
            environ_state=state,
            login_uid=login_uid,
            login_user="" if login_uid is None else self._user_name(login_uid),
            captured=captured,
        )

    def _remember(self, facts: ProcessFacts) -> None:
        self._seen[facts.pid] = (self._rules.generation, facts)
        self._seen.move_to_end(facts.pid)
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)

    def _started_us(self, stat: bytes) -> int:
        return self._boot_us + parse_start_ticks(stat) * self._us_per_tick

    def _environ(self, pid: int) -> tuple[str, dict[str, str]]:
        block = self._allowed(pid, "environ", _MAX_ENVIRON_BYTES)
        if block is None:
            return UNREADABLE, {}
        if is_wiped(block):
            return WIPED, {}
        return READABLE, self._rules.vocabulary.read_environ(block, lambda path: self._file_of(pid, path))

    def _login_uid(self, pid: int) -> int | None:
        text = self._allowed(pid, "loginuid", 64)
        return int(text) if text and text.strip().isdigit() and int(text) != NO_LOGIN else None

    def _files_of_children(self, pid: int) -> dict[str, Mapping[str, str]]:
        """Return what the open files of a process's children tell: of those children only that a rule names."""
        vocabulary = self._rules.vocabulary
        found: dict[str, Mapping[str, str]] = {}
        children = (self._allowed(pid, f"task/{pid}/children", 4_096) or b"").split()
        for child in map(int, children[:_MAX_CHILDREN]) if vocabulary.children else ():
            name = (self._allowed(child, "comm", 64) or b"").decode("utf-8", "replace").rstrip("\n")
            if name in vocabulary.children:
                for path in self._open_files(child):
                    found.update(vocabulary.read_file_name(name, path))
        return found

    def _open_files(self, pid: int) -> list[str]:
        folder = f"{self._root}/{pid}/fd"
        try:
            return [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)[:_MAX_OPEN_FILES]]  # noqa: PTH115, PTH208
        except OSError:
            return []  # it ended, or may not be read: the run that it writes stays unknown

    def _file_of(self, pid: int, path: str) -> bytes | None:
        try:
            return read_file_of(f"{self._root}/{pid}/root", path)
        except OSError:
            return None

    def _allowed(self, pid: int, name: str, limit: int) -> bytes | None:
        """Return a file of the process, or None where we may not read it: an identity then lacks what it would tell."""
        try:
            return self._read(pid, name, limit)
        except HolderError:
            return None

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


def parse_ppid(stat: bytes) -> int | None:
    """Return the parent's pid in `/proc/<pid>/stat`; None where there is none: 0 is no process."""
    words = stat[stat.rindex(b")") + 2 :].split(None, 2)
    return int(words[1]) or None if len(words) > 1 and words[1].isdigit() else None


def is_wiped(environ: bytes) -> bool:
    """Return whether the process has written its title over its environment, and left NULs where it was."""
    return bool(environ) and (not environ.strip(b"\0") or _MANY_NULS in environ)


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
