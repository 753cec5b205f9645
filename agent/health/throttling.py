"""The bits that say why clocks are low, and which of them mean that the hardware is in trouble."""

from __future__ import annotations

from typing import Final

from agent.devices.base import BoardReading

REASONS: Final = {
    0x1: "idle",
    0x2: "application_clocks",
    0x4: "software_power_cap",
    0x8: "hardware_slowdown",
    0x10: "sync_boost",
    0x20: "software_thermal",
    0x40: "hardware_thermal",
    0x80: "hardware_power_brake",
    0x100: "display_clocks",
    0x200: "board_limit",
    0x400: "reliability",
}
TROUBLE: Final = 0x8 | 0x20 | 0x40 | 0x80  # too hot, or too little power: not a limit that somebody chose
THROTTLED: Final = "throttled"


def reason_names(bits: int) -> tuple[str, ...]:
    """Return the names of the reasons in `bits`, the lowest bit first; bits that have no name yet by their value."""
    known = [name for bit, name in REASONS.items() if bits & bit]
    rest = bits & ~sum(REASONS)
    return (*known, hex(rest)) if rest else tuple(known)


def idle_reason(reading: BoardReading) -> str:
    """Return `throttled` where heat or lack of power explains that a held board does no work, else ""."""
    health = reading.health
    if health is None or health.throttle_reasons is None:
        return ""
    return THROTTLED if health.throttle_reasons & TROUBLE else ""
