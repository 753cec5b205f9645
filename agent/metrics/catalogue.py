"""Every metric family of the agent in the order of the page, in the field's words and base units.

`docs/reference/metrics.md` is made from it. What the table of DCGM names adds stands in `agent.dcgm`.
"""

from __future__ import annotations

from typing import Final

from agent.metrics.family import COUNTER, GAUGE, INFO, Family
from agent.metrics.health import FAMILIES as HEALTH_FAMILIES
from agent.metrics.labels import DEVICE_LABELS, HOLDER_LABELS

HELD_LABELS: Final = (*DEVICE_LABELS, *HOLDER_LABELS)


def _gauge(name: str, text: str, *labels: str, unit: str = "", additive: bool = False) -> Family:
    return Family(f"gpuledger_{name}", GAUGE, text, labels, unit, additive)


def _counter(name: str, text: str, *labels: str, unit: str = "") -> Family:
    return Family(f"gpuledger_{name}_total", COUNTER, text, labels, unit, additive=True)


def _info(name: str, text: str, *labels: str) -> Family:
    return Family(f"gpuledger_{name}_info", INFO, text, labels)


def _device(name: str, text: str, *labels: str, unit: str = "", additive: bool = False, twin: str = "") -> Family:
    return Family(f"gpuledger_device_{name}", GAUGE, text, (*DEVICE_LABELS, *labels), unit, additive, twin)


AGENT: Final = _info("agent", "The agent that answers.", "node", "version")
DRIVER: Final = _info("driver", "The driver that was read last.", "node", "driver_version")
SAMPLER_SUCCESS: Final = _gauge("sampler_success", "1 where the last reading succeeded and is recent.", "sampler")
SAMPLER_DURATION: Final = _gauge(
    "sampler_duration_seconds", "How long the last reading took.", "sampler", unit="seconds"
)
SAMPLER_READINGS: Final = _counter("sampler_readings", "Readings that succeeded.", "sampler")
SAMPLER_FAILURES: Final = _counter("sampler_failures", "Readings that failed as a whole.", "sampler")
SAMPLE_AGE: Final = _gauge(
    "sample_age_seconds", "Age of the last reading; past three intervals its values are left out.", unit="seconds"
)
READER_STARTS: Final = _counter("driver_reader_starts", "Processes that were started to read the driver.")
READER_ENDS: Final = _counter(
    "driver_reader_ends",
    "Processes that read the driver no more: killed because it did not answer, ended on their own, or replaced "
    "because it was upgraded.",
    "reason",
)
READERS_ABANDONED: Final = _gauge(
    "driver_readers_abandoned", "Processes that hang in the driver and cannot be killed.", additive=True
)
GRANTS_FAILED: Final = _counter("grant_source_failures", "Readings of a scheduler's grants that failed.", "source")
LOOKUPS_FAILED: Final = _counter(
    "holder_lookups_failed", "Look-ups of a process or a pod that found nothing.", "reason"
)

DEVICE: Final = Family(
    "gpuledger_device_info", INFO, "Where the device is on its node.", (*DEVICE_LABELS, "pci_bus_id", "index", "minor")
)
ACTIVE: Final = _device(
    "active_ratio", "Part of the last interval in which the device did work.", unit="ratio", twin="DCGM_FI_DEV_GPU_UTIL"
)
SM_ACTIVE: Final = _device(
    "sm_active_ratio",
    "Share of the multiprocessors at work in the last interval.",
    unit="ratio",
    twin="DCGM_FI_PROF_SM_ACTIVE",
)
MEMORY_USED: Final = _device(
    "memory_used_bytes", "Device memory in use.", unit="bytes", additive=True, twin="DCGM_FI_DEV_FB_USED"
)
MEMORY_TOTAL: Final = _device("memory_total_bytes", "Device memory that there is.", unit="bytes", additive=True)
POWER: Final = _device(
    "power_watts", "Power draw of the board.", unit="watts", additive=True, twin="DCGM_FI_DEV_POWER_USAGE"
)
ENERGY: Final = Family(
    "gpuledger_device_energy_joules_total",
    COUNTER,
    "Energy of the board by its hardware counter.",
    DEVICE_LABELS,
    "joules",
    additive=True,
    twin="DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
)
TEMPERATURE: Final = _device(
    "temperature_celsius", "Temperature of the board.", unit="celsius", twin="DCGM_FI_DEV_GPU_TEMP"
)
STATE: Final = _device("state", "1 for the state that the device is in.", "state")
HELD: Final = _device(
    "held",
    "Share of the device that a holder has now, by granted replicas; 0 without a holder.",
    *HOLDER_LABELS,
    additive=True,
)

HOLDER_HELD: Final = _counter("holder_held_seconds", "Time that a holder had a device.", *HELD_LABELS, unit="seconds")
HOLDER_ACTIVE: Final = _counter(
    "holder_active_seconds", "Time that a device worked for its holder.", *HELD_LABELS, unit="seconds"
)
HOLDER_ENERGY: Final = _counter("holder_energy_joules", "Energy that went to the holder.", *HELD_LABELS, unit="joules")
XIDS: Final = Family(
    "gpuledger_xid_errors_total",
    COUNTER,
    "XIDs that the driver or the kernel reported; `class` says whose fault it is: application, memory, hardware, ...",
    (*DEVICE_LABELS, "xid", "class"),
    additive=True,
    twin="DCGM_FI_DEV_XID_ERRORS",
)

SPOOL_BATCHES: Final = _gauge("spool_batches", "Batches that wait for the collector.")
SPOOL_BYTES: Final = _gauge("spool_bytes", "Bytes that wait for the collector.", unit="bytes")
SPOOL_OLDEST: Final = _gauge("spool_oldest_seconds", "How long the oldest batch has waited.", unit="seconds")
SPOOL_FULL: Final = _gauge("spool_full", "1 while the spool takes no batch: metering waits.")
SPOOL_REFUSED: Final = _gauge("spool_refused", "Batches that the collector refused for good.")
SPOOL_DAMAGE: Final = _counter("spool_damage", "Damage found in the spool.", "kind")
DELIVERIES: Final = _counter("deliveries", "Attempts to deliver, by outcome.", "result")
CPU: Final = Family(
    "process_cpu_seconds_total", COUNTER, "CPU time of the agent, user and system.", unit="seconds", additive=True
)
RESIDENT: Final = Family(
    "process_resident_memory_bytes", GAUGE, "Resident memory of the agent.", unit="bytes", additive=True
)
STARTED: Final = Family("process_start_time_seconds", GAUGE, "When the agent started, since 1970.", unit="seconds")
SERIES_LIMIT: Final = _gauge("series_limit", "Series that a page may have: [exporter] max_series.")
SERIES_DROPPED: Final = _counter(
    "series_dropped",
    "Series that gave way to the ceiling: a holder whose totals went to `other` counts once each time, a series that "
    "was left out of a page once for each page.",
)

_OWN: Final = tuple(value for value in list(globals().values()) if isinstance(value, Family))
FAMILIES: Final = tuple(
    family for one in _OWN for family in ((one, *HEALTH_FAMILIES) if one is STATE else (one,))
)  # in the order of the page
