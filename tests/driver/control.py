"""The driver library's world, written and controlled from outside while processes run on it."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Final

WORLD: Final = "NVML_WORLD"  # the variable of the environment that names the world's file
_WORD: Final = struct.Struct("=Q")
_GENERATION, _CLOCK, _CALLS, _HANGING, _OPENINGS = range(5)
_SIZE: Final = 8 * (5 + 32)


class World:
    """A world in `directory`: lines of text (see README.md beside this file), and the page that is shared with it."""

    def __init__(self, directory: Path, *lines: str, clock_us: int = 0) -> None:
        self.path = directory / "world"
        page = directory / "world.page"
        page.write_bytes(bytes(_SIZE))
        with page.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), _SIZE)
        self.clock_us = clock_us
        self.lines: tuple[str, ...] = ()
        self.say(*lines)

    @property
    def environment(self) -> dict[str, str]:
        """Return what a process must have in its environment before it loads the library."""
        return {WORLD: str(self.path)}

    def say(self, *lines: str) -> None:
        """Make these lines the whole world; every process sees it at its next call."""
        self.lines = lines
        unfinished = self.path.with_name("world.new")
        unfinished.write_text("\n".join(lines) + "\n")
        unfinished.replace(self.path)
        self._put(_GENERATION, self._get(_GENERATION) + 1)

    def add(self, *lines: str) -> None:
        """Add lines to the world."""
        self.say(*self.lines, *lines)

    def drop(self, word: str) -> None:
        """Take out the lines that begin with `word`."""
        self.say(*(line for line in self.lines if line.split()[0] != word))

    @property
    def clock_us(self) -> int:
        """What time it is for the driver; 0: the machine's time."""
        return self._get(_CLOCK)

    @clock_us.setter
    def clock_us(self, at_us: int) -> None:
        self._put(_CLOCK, at_us)

    @property
    def calls(self) -> int:
        """Return how many calls there were, of all processes together."""
        return self._get(_CALLS)

    @property
    def hanging(self) -> int:
        """Return how many calls hang now, or hung when their process was killed."""
        return self._get(_HANGING)

    @property
    def openings(self) -> int:
        """Return how often NVML was initialised, by all processes together."""
        return self._get(_OPENINGS)

    def _get(self, position: int) -> int:
        value: int = _WORD.unpack_from(self._page, 8 * position)[0]
        return value

    def _put(self, position: int, value: int) -> None:
        _WORD.pack_into(self._page, 8 * position, value)


def deal(pids: list[int], boards: int = 8, *, mib: int = 10_240, busy: int = 20) -> list[str]:
    """Return lines that put real processes on the boards in turn, in place of the invented ones."""
    lines = ["board * idle 1", "board * busy 80", f"boards {boards}"]
    return lines + [f"process {number % boards} {pid} {mib} {busy}" for number, pid in enumerate(pids)]


def preload(library: Path) -> dict[str, str]:
    """Return the environment in which other programs load the library as the system's own."""
    return {"LD_LIBRARY_PATH": os.pathsep.join(filter(None, (str(library.parent), os.environ.get("LD_LIBRARY_PATH"))))}
