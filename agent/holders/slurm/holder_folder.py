"""The folder that our prolog and epilog write: read, cleared of what was taken, and what is bad set aside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

from agent.holders.slurm.files import Signature, read_bounded, unreadable
from agent.holders.slurm.holder_file import MOST_BYTES, HolderFile, parse_holder_file, parse_name
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import HolderError
from gpuledger.model import Event

_BAD: Final = ".bad"
_MOST_BAD: Final = 50
_UNFINISHED_US: Final = 3_600 * US_PER_SECOND  # a prolog that was killed while it wrote
_LOST: Final = "lost"
_UNSEEN: Final = Signature(0, -1, -1)


class Entry(NamedTuple):
    """A holder file. With `until_us` the job has ended."""

    name: str
    held: HolderFile
    until_us: int | None


class Scan(NamedTuple):
    """What the folder holds now: jobs that run, jobs that ended and were not told before, and events."""

    running: tuple[Entry, ...] = ()
    ended: tuple[Entry, ...] = ()
    events: tuple[Event, ...] = ()


class HolderFolder:
    """Reads the folder. A file of a job that ended is told until it is `taken`, kept for `keep_us`, and deleted."""

    def __init__(self, path: Path, *, keep_us: int) -> None:
        self._path = path
        self._keep_us = keep_us
        self._owners = frozenset({0, os.geteuid()})
        self._read: dict[str, tuple[Signature, Entry | None]] = {}
        self._told_us: dict[str, int] = {}  # ended files, and when they were taken
        self._events: list[Event] = []
        self._stuck = False
        self.bad = 0  # files that could not be read as what they should be

    def scan(self, at_us: int) -> Scan:
        """Return what the folder holds; no folder: no prolog of ours has run since this node started.

        Raises HolderError where the folder cannot be read, or where anybody may write in it.
        """
        seen: dict[str, tuple[Signature, Entry | None]] = {}
        for entry in self._listed():
            if entry.name.startswith("."):
                self._drop_unfinished(entry, at_us)
            elif entry.name == _LOST:
                self._tell_lost(at_us)
            elif parse_name(entry.name) is not None:
                seen[entry.name] = self._load(entry, at_us)
        self._read = seen
        entries = [entry for _, entry in seen.values() if entry is not None]
        ended = [entry for entry in entries if entry.until_us is not None and self._is_new(entry, at_us)]
        self._told_us = {name: told for name, told in self._told_us.items() if name in seen}
        running = tuple(entry for entry in entries if entry.until_us is None)
        return Scan(running, tuple(ended), tuple(self._events))

    def taken(self, ended: tuple[Entry, ...], at_us: int) -> None:
        """Remember that a scan was told: its ends are not told again, and deleted when their time has passed."""
        self._events = []
        for entry in ended:
            self._told_us[entry.name] = at_us

    def drop(self, name: str) -> None:
        """Delete a file that nothing is to be learnt from any more."""
        self._unlink(name, 0)

    def _listed(self) -> list[os.DirEntry[str]]:
        try:
            found = self._path.stat()
            if found.st_mode & 0o002:
                raise HolderError(
                    f"anybody may write in {self._path}", hint=f"let only root write there: chmod o-w {self._path}"
                )
            if found.st_uid not in self._owners:
                raise HolderError(
                    f"{self._path} belongs to uid {found.st_uid}, who may rename what lies there",
                    hint=f"give it to root: chown root {self._path}",
                )
            with os.scandir(self._path) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise unreadable(self._path, error) from error

    def _load(self, entry: os.DirEntry[str], at_us: int) -> tuple[Signature, Entry | None]:
        """Return a file's content, read anew where it has changed; None where it is bad or went away."""
        signature = _UNSEEN
        try:
            found = entry.stat(follow_symlinks=False)
            signature = Signature(found.st_ino, found.st_mtime_ns, found.st_size)
            known = self._read.get(entry.name)
            if known is not None and known[0] == signature:
                return known
            content = read_bounded(self._path / entry.name, MOST_BYTES, owners=self._owners)
            return signature, _entry(entry.name, parse_holder_file(content))
        except FileNotFoundError:
            return _UNSEEN, None  # the epilog renamed it meanwhile: it is met at the next reading
        except ValueError as error:
            self._set_aside(entry.name, str(error), at_us)
        except OSError as error:
            self._set_aside(entry.name, error.strerror or str(error), at_us)
        return signature, None

    def _set_aside(self, name: str, reason: str, at_us: int) -> None:
        self.bad += 1
        self._note(at_us, "holder_file_bad", f"{self._path / name} is not believed: {reason}", {"file": name})
        try:
            (self._path / name).rename(self._path / (name + _BAD))
            for path in self._old_bad():
                path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            self._cannot_clear(error, at_us)

    def _old_bad(self) -> list[Path]:
        """Return the files that were set aside, but for the newest."""
        files = [path for path in self._path.glob(f"*{_BAD}") if path.is_symlink() or not path.is_dir()]
        return sorted(files, key=lambda path: path.lstat().st_mtime_ns)[:-_MOST_BAD]

    def _is_new(self, entry: Entry, at_us: int) -> bool:
        """Tell whether an ended job's file was not taken yet; delete one that was taken long enough ago."""
        taken_us = self._told_us.get(entry.name)
        if taken_us is not None and at_us - taken_us >= self._keep_us:
            self._unlink(entry.name, at_us)
        return taken_us is None

    def _drop_unfinished(self, entry: os.DirEntry[str], at_us: int) -> None:
        try:
            if at_us - entry.stat(follow_symlinks=False).st_mtime_ns // 1_000 > _UNFINISHED_US:
                self._unlink(entry.name, at_us)
        except FileNotFoundError:
            return

    def _tell_lost(self, at_us: int) -> None:
        """Tell of jobs whose files the epilog did not keep, because too many waited for an agent."""
        try:
            jobs = read_bounded(self._path / _LOST, 1 << 20).split()
            (self._path / _LOST).unlink()
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            self._cannot_clear(error, at_us)
            return
        self._note(at_us, "holder_files_lost", f"the ends of {len(jobs)} jobs were not kept: too many waited", {})

    def _unlink(self, name: str, at_us: int) -> None:
        try:
            (self._path / name).unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            self._cannot_clear(error, at_us)

    def _cannot_clear(self, error: OSError | ValueError, at_us: int) -> None:
        if not self._stuck:
            self._note(at_us, "holder_files_kept", f"files in {self._path} cannot be cleared: {error}", {})
        self._stuck = True

    def _note(self, at_us: int, kind: str, message: str, details: dict[str, str]) -> None:
        self._events.append(Event(at_us, kind, message, "warning", details=details))


def _entry(name: str, held: HolderFile) -> Entry:
    """Return a file by its name and content. Raises ValueError where they contradict each other."""
    said = parse_name(name)
    if said is None or said.job != held.facts.job:
        raise ValueError(f"it says job {held.facts.job}")
    if said.until_us is not None and said.until_us < held.since_us:
        raise ValueError("it says that the job ended before it started")
    return Entry(name, held, said.until_us)
