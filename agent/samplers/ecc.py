"""Errors of the memories that were corrected, and those that could not be: since the driver's load, and in all."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import BoardAnswers, Values

_FIELDS: Final = {
    "ecc_corrected_volatile": 3,  # NVML_FI_DEV_ECC_SBE_VOL_TOTAL
    "ecc_uncorrected_volatile": 4,  # NVML_FI_DEV_ECC_DBE_VOL_TOTAL
    "ecc_corrected_aggregate": 5,  # NVML_FI_DEV_ECC_SBE_AGG_TOTAL
    "ecc_uncorrected_aggregate": 6,  # NVML_FI_DEV_ECC_DBE_AGG_TOTAL
}
_KINDS: Final = {  # as the older function asks for them: NVML_MEMORY_ERROR_TYPE_*, NVML_*_ECC
    "ecc_corrected_volatile": (0, 0),
    "ecc_uncorrected_volatile": (1, 0),
    "ecc_corrected_aggregate": (0, 1),
    "ecc_uncorrected_aggregate": (1, 1),
}


class EccSampler:
    """Reads the fields; a driver that has them not may have the function that they replaced."""

    name = "ecc"
    fields = tuple(_FIELDS.values())

    def read(self, board: BoardAnswers) -> Values:
        """Return the errors of all memories of the board together."""
        values = {name: board.field(field) for name, field in _FIELDS.items()}
        for name, value in values.items():
            if value is None:
                values[name] = board.number("nvmlDeviceGetTotalEccErrors", *_KINDS[name])
        return values


ECC: Final = EccSampler()
