"""The clocks that a board runs at."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values

_SM: Final = 1  # NVML_CLOCK_SM
_MEMORY: Final = 2  # NVML_CLOCK_MEM


class ClocksSampler:
    """Asks for two of them."""

    name = "clocks"
    fields: tuple[int, ...] = ()

    def read(self, board: BoardAnswers) -> Values:
        """Return the clocks of the multiprocessors and of the memory."""
        return {
            "sm_clock_mhz": board.number("nvmlDeviceGetClockInfo", _SM),
            "memory_clock_mhz": board.number("nvmlDeviceGetClockInfo", _MEMORY),
        }


CLOCKS: Final = ClocksSampler()
