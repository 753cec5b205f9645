"""When a board's condition makes it unavailable: the driver wants it reset, or its memory cannot be repaired."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, NamedTuple

from agent.devices.base import BoardHealth

ROW_REMAP_FAILURE: Final = "row_remap_failure"


class RecoveryAction(NamedTuple):
    """What the driver wants done (NVML's nvmlDeviceGpuRecoveryAction_t), and the fault that a board has until then."""

    name: str
    fault: str


RECOVERY_ACTIONS: Final = {
    0: RecoveryAction("none", ""),
    1: RecoveryAction("gpu_reset", "reset_required"),
    2: RecoveryAction("node_reboot", "reboot_required"),
    3: RecoveryAction("drain_p2p", "drain_required"),
    4: RecoveryAction("drain_and_reset", "reset_required"),
    5: RecoveryAction("recover_imex_domain", "imex_recovery_required"),
    6: RecoveryAction("bus_reset", "reset_required"),
    7: RecoveryAction("system_reboot", "reboot_required"),
}

# Everything that makes a board unavailable unless the settings leave it out.
UNAVAILABLE_ON: Final = (*(action.name for action in RECOVERY_ACTIONS.values() if action.fault), ROW_REMAP_FAILURE)


def recovery_action(number: int) -> RecoveryAction:
    """Return the action of that number; one that nobody knows yet is wanted all the same."""
    return RECOVERY_ACTIONS.get(number) or RecoveryAction(f"action_{number}", "recovery_required")


def fault_of(health: BoardHealth, unavailable_on: Collection[str] = UNAVAILABLE_ON) -> str:
    """Return the fault of a board in that condition; empty where it is available. Unknown is no fault."""
    if health.recovery_action:
        action = recovery_action(health.recovery_action)
        if action.name in unavailable_on or action.name not in UNAVAILABLE_ON:
            return action.fault
    if health.row_remap_failure and ROW_REMAP_FAILURE in unavailable_on:
        return ROW_REMAP_FAILURE
    return ""
