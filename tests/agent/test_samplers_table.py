"""The table of samplers: fields are NVML's, each figure has one family, and nothing of a board's condition is missing."""

from __future__ import annotations

from collections import Counter

import pynvml

from agent.devices.base import BoardHealth
from agent.samplers.ecc import ECC
from agent.samplers.nvlink import NVLINK
from agent.samplers.pcie import PCIE
from agent.samplers.recovery import RECOVERY
from agent.samplers.retired_pages import RETIRED_PAGES
from agent.samplers.row_remap import ROW_REMAP
from agent.samplers.table import EVERY_READING, METERING_SLOW, SLOW
from agent.samplers.violations import VIOLATIONS

_OF_THE_BOARD = {"memory_copy_ppm", "memory_free_bytes", "memory_reserved_bytes", "slow_at_us"}


class Silent:
    """A board that supports nothing."""

    def field(self, field: int) -> int | None:
        return None

    def number(self, function: str, *arguments: int, spare: int = 0) -> int | None:
        return None


def test_every_figure_has_exactly_one_family() -> None:
    """What the samplers name together is the whole of BoardHealth but what comes with the reading itself, once each."""
    named = Counter(name for sampler in (*EVERY_READING, *SLOW) for name in sampler.read(Silent()))
    assert set(named) | _OF_THE_BOARD == set(BoardHealth._fields)
    assert set(named.values()) == {1}


def test_what_is_not_supported_is_absent_and_not_zero() -> None:
    """A board that answers nothing has no figure at all."""
    for sampler in (*EVERY_READING, *SLOW):
        assert set(sampler.read(Silent()).values()) == {None}


def test_errors_of_memories_come_from_the_older_function_where_there_are_no_fields() -> None:
    """Each of the four counts is asked for by its kind and its span."""

    class Older(Silent):
        def number(self, function: str, *arguments: int, spare: int = 0) -> int | None:
            assert (function, spare) == ("nvmlDeviceGetTotalEccErrors", 0)
            corrected, volatile = pynvml.NVML_MEMORY_ERROR_TYPE_CORRECTED, pynvml.NVML_VOLATILE_ECC
            return 10 * (arguments[0] != corrected) + (arguments[1] != volatile)

    assert ECC.read(Older()) == {
        "ecc_corrected_volatile": 0,
        "ecc_corrected_aggregate": 1,
        "ecc_uncorrected_volatile": 10,
        "ecc_uncorrected_aggregate": 11,
    }


def test_names_of_families_are_unique() -> None:
    """A name stands for one family in metrics; metering reads a part of the table."""
    names = [sampler.name for sampler in (*EVERY_READING, *SLOW)]
    assert len(names) == len(set(names))
    assert set(METERING_SLOW) <= {*EVERY_READING, *SLOW}


def test_field_numbers_are_those_of_nvml() -> None:
    """The numbers stand in the samplers so that they need no driver; pynvml has the same ones."""
    assert ECC.fields == (
        pynvml.NVML_FI_DEV_ECC_SBE_VOL_TOTAL,
        pynvml.NVML_FI_DEV_ECC_DBE_VOL_TOTAL,
        pynvml.NVML_FI_DEV_ECC_SBE_AGG_TOTAL,
        pynvml.NVML_FI_DEV_ECC_DBE_AGG_TOTAL,
    )
    assert RETIRED_PAGES.fields == (
        pynvml.NVML_FI_DEV_RETIRED_SBE,
        pynvml.NVML_FI_DEV_RETIRED_DBE,
        pynvml.NVML_FI_DEV_RETIRED_PENDING,
    )
    assert ROW_REMAP.fields == (
        pynvml.NVML_FI_DEV_REMAPPED_COR,
        pynvml.NVML_FI_DEV_REMAPPED_UNC,
        pynvml.NVML_FI_DEV_REMAPPED_PENDING,
        pynvml.NVML_FI_DEV_REMAPPED_FAILURE,
    )
    assert NVLINK.fields[:4] == (
        pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
        pynvml.NVML_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
        pynvml.NVML_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL,
        pynvml.NVML_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
    )
    assert NVLINK.fields[4] == pynvml.NVML_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_L0
    assert PCIE.fields == (pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER,)
    assert RECOVERY.fields == (pynvml.NVML_FI_DEV_GET_GPU_RECOVERY_ACTION,)
    assert VIOLATIONS.fields == (
        pynvml.NVML_FI_DEV_PERF_POLICY_POWER,
        pynvml.NVML_FI_DEV_PERF_POLICY_THERMAL,
        pynvml.NVML_FI_DEV_PERF_POLICY_SYNC_BOOST,
        pynvml.NVML_FI_DEV_PERF_POLICY_BOARD_LIMIT,
        pynvml.NVML_FI_DEV_PERF_POLICY_LOW_UTILIZATION,
        pynvml.NVML_FI_DEV_PERF_POLICY_RELIABILITY,
        pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN,
        pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN,
        pynvml.NVML_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN,
    )
