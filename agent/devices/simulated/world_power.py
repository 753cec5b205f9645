"""What a board draws: an idle floor, a little more with a context open, and a share up to its limit for activity."""

from __future__ import annotations

from typing import NamedTuple

from agent.devices.simulated.captures import Capture


class PowerModel(NamedTuple):
    """Power in milliwatts, linear in whole percents of activity, so that energy is an exact sum of integers."""

    idle_mw: int  # nobody holds the board
    held_mw: int  # a context is open, no kernel runs
    per_percent_mw: int
    clock_percent: int = 100  # of the clock that such a board has

    def power_mw(self, percent: int, *, held: bool) -> int:
        """Return what the board draws at that activity."""
        return (self.held_mw if held else self.idle_mw) + self.per_percent_mw * percent


def power_model(capture: Capture) -> PowerModel:
    """Return the power model of a board: from its idle power, with a twelfth of the way to its limit for a context."""
    idle_mw, limit_mw = capture.idle_power_mw, capture.power_limit_mw
    held_mw = idle_mw + (limit_mw - idle_mw) // 12
    return PowerModel(idle_mw, held_mw, (limit_mw - held_mw) // 100)
