"""The table of samplers: which families there are, and how often each is read."""

from __future__ import annotations

from typing import Final

from agent.samplers.base import Sampler
from agent.samplers.clocks import CLOCKS
from agent.samplers.ecc import ECC
from agent.samplers.fan import FAN
from agent.samplers.memory_temperature import MEMORY_TEMPERATURE
from agent.samplers.nvlink import NVLINK
from agent.samplers.pcie import PCIE
from agent.samplers.recovery import RECOVERY
from agent.samplers.retired_pages import RETIRED_PAGES
from agent.samplers.row_remap import ROW_REMAP
from agent.samplers.throttle import THROTTLE
from agent.samplers.video import VIDEO
from agent.samplers.violations import VIOLATIONS

EVERY_READING: Final[tuple[Sampler, ...]] = (THROTTLE, CLOCKS)
SLOW: Final[tuple[Sampler, ...]] = (
    ECC,
    RETIRED_PAGES,
    ROW_REMAP,
    RECOVERY,
    PCIE,
    NVLINK,
    VIOLATIONS,
    MEMORY_TEMPERATURE,
    FAN,
    VIDEO,
)

# What is needed where nobody looks at metrics: whether time is available, why it is idle, and whether a card slows
# down. A driver that tells of a change has all of them read at once.
METERING_SLOW: Final[tuple[Sampler, ...]] = (ECC, ROW_REMAP, RECOVERY, THROTTLE, CLOCKS)
