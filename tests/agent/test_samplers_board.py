"""Samplers on a driven board: paces, failures that hide nothing else, and figures of how each family goes."""

from __future__ import annotations

import pynvml
import pytest

from agent.devices.base import BoardHealth, SamplerStats
from agent.devices.nvml import codes
from agent.devices.simulated.world import BoardState, Condition
from gpuledger.errors import DeviceError
from tests.agent.device_worlds import START_US, board, mig_slice
from tests.agent.driven import Driven


def _health(node: Driven, seconds: float, board: int = 0) -> BoardHealth:
    health = node.at(seconds, board).health
    assert health is not None
    return health


def _stats(node: Driven, seconds: float) -> dict[str, SamplerStats]:
    return {stats.name: stats for stats in node.node_at(seconds).samplers}


def _faulty(**fields: int) -> BoardState:
    return BoardState(condition=Condition(fields={int(name[1:]): value for name, value in fields.items()}))


def test_planted_figures_come_out_as_they_are() -> None:
    """Counters, flags, temperatures and reasons of a board in trouble are read through the real pynvml."""
    node = Driven()
    fields = {3: 7, 4: 1, 6: 3, 82: 91, 94: 12, 38: 4, 143: 2, 144: 1, 145: 0, 230: 4, 75: 2**40, 271: 5}
    node.show(BoardState(condition=Condition(throttle_reasons=0x48, fields=fields)))
    health = _health(node, 0)
    assert (health.throttle_reasons, health.sm_clock_mhz, health.memory_clock_mhz) == (0x48, 345, 2_619)
    assert (health.ecc_corrected_volatile, health.ecc_uncorrected_volatile) == (7, 1)
    assert (health.ecc_corrected_aggregate, health.ecc_uncorrected_aggregate) == (0, 3)
    assert (health.memory_temperature_c, health.pcie_replays, health.nvlink_crc_flit_errors) == (91, 12, 4)
    assert (health.rows_remapped_uncorrectable, health.row_remap_pending, health.row_remap_failure) == (2, 1, 0)
    assert (health.recovery_action, health.thermal_violation_ns, health.power_brake_slowdown_ns) == (4, 2**40, 5)
    assert (health.memory_copy_ppm, health.memory_free_bytes, health.memory_reserved_bytes) == (
        0, (81_559 - 480) << 20, 480 << 20,
    )  # fmt: skip
    assert (health.encoder_ppm, health.decoder_ppm, health.fan_percent) == (0, 0, None)


def test_links_are_added_up_where_there_is_no_total() -> None:
    """A driver with counters for each link and none for all of them has their sum."""
    node = Driven()
    node.show(_faulty(f32=1, f33=2, f37=4))
    assert _health(node, 0).nvlink_crc_flit_errors == 7


def test_no_sensor_is_no_temperature() -> None:
    """A memory temperature of 0 means that there is no sensor."""
    node = Driven()
    node.show(_faulty(f82=0))
    assert _health(node, 0).memory_temperature_c is None


def test_slow_families_keep_their_pace_and_quick_ones_theirs() -> None:
    """Fields are read once a minute; throttling is of every reading."""
    node = Driven()
    node.show(BoardState(condition=Condition(0, {4: 1})))
    node.show(BoardState(condition=Condition(0x40, {4: 2})), after_s=10)
    seen = [_health(node, seconds) for seconds in (0, 10, 59, 60)]
    assert [health.throttle_reasons for health in seen] == [0, 0x40, 0x40, 0x40]
    assert [health.ecc_uncorrected_volatile for health in seen] == [1, 1, 1, 2]
    assert [health.slow_at_us for health in seen] == [START_US, START_US, START_US, START_US + 60_000_000]


def test_fields_are_read_in_one_call() -> None:
    """Whatever the slow families want of fields costs one call of the driver, and energy and power another."""
    node = Driven()
    counted: list[int] = []

    def count(function):  # type: ignore[no-untyped-def]
        def call(*arguments: int) -> int:
            counted.append(1)
            return int(function(*arguments))

        return call

    node.driver._replace("nvmlDeviceGetFieldValues", count(node.driver._functions["nvmlDeviceGetFieldValues"]))
    node.at(0)
    assert len(counted) == 2
    node.at(10)
    assert len(counted) == 3


@pytest.mark.parametrize(
    "event", [pynvml.nvmlEventTypeXidCriticalError, pynvml.nvmlEventTypeDoubleBitEccError, pynvml.nvmlEventTypeGpuRecoveryAction]
)  # fmt: skip
def test_an_event_of_the_driver_makes_the_slow_families_look_at_once(event: int) -> None:
    """What the driver reports is looked at with the reading that hears of it, not a minute later."""
    node = Driven()
    node.show(BoardState())
    xid = event == pynvml.nvmlEventTypeXidCriticalError
    told = BoardState(
        condition=Condition(fields={230: 1}), xids=(48,) if xid else (), condition_events=() if xid else (event,)
    )
    node.show(told, after_s=10)
    assert _health(node, 0).recovery_action == 0
    reading = node.node_at(10)
    assert reading.boards[0].health is not None
    assert reading.boards[0].health.recovery_action == 1
    assert [told.kind for told in reading.events] == (["xid"] if xid else [])


