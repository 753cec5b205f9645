"""Packets that had to be sent again over PCIe."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import FieldSampler

PCIE: Final = FieldSampler("pcie", {"pcie_replays": 94})  # NVML_FI_DEV_PCIE_REPLAY_COUNTER
