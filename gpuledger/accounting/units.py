"""Units: the integers that the ledger counts in, and the decimals that people read.

Time is microseconds, energy millijoules, memory bytes. A device's size is counted in parts of a GPU: 840 parts are one
whole GPU, so that the slices of every MIG geometry (1/2 .. 1/8) are integers and sum exactly to the card.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

US_PER_SECOND: Final = 1_000_000
US_PER_MINUTE: Final = 60 * US_PER_SECOND
US_PER_HOUR: Final = 60 * US_PER_MINUTE
US_PER_DAY: Final = 24 * US_PER_HOUR
MJ_PER_KWH: Final = 3_600_000_000
GPU_PARTS: Final = 840
PPM: Final = 1_000_000


def gpu_hours(part_us: int) -> Decimal:
    """Return GPU-hours for `part_us` (microseconds x parts of a GPU), unrounded to 28 digits."""
    return Decimal(part_us) / (US_PER_HOUR * GPU_PARTS)


def kwh(energy_mj: int) -> Decimal:
    """Return kilowatt-hours for millijoules."""
    return Decimal(energy_mj) / MJ_PER_KWH


def gpu_parts(slices: int, of: int) -> int:
    """Return the size in parts of a GPU of `slices` out of `of` compute slices.

    Raises ValueError where the fraction is not a whole number of parts.
    """
    parts, rest = divmod(GPU_PARTS * slices, of)
    if rest or not 0 < slices <= of:
        raise ValueError(f"{slices}/{of} of a GPU is not a whole number of 1/{GPU_PARTS} parts")
    return parts
