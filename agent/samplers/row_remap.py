"""Rows of memory that were replaced by spare ones, wait for it, or could not be: Ampere and newer.

Not supported on a board that is cut into MIG instances.
"""

from __future__ import annotations

from typing import Final

from agent.samplers.base import FieldSampler

ROW_REMAP: Final = FieldSampler(
    "row_remap",
    {
        "rows_remapped_correctable": 142,  # NVML_FI_DEV_REMAPPED_COR
        "rows_remapped_uncorrectable": 143,  # NVML_FI_DEV_REMAPPED_UNC
        "row_remap_pending": 144,  # NVML_FI_DEV_REMAPPED_PENDING
        "row_remap_failure": 145,  # NVML_FI_DEV_REMAPPED_FAILURE
    },
)
