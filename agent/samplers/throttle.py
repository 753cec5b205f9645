"""Why clocks are as low as they are, as bits."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values

_NOW: Final = "nvmlDeviceGetCurrentClocksEventReasons"
_BEFORE_R535: Final = "nvmlDeviceGetCurrentClocksThrottleReasons"


class ThrottleSampler:
    """Asks for the reasons under the name that the library has for it."""

    name = "throttle"
    fields: tuple[int, ...] = ()

    def read(self, board: BoardAnswers) -> Values:
        """Return the bits."""
        reasons = board.number(_NOW)
        return {"throttle_reasons": board.number(_BEFORE_R535) if reasons is None else reasons}


THROTTLE: Final = ThrottleSampler()
