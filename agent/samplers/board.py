"""Runs the samplers on one board: each reading the quick ones, now and then the slow ones, each on its own feet."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from agent.devices.base import BoardHealth
from agent.samplers.base import BoardAnswers, Sampler
from agent.samplers.table import EVERY_READING, METERING_SLOW, SLOW
from agent.samplers.tally import SamplerTally

DEFAULT_SLOW_EVERY_US: Final = 60_000_000
_NOTHING: Final = BoardHealth()


class ReadableBoard(BoardAnswers, Protocol):
    """A board whose fields can be read in one call."""

    def read_fields(self) -> None:
        """Read all fields that were asked for in its construction; each keeps its value or its failure."""
        ...


class BoardSamplers:
    """The samplers of one board. Without `gauges` only those run that metering needs."""

    def __init__(self, tally: SamplerTally, *, gauges: bool, slow_every_us: int = DEFAULT_SLOW_EVERY_US) -> None:
        self._tally = tally
        self._quick: tuple[Sampler, ...] = EVERY_READING if gauges else ()
        self._slow = SLOW if gauges else METERING_SLOW
        self._slow_every_us = slow_every_us
        self._slow_health = _NOTHING
        self._last = _NOTHING  # what was returned last, and of which values of the quick samplers
        self._last_values: dict[str, int | None] | None = None
        self.fields = tuple(field for sampler in self._slow for field in sampler.fields)

    def look_now(self) -> None:
        """Have the slow samplers run at the next reading, because something happened."""
        self._slow_health = self._slow_health._replace(slow_at_us=None)

    @property
    def mark(self) -> BoardHealth:
        """Return what the slow samplers read last: whoever reads the board next goes on from there."""
        return self._slow_health

    def go_on_from(self, mark: BoardHealth) -> None:
        """Take over what an earlier opening of the driver read, and when."""
        self._slow_health = mark

    def read(self, board: ReadableBoard, now_us: int) -> BoardHealth:
        """Return the board's condition: gauges of now, the rest at most as old as the slow pace."""
        read_us = self._slow_health.slow_at_us
        if read_us is None or not 0 <= now_us - read_us < self._slow_every_us:
            board.read_fields()
            self._slow_health = BoardHealth(slow_at_us=now_us, **self._run(self._slow, board))
            self._last_values = None
        values = self._run(self._quick, board) if self._quick else {}
        if values != self._last_values:  # else it is the same object again, which is cheap to compare
            self._last_values = values
            self._last = self._slow_health._replace(**values)
        return self._last

    def _run(self, samplers: Iterable[Sampler], board: BoardAnswers) -> dict[str, int | None]:
        values: dict[str, int | None] = {}
        for sampler in samplers:
            values.update(self._tally.run(sampler.name, sampler.read, board) or {})
        return values
