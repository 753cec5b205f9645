"""The NVIDIA driver: the only door to `pynvml` outside the simulated driver."""

from agent.devices.nvml.source import NvmlSource

__all__ = ["NvmlSource"]
