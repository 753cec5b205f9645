"""What the page says of a board's condition: one table from the fields of its health to families and units."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from agent.devices.base import BoardHealth
from agent.metrics.family import COUNTER, GAUGE, Family, Filled, Sample
from agent.metrics.labels import DEVICE_LABELS, DeviceBlocks
from gpuledger.accounting.units import PPM

HZ_PER_MHZ: Final = 1_000_000
NS_PER_SECOND: Final = 1_000_000_000

# The bits of NVML's clock event reasons (nvmlClocksEventReasons*), as its header names them.
THROTTLE_REASONS: Final = {
    0x1: "gpu_idle",
    0x2: "applications_clocks_setting",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}


class Row(NamedTuple):
    """A field of BoardHealth as a series: its family, its own labels, its unit (`times / per` of the family's)."""

    family: Family
    field: str
    labels: str = ""
    times: int = 1
    per: int = 1


def _gauge(name: str, text: str, unit: str = "", twin: str = "") -> Family:
    return Family(f"gpuledger_device_{name}", GAUGE, text, DEVICE_LABELS, unit, twin=twin)


def _counter(name: str, text: str, *labels: str, unit: str = "", twin: str = "") -> Family:
    return Family(
        f"gpuledger_device_{name}_total", COUNTER, text, (*DEVICE_LABELS, *labels), unit, additive=True, twin=twin
    )


_ECC: Final = _counter(
    "ecc_errors",
    "Memory errors: volatile since the driver was loaded, aggregate in the board's life.",
    "error",
    "counter",
    twin="DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
)
_RETIRED: Final = _counter(
    "retired_pages", "Pages of memory that are no longer used.", "cause", twin="DCGM_FI_DEV_RETIRED_SBE"
)
_REMAPPED: Final = _counter(
    "remapped_rows", "Rows of memory replaced by spare ones.", "error", twin="DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"
)
_NVLINK: Final = _counter(
    "nvlink_errors", "Errors of all NVLinks.", "error", twin="DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL"
)
_SLOWED: Final = _counter(
    "throttled_seconds",
    "Time in which clocks were held down, since the driver was loaded.",
    "reason",
    unit="seconds",
    twin="DCGM_FI_DEV_POWER_VIOLATION",
)
THROTTLE: Final = Family(
    "gpuledger_device_throttle_reason",
    GAUGE,
    "1 for each reason why clocks are as low as they are.",
    (*DEVICE_LABELS, "reason"),
    twin="DCGM_FI_DEV_CLOCK_THROTTLE_REASONS",
)

ROWS: Final = (
    Row(
        _gauge("sm_clock_hertz", "Clock of the multiprocessors.", "hertz", "DCGM_FI_DEV_SM_CLOCK"),
        "sm_clock_mhz",
        times=HZ_PER_MHZ,
    ),
    Row(
        _gauge("memory_clock_hertz", "Clock of the memory.", "hertz", "DCGM_FI_DEV_MEM_CLOCK"),
        "memory_clock_mhz",
        times=HZ_PER_MHZ,
    ),
    Row(
        _gauge(
            "memory_busy_ratio",
            "Part of the driver's sample period in which memory was read or written.",
            "ratio",
            "DCGM_FI_DEV_MEM_COPY_UTIL",
        ),
        "memory_copy_ppm",
        per=PPM,
    ),
    Row(
        _gauge("encoder_active_ratio", "How busy the video encoder was.", "ratio", "DCGM_FI_DEV_ENC_UTIL"),
        "encoder_ppm",
        per=PPM,
    ),
    Row(
        _gauge("decoder_active_ratio", "How busy the video decoder was.", "ratio", "DCGM_FI_DEV_DEC_UTIL"),
        "decoder_ppm",
        per=PPM,
    ),
    Row(
        _gauge("memory_reserved_bytes", "Memory that the driver keeps.", "bytes", "DCGM_FI_DEV_FB_RESERVED"),
        "memory_reserved_bytes",
    ),
    Row(
        _gauge("memory_temperature_celsius", "Temperature of the memory.", "celsius", "DCGM_FI_DEV_MEMORY_TEMP"),
        "memory_temperature_c",
    ),
    Row(
        _gauge("fan_speed_ratio", "Intended speed of the fan.", "ratio", "DCGM_FI_DEV_FAN_SPEED"),
        "fan_percent",
        per=100,
    ),
    Row(
        _gauge(
            "recovery_action",
            "What the driver wants done: 0 nothing, 1 reset, 2 reboot, 3 drain P2P, 4 drain and reset.",
        ),
        "recovery_action",
    ),
    Row(_ECC, "ecc_corrected_volatile", 'error="corrected",counter="volatile"'),
    Row(_ECC, "ecc_uncorrected_volatile", 'error="uncorrected",counter="volatile"'),
    Row(_ECC, "ecc_corrected_aggregate", 'error="corrected",counter="aggregate"'),
    Row(_ECC, "ecc_uncorrected_aggregate", 'error="uncorrected",counter="aggregate"'),
    Row(_RETIRED, "retired_pages_single_bit", 'cause="single_bit"'),
    Row(_RETIRED, "retired_pages_double_bit", 'cause="double_bit"'),
    Row(
        _gauge("retired_pages_pending", "1 where pages wait for a reset.", twin="DCGM_FI_DEV_RETIRED_PENDING"),
        "retired_pages_pending",
    ),
    Row(_REMAPPED, "rows_remapped_correctable", 'error="correctable"'),
    Row(_REMAPPED, "rows_remapped_uncorrectable", 'error="uncorrectable"'),
    Row(
        _gauge("row_remap_pending", "1 where rows wait for a reset.", twin="DCGM_FI_DEV_ROW_REMAP_PENDING"),
        "row_remap_pending",
    ),
    Row(
        _gauge("row_remap_failure", "1 where a row could not be replaced.", twin="DCGM_FI_DEV_ROW_REMAP_FAILURE"),
        "row_remap_failure",
    ),
    Row(
        _counter("pcie_replays", "Packets sent again over PCIe.", twin="DCGM_FI_DEV_PCIE_REPLAY_COUNTER"),
        "pcie_replays",
    ),
    Row(_NVLINK, "nvlink_crc_flit_errors", 'error="crc_flit"'),
    Row(_NVLINK, "nvlink_crc_data_errors", 'error="crc_data"'),
    Row(_NVLINK, "nvlink_replays", 'error="replay"'),
    Row(_NVLINK, "nvlink_recoveries", 'error="recovery"'),
    Row(_SLOWED, "power_violation_ns", 'reason="power"', per=NS_PER_SECOND),
    Row(_SLOWED, "thermal_violation_ns", 'reason="thermal"', per=NS_PER_SECOND),
    Row(_SLOWED, "sync_boost_violation_ns", 'reason="sync_boost"', per=NS_PER_SECOND),
    Row(_SLOWED, "board_limit_violation_ns", 'reason="board_limit"', per=NS_PER_SECOND),
    Row(_SLOWED, "low_utilization_violation_ns", 'reason="low_utilization"', per=NS_PER_SECOND),
    Row(_SLOWED, "reliability_violation_ns", 'reason="reliability"', per=NS_PER_SECOND),
    Row(_SLOWED, "software_thermal_slowdown_ns", 'reason="software_thermal_slowdown"', per=NS_PER_SECOND),
    Row(_SLOWED, "hardware_thermal_slowdown_ns", 'reason="hardware_thermal_slowdown"', per=NS_PER_SECOND),
    Row(_SLOWED, "power_brake_slowdown_ns", 'reason="power_brake_slowdown"', per=NS_PER_SECOND),
)
FAMILIES: Final = (THROTTLE, *dict.fromkeys(row.family for row in ROWS))
_COLUMNS: Final = tuple(
    (family.name, BoardHealth._fields.index(field), f",{labels}}}" if labels else "}", times, per)
    for family, field, labels, times, per in ROWS
)


class HealthFamilies:
    """Gathers the health of one board after the other."""

    def __init__(self) -> None:
        self._samples: dict[str, list[Sample]] = {family.name: [] for family in FAMILIES}

    def add(self, block: DeviceBlocks, health: BoardHealth | None) -> None:
        """Add what is known of a board."""
        if health is None:
            return
        start = f"{{{block.pairs}"
        for name, column, end, times, per in _COLUMNS:
            value = health[column]
            if value is not None:
                self._samples[name].append((f"{start}{end}", value * times if per == 1 else value / per))
        self._samples[THROTTLE.name] += _reasons(start, health.throttle_reasons)

    def families(self) -> list[Filled]:
        """Return what was gathered."""
        return [(family, self._samples[family.name]) for family in FAMILIES]


def _reasons(start: str, bits: int | None) -> Iterator[Sample]:
    if bits is not None:
        for bit, reason in THROTTLE_REASONS.items():
            yield f'{start},reason="{reason}"}}', int(bool(bits & bit))
