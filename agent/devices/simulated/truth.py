"""What is true of a fleet over an interval, worked out from its runs: the yardstick for all that measures it.

Nothing here reads the driver or the meter. Activity is that of whole minutes, energy the integral of the power model,
and both are summed by the same written rules as everywhere: time of sharers is split evenly, energy by idle floor and
work. What an agent cannot place exactly is a seam: the figures that it touches are right to within one sampling step,
or, where a lost board came back, to within the time after which an agent looks for it again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, TypeVar

from agent.devices.simulated.scenario import Fleet
from agent.devices.simulated.truth_board import BoardTruth, Line, Seam
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.units import GPU_PARTS, US_PER_MINUTE, US_PER_SECOND
from gpuledger.model import HELD_STATES, State

_K = TypeVar("_K", bound=Hashable)


class Figure(NamedTuple):
    """A true value. `within` is by how much an agent's may differ; 0: it is exact."""

    value: int
    within: int = 0

    @property
    def exact(self) -> bool:
        """Whether the driver gives this figure exactly."""
        return self.within == 0

    def agrees(self, other: int) -> bool:
        """Tell whether a measured value is what it should be."""
        return abs(other - self.value) <= self.within


class Sums(NamedTuple):
    """Totals of a group. Times are in microseconds x parts of a GPU (840 parts are a whole one)."""

    held: Figure
    active: Figure
    energy_mj: Figure

    @property
    def gpu_seconds(self) -> float:
        """Return the held time in GPU-seconds, for people."""
        return self.held.value / GPU_PARTS / US_PER_SECOND


class Truth(NamedTuple):
    """The truth of a fleet over `interval`, as an agent that samples every `step_us` from the start could know it."""

    interval: Interval
    step_us: int
    lines: tuple[Line, ...]
    seams: tuple[Seam, ...]

    def by(self, key: Callable[[Line], _K], *, states: bool = True) -> dict[_K, Sums]:
        """Return the sums of each group of lines. `states`: whether `key` looks at a line's state or reason."""
        groups: dict[_K, list[Line]] = defaultdict(list)
        places: dict[tuple[str, str], set[_K]] = defaultdict(set)
        parts: dict[str, int] = {}
        for line in self.lines:
            group = key(line)
            groups[group].append(line)
            places[line.device, line.holder or line.state.label].add(group)
            parts[line.device] = line.parts
        held, work, energy = self._rounding(groups)
        for seam in self.seams:
            touched = {group for who in seam.who for group in places.get((seam.device, who), ())}
            for group in touched:
                moved_us = max(seam.held_us, seam.state_us) if states else seam.held_us
                held[group] += moved_us * parts[seam.device]
                work[group] += seam.state_us * parts[seam.device]
                energy[group] += seam.energy_mj
        return {
            group: Sums(
                Figure(sum(line.held_us * line.parts for line in lines), held[group]),
                Figure(sum((line.active_us or 0) * line.parts for line in lines), work[group]),
                Figure(sum(line.energy_mj for line in lines), energy[group]),
            )
            for group, lines in groups.items()
        }

    def _rounding(self, groups: dict[_K, list[Line]]) -> tuple[dict[_K, int], dict[_K, int], dict[_K, int]]:
        """Return by how much rounding may move each group's time, work and energy: not at all for steps of a minute.

        Shares are whole microseconds and millijoules in each step; truth rounds them once a minute.
        """
        steps = US_PER_MINUTE // self.step_us if self.step_us < US_PER_MINUTE else 0
        held = {group: sum(line.shared_minutes * line.parts for line in lines) for group, lines in groups.items()}
        energy = {group: sum(2 * line.shared_minutes for line in lines) for group, lines in groups.items()}
        return (
            {group: steps * part_us for group, part_us in held.items()},
            dict.fromkeys(groups, 0),
            {group: steps * energy_mj for group, energy_mj in energy.items()},
        )

    def by_team(self) -> dict[str, Sums]:
        """Return what each team held, worked and used, all its states together."""
        sums = self.by(lambda line: line.team, states=False)
        return {team: sum_ for team, sum_ in sums.items() if team}

    def by_team_state(self) -> dict[tuple[str, State], Sums]:
        """Return each team's time in each state; the team is empty for what nobody held."""
        return self.by(lambda line: (line.team, line.state))

    def by_state(self) -> dict[State, Sums]:
        """Return the fleet's time in each state."""
        return self.by(lambda line: line.state)

    def by_device(self) -> dict[tuple[str, State], Sums]:
        """Return each device's time in each state."""
        return self.by(lambda line: (line.device, line.state))

    @property
    def part_us(self) -> int:
        """Return all time of all devices, in microseconds x parts of a GPU."""
        return sum(line.held_us * line.parts for line in self.lines)


def work_out(fleet: Fleet, interval: Interval | None = None, *, step_us: int = US_PER_MINUTE) -> Truth:
    """Return the truth of `fleet` over `interval` (whole minutes; None: all of it) for samples every `step_us`.

    Raises ValueError on an interval off the minute, and on a step that does not divide a minute.
    """
    interval = interval or Interval(fleet.start_us, fleet.end_us)
    if any(at_us % US_PER_MINUTE for at_us in interval) or US_PER_MINUTE % step_us:
        raise ValueError("truth is told for whole minutes, and steps that divide a minute")
    lines: list[Line] = []
    seams: list[Seam] = []
    for node in fleet.nodes:
        for board in node.boards:
            account = BoardTruth(fleet, node, board, interval, step_us)
            lines += account.lines()
            seams += account.seams()
    return Truth(interval, step_us, tuple(lines), tuple(seams))


def held_share(lines: Iterable[Line]) -> float:
    """Return which share of observed time was held, for people."""
    by_state: dict[State, int] = defaultdict(int)
    for line in lines:
        by_state[line.state] += line.held_us * line.parts
    held = sum(part_us for state, part_us in by_state.items() if state in HELD_STATES)
    return held / (sum(by_state.values()) - by_state[State.UNOBSERVED])
