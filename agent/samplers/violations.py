"""How long clocks were held down, in nanoseconds for each cause, since the driver was loaded."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import FieldSampler

VIOLATIONS: Final = FieldSampler(
    "violations",
    {
        "power_violation_ns": 74,  # NVML_FI_DEV_PERF_POLICY_POWER
        "thermal_violation_ns": 75,  # NVML_FI_DEV_PERF_POLICY_THERMAL
        "sync_boost_violation_ns": 76,  # NVML_FI_DEV_PERF_POLICY_SYNC_BOOST
        "board_limit_violation_ns": 77,  # NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT
        "low_utilization_violation_ns": 78,  # NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION
        "reliability_violation_ns": 79,  # NVML_FI_DEV_PERF_POLICY_RELIABILITY
        "software_thermal_slowdown_ns": 269,  # NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN
        "hardware_thermal_slowdown_ns": 270,  # NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN
        "power_brake_slowdown_ns": 271,  # NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN
    },
)
