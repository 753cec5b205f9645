"""The table of DCGM fields: the name that dashboards know, its type, unit and labels, and where we read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from agent.devices.base import BoardHealth, BoardReading, InstanceReading
from agent.metrics.family import COUNTER, GAUGE, Family
from gpuledger.accounting.units import PPM

LABELS: Final = (
    "gpu", "UUID", "pci_bus_id", "device", "modelName", "GPU_I_PROFILE", "GPU_I_ID", "GPU_CI_ID",
    "Hostname", "DCGM_FI_DRIVER_VERSION", "container", "namespace", "pod", "hpc_job",
)  # fmt: skip
MIB: Final = 1 << 20
PPM_PER_PERCENT: Final = 10_000


def _field(name: str, kind: str, text: str, *labels: str, unit: str = "", additive: bool = False) -> Family:
    return Family(name, kind, text, (*LABELS, *labels), unit, additive or kind == COUNTER)


class BoardField(NamedTuple):
    """What a board has once. `of` returns None where it was not read."""

    family: Family
    of: Callable[[BoardReading], float | None]


class DeviceField(NamedTuple):
    """What a device has as a whole, whoever shares it: a board without MIG (`of_board`), or a MIG instance."""

    family: Family
    of_board: Callable[[BoardReading], float | None]
    of_instance: Callable[[InstanceReading], float | None]


def _mib(value: int | None) -> int | None:
    return None if value is None else value // MIB


def _ratio(ppm: int | None) -> float | None:
    return None if ppm is None else ppm / PPM


def _free_bytes(instance: InstanceReading) -> int | None:
    """Return what is free of an instance: nothing of it is reserved."""
    total, used = instance.device.memory_bytes, instance.memory_used_bytes
    return None if total is None or used is None else max(0, total - used)


def _health(name: str, scale: int = 1) -> Callable[[BoardReading], float | None]:
    """Return what reads a field of a board's health, divided by `scale`."""
    column = BoardHealth._fields.index(name)

    def of(reading: BoardReading) -> float | None:
        value = None if reading.health is None else reading.health[column]
        return value if value is None or scale == 1 else value / scale

    return of


def _counts(field: str, name: str, text: str) -> BoardField:
    return BoardField(_field(f"DCGM_FI_DEV_{field}", COUNTER, text), _health(name))


def _held_down(field: str, name: str) -> BoardField:
    text = f"Time that clocks were held down: {field.removesuffix('_VIOLATION').replace('_', ' ').lower()} (ns)."
    return BoardField(_field(f"DCGM_FI_DEV_{field}", COUNTER, text, unit="ns"), _health(name))


