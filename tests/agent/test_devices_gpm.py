"""Performance counters (GPM) of Hopper and newer: the work of boards and of MIG instances, and the samples' memory."""

from __future__ import annotations

import pynvml
import pytest

from agent.devices.base import InstanceReading
from agent.devices.nvml import codes
from agent.devices.nvml.gpm import GpmReader
from agent.devices.simulated.world import BoardState, SliceSpec
from tests.agent.device_worlds import board, mig_slice, process
from tests.agent.driven import Driven


def _cut(*slices: SliceSpec) -> Driven:
    return Driven(board(0, "h100-sxm", *slices))


def _activity(instances: tuple[InstanceReading, ...]) -> list[tuple[int | None, int | None, str]]:
    return [(entry.utilization_ppm, entry.sm_active_ppm, entry.activity_method) for entry in instances]


def test_a_board_tells_how_many_of_its_multiprocessors_worked() -> None:
    """One small kernel makes a board look fully used; its counters tell that a twentieth of it was."""
    node = Driven()
    node.show(BoardState(utilization_ppm=1_000_000, sm_active_ppm=50_000))
    assert node.at(0).sm_active_ppm is None  # a figure lies between two samples
    reading = node.at(10)
    assert (reading.utilization_ppm, reading.sm_active_ppm) == (1_000_000, 50_000)


def test_activity_is_the_mean_since_the_previous_reading() -> None:
    """Each reading tells of its own period: the earlier sample is kept from reading to reading."""
    node = Driven()
    for second, ppm in enumerate((0, 800_000, 200_000)):
        node.show(BoardState(sm_active_ppm=ppm), after_s=second)
    assert [node.at(second).sm_active_ppm for second in (0, 1, 2)] == [None, 800_000, 200_000]


def test_each_instance_tells_of_its_own_work() -> None:
    """Under MIG there is no other activity: each GPU instance has its counters, and the method says so."""
    node = _cut(mig_slice(0, "3g.40gb", 2), mig_slice(3, "1g.10gb", 9))
    node.show(BoardState(processes=(process(1, 90, gpu_instance=2), process(2, 4, gpu_instance=9))))
    assert _activity(node.at(0).instances[:2]) == [(None, None, ""), (None, None, "")]
    instances = node.at(10).instances
    assert _activity(instances) == [(900_000, 900_000, "gpm"), (40_000, 40_000, "gpm"), (None, None, "")]
    assert [(entry.gpu_instance, entry.compute_instance) for entry in instances] == [(2, 0), (9, 0), (None, None)]


def test_compute_instances_that_share_a_gpu_instance_have_no_activity() -> None:
    """The counters are the GPU instance's: which of its compute instances worked nobody can tell."""
    first = mig_slice(0, "3g.40gb", 2)
    node = _cut(
        first, first._replace(index=1, uuid="MIG-0001", compute_instance=1, slices=1), mig_slice(3, "1g.10gb", 9)
    )
    node.show(BoardState(processes=(process(1, 90, gpu_instance=2), process(2, 4, gpu_instance=9))))
    node.at(0)
    assert _activity(node.at(10).instances[:3]) == [(None, None, ""), (None, None, ""), (40_000, 40_000, "gpm")]


def test_boards_before_hopper_have_none_and_are_not_sampled() -> None:
    """Where GPM is not supported no sample is made, and nothing is known."""
    node = Driven(board(0, "a100-40gb", mig_slice(0, "3g.20gb", 2, "a100-40gb")), board(1, "l40s"))
    node.driver.fail("nvmlGpmSampleAlloc", codes.UNKNOWN)
    node.node_at(0)
    reading = node.node_at(10)
    assert [entry.sm_active_ppm for entry in reading.boards] == [None, None]
    assert reading.boards[0].instances[0].activity_method == ""
    assert "gpm" not in {entry.name for entry in reading.samplers}


def test_samples_are_given_back_when_boards_are_cut_anew_opened_anew_and_closed() -> None:
    """Each reader holds two samples of the driver's; none is left over after any change."""
    node = _cut(mig_slice(0, "3g.40gb", 2), mig_slice(3, "1g.10gb", 9))
    node.at(0)
    assert node.driver.counters.lent == 6  # the board and two instances
    node.world.specs = (board(0, "h100-sxm", mig_slice(1, "2g.20gb", 3)),)
    node.driver.recut()
    node.at(10)
    assert node.driver.counters.lent == 4
    node.world.specs = (board(0),)
    node.driver.recut()
    node.at(20)
    assert node.driver.counters.lent == 2
    node.world.specs = (board(0), board(1))
    node.driver.recut()
    node.node_at(30)
    assert (node.driver.counters.lent, node.source.openings) == (4, 2)
    node.close()
    assert node.driver.counters.lent == 0