def test_a_family_that_fails_hides_no_other() -> None:
    """One function that fails is one figure that is missing, counted and named; the board is healthy otherwise."""
    node = Driven(board(0), board(1))
    node.driver.fail("nvmlDeviceGetCurrentClocksEventReasons", codes.UNKNOWN, board=0)
    reading = node.node_at(0)
    first, second = (entry.health for entry in reading.boards)
    assert first is not None
    assert second is not None
    assert [entry.fault for entry in reading.boards] == ["", ""]
    assert (first.throttle_reasons, first.sm_clock_mhz, first.row_remap_failure) == (None, 345, 0)
    assert second.throttle_reasons == 0
    stats = {entry.name: entry for entry in reading.samplers}
    assert (stats["throttle"].successes, stats["throttle"].failures) == (1, 1)
    assert "NVML error 999" in stats["throttle"].last_error
    assert (stats["clocks"].successes, stats["clocks"].failures, stats["clocks"].last_error) == (2, 0, "")
    assert stats["clocks"].duration_s > 0


def test_a_field_that_fails_fails_its_family_only() -> None:
    """Each field has its own return code: the family that asked for it fails, the others have their figures."""
    node = Driven()
    real = node.driver._functions["nvmlDeviceGetFieldValues"]

    def failing(handle: int, count: int, values: int) -> int:
        code = int(real(handle, count, values))
        for entry in (pynvml.c_nvmlFieldValue_t * count).from_address(values):
            if entry.fieldId == pynvml.NVML_FI_DEV_PCIE_REPLAY_COUNTER:
                entry.nvmlReturn = codes.UNKNOWN
        return code

    node.driver._replace("nvmlDeviceGetFieldValues", failing)
    health = _health(node, 0)
    assert (health.pcie_replays, health.ecc_uncorrected_volatile, health.memory_temperature_c) == (None, 0, 37)
    stats = _stats(node, 0)
    assert (stats["pcie"].failures, stats["ecc"].failures) == (1, 0)
    assert "field 94" in stats["pcie"].last_error


def test_fields_that_fail_as_a_whole_fail_all_their_families() -> None:
    """Where the one call for fields fails, each family of fields says so; functions are asked all the same."""
    node = Driven(gauges=False)  # energy has a call of its own then
    node.driver.fail("nvmlDeviceGetFieldValues", codes.TIMEOUT)
    health = _health(node, 0)
    assert (health.recovery_action, health.throttle_reasons) == (None, 0)
    stats = _stats(node, 1)
    assert {name: entry.failures for name, entry in stats.items() if entry.failures} == {
        "ecc": 1,
        "row_remap": 1,
        "recovery": 1,
    }


def test_what_is_not_supported_is_asked_once_until_the_board_is_cut_anew() -> None:
    """NOT_SUPPORTED is remembered; whether a board is cut decides what it supports, so cutting it asks again."""
    node = Driven()
    node.driver.fail("nvmlDeviceGetClockInfo", codes.NOT_SUPPORTED)
    assert _health(node, 0).sm_clock_mhz is None
    node.driver.mend("nvmlDeviceGetClockInfo")
    assert _health(node, 1).sm_clock_mhz is None
    node.driver.recut()
    assert _health(node, 2).sm_clock_mhz == 345


def test_the_older_name_of_throttle_reasons_is_used_where_there_is_no_newer() -> None:
    """Drivers before R535 have the reasons under another name."""
    node = Driven()
    node.driver.remove("nvmlDeviceGetCurrentClocksEventReasons")
    node.show(BoardState(condition=Condition(0x80)))
    assert _health(node, 0).throttle_reasons == 0x80


def test_remapped_rows_are_unknown_on_a_board_that_is_cut() -> None:
    """The driver does not tell of remapped rows while there are MIG instances."""
    node = Driven(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2)))
    health = _health(node, 0)
    assert (health.row_remap_failure, health.ecc_uncorrected_volatile) == (None, 0)


def test_a_driver_that_goes_away_in_a_sampler_is_opened_again() -> None:
    """A sampler does not swallow that the driver is gone."""
    node = Driven()
    node.at(0)
    node.driver.fail("nvmlDeviceGetClockInfo", codes.DRIVER_NOT_LOADED)
    with pytest.raises(DeviceError, match="failed at reading"):
        node.at(1)
    node.driver.mend("nvmlDeviceGetClockInfo")
    assert _health(node, 2).sm_clock_mhz == 345


def test_an_opening_anew_keeps_the_pace_of_slow_families() -> None:
    """Opening NVML again does not make the slow families read more often."""
    node = Driven()
    node.at(0)
    node.world.load = "second"
    assert _health(node, 10).slow_at_us == START_US


def test_metering_alone_needs_few_families() -> None:
    """Without gauges there are no fans and links, and still what makes a board unavailable, and its clock."""
    node = Driven(gauges=False)
    node.show(_faulty(f230=2, f94=3))
    health = _health(node, 0)
    assert (health.recovery_action, health.row_remap_failure, health.throttle_reasons) == (2, 0, 0)
    assert (health.fan_percent, health.pcie_replays, health.memory_free_bytes) == (None, None, None)
    assert health.sm_clock_mhz is not None