BOARD_FIELDS: Final = (
    BoardField(
        _field("DCGM_FI_DEV_SM_CLOCK", GAUGE, "Clock of the multiprocessors (MHz).", unit="MHz"),
        _health("sm_clock_mhz"),
    ),
    BoardField(
        _field("DCGM_FI_DEV_MEM_CLOCK", GAUGE, "Clock of the memory (MHz).", unit="MHz"), _health("memory_clock_mhz")
    ),
    BoardField(
        _field("DCGM_FI_DEV_MEMORY_TEMP", GAUGE, "Temperature of the memory (C).", unit="C"),
        _health("memory_temperature_c"),
    ),
    BoardField(
        _field("DCGM_FI_DEV_GPU_TEMP", GAUGE, "Temperature of the GPU (C).", unit="C"),
        lambda reading: reading.temperature_c,
    ),
    BoardField(
        _field("DCGM_FI_DEV_POWER_USAGE", GAUGE, "Power draw of the board (W).", unit="W", additive=True),
        lambda reading: None if reading.power_mw is None else reading.power_mw / 1_000,
    ),
    BoardField(
        _field("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", COUNTER, "Energy of the board (mJ).", unit="mJ"),
        lambda reading: reading.energy_mj,
    ),
    _counts("PCIE_REPLAY_COUNTER", "pcie_replays", "Packets sent again over PCIe."),
    BoardField(
        _field("DCGM_FI_DEV_MEM_COPY_UTIL", GAUGE, "Time that memory was read or written (%).", unit="%"),
        _health("memory_copy_ppm", PPM_PER_PERCENT),
    ),
    BoardField(
        _field("DCGM_FI_DEV_ENC_UTIL", GAUGE, "Use of the video encoder (%).", unit="%"),
        _health("encoder_ppm", PPM_PER_PERCENT),
    ),
    BoardField(
        _field("DCGM_FI_DEV_DEC_UTIL", GAUGE, "Use of the video decoder (%).", unit="%"),
        _health("decoder_ppm", PPM_PER_PERCENT),
    ),
    BoardField(
        _field("DCGM_FI_DEV_FAN_SPEED", GAUGE, "Intended speed of the fan (%).", unit="%"), _health("fan_percent")
    ),
    BoardField(
        _field("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS", GAUGE, "Why clocks are low, as NVML's bits."),
        _health("throttle_reasons"),
    ),
    _held_down("POWER_VIOLATION", "power_violation_ns"),
    _held_down("THERMAL_VIOLATION", "thermal_violation_ns"),
    _held_down("SYNC_BOOST_VIOLATION", "sync_boost_violation_ns"),
    _held_down("BOARD_LIMIT_VIOLATION", "board_limit_violation_ns"),
    _held_down("LOW_UTIL_VIOLATION", "low_utilization_violation_ns"),
    _held_down("RELIABILITY_VIOLATION", "reliability_violation_ns"),
    _counts("ECC_SBE_VOL_TOTAL", "ecc_corrected_volatile", "Corrected memory errors since the driver's load."),
    _counts("ECC_DBE_VOL_TOTAL", "ecc_uncorrected_volatile", "Uncorrected memory errors since the driver's load."),
    _counts("ECC_SBE_AGG_TOTAL", "ecc_corrected_aggregate", "Corrected memory errors in the board's life."),
    _counts("ECC_DBE_AGG_TOTAL", "ecc_uncorrected_aggregate", "Uncorrected memory errors in the board's life."),
    _counts("RETIRED_SBE", "retired_pages_single_bit", "Pages no longer used after corrected errors."),
    _counts("RETIRED_DBE", "retired_pages_double_bit", "Pages no longer used after uncorrected errors."),
    _counts("RETIRED_PENDING", "retired_pages_pending", "Whether pages wait for a reset."),
    _counts("UNCORRECTABLE_REMAPPED_ROWS", "rows_remapped_uncorrectable", "Rows replaced after uncorrected errors."),
    _counts("CORRECTABLE_REMAPPED_ROWS", "rows_remapped_correctable", "Rows replaced after corrected errors."),
    BoardField(
        _field("DCGM_FI_DEV_ROW_REMAP_FAILURE", GAUGE, "Whether a row could not be replaced."),
        _health("row_remap_failure"),
    ),
    BoardField(
        _field("DCGM_FI_DEV_ROW_REMAP_PENDING", GAUGE, "Whether rows wait for a reset."), _health("row_remap_pending")
    ),
    _counts("NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL", "nvlink_crc_flit_errors", "NVLink flow control CRC errors."),
    _counts("NVLINK_CRC_DATA_ERROR_COUNT_TOTAL", "nvlink_crc_data_errors", "NVLink data CRC errors."),
    _counts("NVLINK_REPLAY_ERROR_COUNT_TOTAL", "nvlink_replays", "NVLink packets sent again."),
    _counts("NVLINK_RECOVERY_ERROR_COUNT_TOTAL", "nvlink_recoveries", "NVLink recoveries."),
)
DEVICE_FIELDS: Final = (
    DeviceField(
        _field("DCGM_FI_DEV_FB_FREE", GAUGE, "Device memory that is free (MiB).", unit="MiB", additive=True),
        lambda reading: _mib(reading.health.memory_free_bytes if reading.health else None),
        lambda instance: _mib(_free_bytes(instance)),
    ),
    DeviceField(
        _field(
            "DCGM_FI_DEV_FB_RESERVED", GAUGE, "Device memory that the driver keeps (MiB).", unit="MiB", additive=True
        ),
        lambda reading: _mib(reading.health.memory_reserved_bytes if reading.health else None),
        lambda _instance: None,
    ),
    DeviceField(
        _field("DCGM_FI_PROF_GR_ENGINE_ACTIVE", GAUGE, "Share of time that the graphics engine was active (ratio)."),
        lambda _reading: None,  # NVML tells it in whole percents only: DCGM_FI_DEV_GPU_UTIL
        lambda instance: _ratio(instance.utilization_ppm),
    ),
    DeviceField(
        _field("DCGM_FI_PROF_SM_ACTIVE", GAUGE, "Share of the multiprocessors that were at work (ratio)."),
        lambda reading: _ratio(reading.sm_active_ppm),
        lambda instance: _ratio(instance.sm_active_ppm),
    ),
)
FB_USED: Final = _field("DCGM_FI_DEV_FB_USED", GAUGE, "Device memory in use (MiB).", unit="MiB", additive=True)
GPU_UTIL: Final = _field("DCGM_FI_DEV_GPU_UTIL", GAUGE, "Time that a kernel ran; not with MIG (%).", unit="%")
XID_LAST: Final = _field("DCGM_FI_DEV_XID_ERRORS", GAUGE, "Code of the last XID, once there was one.")
XID_COUNT: Final = _field(
    "DCGM_EXP_XID_ERRORS_COUNT", GAUGE, "XIDs in the window that ends now.", "xid", "window_size_in_ms"
)
FAMILIES: Final = (
    *(field.family for field in BOARD_FIELDS),
    *(field.family for field in DEVICE_FIELDS),
    FB_USED,
    GPU_UTIL,
    XID_LAST,
    XID_COUNT,
)