def test_readings_that_follow_too_closely_have_no_figure_and_lose_none() -> None:
    """The driver renews its counters every 100 ms: a reading in between knows nothing, the next one all of it."""
    node = Driven()
    node.show(BoardState(sm_active_ppm=300_000))
    assert [node.at(seconds).sm_active_ppm for seconds in (0, 0.05, 0.5)] == [None, None, 300_000]


def test_a_clock_that_was_set_back_makes_one_figure_unknown() -> None:
    """Two samples in the wrong order are no figure."""
    node = Driven()
    node.show(BoardState(sm_active_ppm=300_000), after_s=-10_000)
    assert [node.at(seconds).sm_active_ppm for seconds in (0, -600, -590)] == [None, None, 300_000]


def test_counters_that_fail_make_no_board_unreadable() -> None:
    """A failing counter is a missing figure, counted; the next sample begins a new period."""
    node = Driven()
    node.show(BoardState(utilization_ppm=500_000))
    node.at(0)
    node.driver.fail("nvmlGpmSampleGet", codes.UNKNOWN)
    reading = node.node_at(10)
    assert (reading.boards[0].fault, reading.boards[0].utilization_ppm) == ("", 500_000)
    assert reading.boards[0].sm_active_ppm is None
    assert {entry.name: entry.failures for entry in reading.samplers}["gpm"] == 1
    node.driver.mend("nvmlGpmSampleGet")
    assert [node.at(seconds).sm_active_ppm for seconds in (20, 30)] == [None, 500_000]


def test_counters_that_are_not_supported_after_all_are_not_asked_again() -> None:
    """A driver that knows the call and refuses the sample is asked once."""
    node = Driven()
    node.driver.fail("nvmlGpmSampleGet", codes.NOT_SUPPORTED)
    node.at(0)
    node.driver.mend("nvmlGpmSampleGet")
    assert [node.at(seconds).sm_active_ppm for seconds in (10, 20)] == [None, None]


@pytest.mark.parametrize(
    ("percent", "ppm"),
    [(0.0, 0), (37.5, 375_000), (101.0, 1_000_000), (250.0, None), (-1.0, None), (float("nan"), None)],
)
def test_a_figure_that_is_none_is_not_believed(percent: float, ppm: int | None) -> None:
    """A little above the whole is the whole; far above it, below nothing, or no number at all is unknown."""
    node = Driven()
    with node.driver.install():
        pynvml.nvmlInit()
        reader = GpmReader(pynvml.nvmlDeviceGetHandleByIndex(0))
        reader.read(0)

        def answer(question: int) -> int:
            asked = pynvml.c_nvmlGpmMetricsGet_t.from_address(question)
            for metric in asked.metrics[: asked.numMetrics]:
                metric.nvmlReturn, metric.value = codes.SUCCESS, percent
            return codes.SUCCESS

        node.driver._replace("nvmlGpmMetricsGet", answer)
        assert reader.read(1_000_000) == (ppm, ppm)


def test_an_identity_that_comes_back_is_another_tenancy() -> None:
    """The same UUID on the same GPU instance after a new cut begins anew: no figure spans the two tenancies."""
    node = _cut(mig_slice(0, "3g.40gb", 2))
    busy = BoardState(processes=(process(1, 100, gpu_instance=2),))
    node.show(busy)
    node.show(BoardState(processes=(process(2, 50, gpu_instance=2),)), after_s=15)
    node.at(0)
    assert _activity(node.at(10).instances[:1]) == [(1_000_000, 1_000_000, "gpm")]
    node.driver.recut()  # the instance was destroyed and made again, as it was
    reading = node.at(20)
    assert (reading.instances[0].device.key, [entry.pid for entry in reading.instances[0].processes]) == (
        "MIG-0000",
        [2],
    )
    assert _activity(reading.instances[:1]) == [(None, None, "")]
    assert _activity(node.at(30).instances[:1]) == [(500_000, 500_000, "gpm")]


def test_counters_can_be_left_alone() -> None:
    """Settings may forbid the counters: then no sample is made, and nothing is known."""
    node = Driven(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2)), gpm=False)
    node.at(0)
    assert (_activity(node.at(10).instances[:1]), node.driver.counters.lent) == ([(None, None, "")], 0)


@pytest.mark.parametrize(
    "call",
    ["nvmlDeviceGetMinorNumber", "nvmlGpmQueryDeviceSupport", "nvmlDeviceGetGpuInstanceId", "nvmlGpuInstanceGetInfo"],
)
def test_a_fact_that_cannot_be_had_leaves_a_board_readable(call: str) -> None:
    """Whatever is wrong with a question that is only nice to have answered, the board and its processes are read."""
    node = Driven(board(0, "h100-sxm", mig_slice(0, "3g.40gb", 2)))
    node.driver.fail(call, codes.UNKNOWN)
    node.show(BoardState(processes=(process(7, gpu_instance=2),)))
    reading = node.at(0)
    assert (reading.fault, [entry.pid for entry in reading.instances[0].processes]) == ("", [7])
