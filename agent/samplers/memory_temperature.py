"""The temperature of a board's memory, where it has a sensor (HBM)."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values

_FIELD: Final = 82  # NVML_FI_DEV_MEMORY_TEMP
_HOTTEST_C: Final = 200  # no memory works above it: a driver that says more has no sensor


class MemoryTemperatureSampler:
    """Reads the sensor."""

    name = "memory_temperature"
    fields = (_FIELD,)

    def read(self, board: BoardAnswers) -> Values:
        """Return the temperature; 0 is what drivers say where there is no sensor."""
        celsius = board.field(_FIELD)
        return {"memory_temperature_c": celsius if celsius is not None and 0 < celsius <= _HOTTEST_C else None}


MEMORY_TEMPERATURE: Final = MemoryTemperatureSampler()
