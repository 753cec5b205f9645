"""Errors of the memories that were corrected, and those that could not be: since the driver's load, and in all."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import FieldSampler

ECC: Final = FieldSampler(
    "ecc",
    {
        "ecc_corrected_volatile": 3,  # NVML_FI_DEV_ECC_SBE_VOL_TOTAL
        "ecc_uncorrected_volatile": 4,  # NVML_FI_DEV_ECC_DBE_VOL_TOTAL
        "ecc_corrected_aggregate": 5,  # NVML_FI_DEV_ECC_SBE_AGG_TOTAL
        "ecc_uncorrected_aggregate": 6,  # NVML_FI_DEV_ECC_DBE_AGG_TOTAL
    },
)
