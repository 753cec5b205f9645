"""The energy of one board from reading to reading: by counter and epoch, else by the integral of power."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from gpuledger.accounting.snapshot import BoardSnapshot
from gpuledger.errors import ConservationError

COUNTER: Final = "counter"
AFTER_RESET: Final = "counter_after_reset"
CATCH_UP: Final = "counter_catch_up"
POWER_INTEGRAL: Final = "power_integral"
NO_ENERGY: Final = "none"

_BY_COUNTER: Final = frozenset({COUNTER, AFTER_RESET, CATCH_UP})
_NJ_PER_MJ: Final = 1_000_000


class MeteredEnergy(NamedTuple):
    """What a board used over a released span; the fields of `gpuledger.wire.BoardEnergy`, in its order.

    `first_mj` and `last_mj` are the counter at the ends of the span, in the epoch `epoch`. Where both are given,
    `energy_mj` is their difference; `first_mj` is None where the span began in an earlier epoch or without a counter.
    An end that falls between two readings has the later one less what is metered after the end.
    """

    board: str
    energy_mj: int
    epoch: str = ""
    first_mj: int | None = None
    last_mj: int | None = None


class EnergyMark(NamedTuple):
    """All that the next step needs to know of a board's energy."""

    epoch: str = ""
    counted_mj: int | None = None  # the counter up to which energy has been metered
    stale: bool = False  # the counter could not be read since: its next delta covers more than one step
    remainder_nj: int = 0  # of the power integral, below one millijoule


class EnergyAccount:
    """A board's energy: what each step used, and what the rows that were closed have taken of it."""

    __slots__ = (
        "_counted_mj",
        "_epoch",
        "_first_mj",
        "_mark",
        "_method",
        "_remainder_nj",
        "_stale",
        "_used_mj",
        "closed_mj",
    )

    def __init__(self, mark: EnergyMark) -> None:
        self._epoch, self._counted_mj, self._stale, self._remainder_nj = mark
        self._first_mj = self._counted_mj
        self._mark: tuple[str, int | None, bool, int] = mark
        self._method = NO_ENERGY
        self._used_mj: int | None = None  # since the last settlement
        self.closed_mj = 0  # of that, in rows that were closed

    def start_again(self, board: BoardSnapshot) -> None:
        """Take the present reading as the beginning: the board was away, and nobody's time covers its absence."""
        self._epoch, self._counted_mj, self._stale, self._remainder_nj = first_mark(board)
        self._first_mj = None

    def advance(self, now: BoardSnapshot | None, length_us: int, *, observed: bool) -> tuple[int | None, str]:
        """Return the energy in mJ of the step that ends at `now`, and by which method.

        None is energy that could not be read; a counter that returns in its epoch counts the whole of what was missed.
        Power says nothing of a step that was not `observed`.
        """
        energy_mj, method = self._read(now, length_us, observed=observed)
        self._method = method
        if energy_mj is not None:
            self._used_mj = energy_mj if self._used_mj is None else self._used_mj + energy_mj
        return energy_mj, method

    def settle(self, board: str, *, complete: bool) -> MeteredEnergy | None:
        """Return what the closed rows took since the last settlement, or None where no energy is known.

        `complete`: no row is open, so nothing may be left. Raises ConservationError where rows and board differ.
        """
        used_mj, closed_mj, first_mj, last_mj = self._used_mj, self.closed_mj, self._first_mj, self._counted_mj
        open_mj = (used_mj or 0) - closed_mj
        if open_mj < 0 or (complete and open_mj):
            raise ConservationError(
                f"energy of {board}: rows took {closed_mj} mJ of {used_mj} mJ",
                hint="this is a fault of the meter: report it with the agent's log",
            )
        if open_mj and last_mj is not None:
            last_mj = last_mj - open_mj if self._method in _BY_COUNTER else None
        self._first_mj, self._used_mj, self.closed_mj = last_mj, open_mj or None, 0
        self._mark = (self._epoch, last_mj, self._stale, self._remainder_nj)
        return None if used_mj is None else MeteredEnergy(board, closed_mj, self._epoch, first_mj, last_mj)

    def mark(self) -> EnergyMark:
        """Return the state at the end of what was settled last."""
        return EnergyMark(*self._mark)

    def _read(self, now: BoardSnapshot | None, length_us: int, *, observed: bool) -> tuple[int | None, str]:
        if now is None:
            return None, NO_ENERGY
        reading_mj, counted_mj = now.energy_mj, self._counted_mj
        if reading_mj is None:
            if counted_mj is None:
                return self._integrate(now.power_mw if observed else None, length_us)
            self._stale = True
            return None, NO_ENERGY
        method = CATCH_UP if self._stale else COUNTER
        self._counted_mj = reading_mj
        self._stale = False
        if counted_mj is None:
            self._epoch = now.epoch
            return self._integrate(now.power_mw if observed else None, length_us)
        if now.epoch != self._epoch or reading_mj < counted_mj:
            self._epoch = now.epoch
            self._first_mj = None
            return reading_mj, AFTER_RESET
        return reading_mj - counted_mj, method

    def _integrate(self, power_mw: int | None, length_us: int) -> tuple[int | None, str]:
        if power_mw is None:
            return None, NO_ENERGY
        energy_mj, self._remainder_nj = divmod(power_mw * length_us + self._remainder_nj, _NJ_PER_MJ)
        return energy_mj, POWER_INTEGRAL


def first_mark(board: BoardSnapshot) -> EnergyMark:
    """Return the mark of a board that is seen for the first time."""
    return EnergyMark(board.epoch if board.energy_mj is not None else "", board.energy_mj)


def merge_energy(spans: Iterable[MeteredEnergy]) -> list[MeteredEnergy]:
    """Return one entry a board for several spans in order of time, as a batch over all of them states it."""
    merged: dict[str, MeteredEnergy] = {}
    for span in spans:
        before = merged.get(span.board)
        if before is None:
            merged[span.board] = span
        else:
            chained = before.epoch == span.epoch and before.last_mj == span.first_mj
            merged[span.board] = span._replace(
                energy_mj=before.energy_mj + span.energy_mj, first_mj=before.first_mj if chained else None
            )
    return list(merged.values())
