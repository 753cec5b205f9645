"""The fan's intended speed, where a board has a fan of its own."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values


class FanSampler:
    """Asks for the speed in percent."""

    name = "fan"
    fields: tuple[int, ...] = ()

    def read(self, board: BoardAnswers) -> Values:
        """Return the speed."""
        return {"fan_percent": board.number("nvmlDeviceGetFanSpeed")}


FAN: Final = FanSampler()
