"""Pages of memory that are no longer used: how boards before Ampere live with bad memory."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import FieldSampler

RETIRED_PAGES: Final = FieldSampler(
    "retired_pages",
    {
        "retired_pages_single_bit": 29,  # NVML_FI_DEV_RETIRED_SBE
        "retired_pages_double_bit": 30,  # NVML_FI_DEV_RETIRED_DBE
        "retired_pages_pending": 31,  # NVML_FI_DEV_RETIRED_PENDING
    },
)
