"""What the driver wants done before the board can be trusted again; R550 and newer."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import FieldSampler

RECOVERY: Final = FieldSampler("recovery", {"recovery_action": 230})  # NVML_FI_DEV_GET_GPU_RECOVERY_ACTION
