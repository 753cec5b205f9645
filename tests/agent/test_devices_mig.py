"""MIG boards: sparse instances, profiles, left-over slices, and boards that are cut anew."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.devices.base import BoardReading
from agent.devices.nvml import NvmlSource, codes
from agent.devices.nvml.mig import parse_profile_of_name, profile_name, remainder_of
from agent.devices.simulated.captures import load_capture
from agent.devices.simulated.driver import SimulatedDriver
from agent.devices.simulated.world import BoardState, SliceSpec
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConservationError
from gpuledger.model import Device
from tests.agent.device_worlds import GIB, START_US, ScriptedWorld, board, mig_slice, process


class MigNode:
    """A node with one H100 that is cut into instances."""

    def __init__(self, *slices: SliceSpec) -> None:
        self.world = ScriptedWorld(board(0, "h100-sxm", *slices))
        self.clock = VirtualClock(START_US)
        self.driver = SimulatedDriver(self.world, self.clock)
        self.source = NvmlSource(clock=self.clock, epoch=str)

    def read(self) -> BoardReading:
        self.clock.advance_to(self.clock.now_us() + 1_000_000)
        with self.driver.install():
            return self.source.read().boards[0]


def test_instances_are_found_behind_holes() -> None:
    """MIG indices may have holes; instances, their profiles and what is left over sum to the board."""
    node = MigNode(mig_slice(0, "3g.40gb", 2), mig_slice(4, "1g.10gb", 9), mig_slice(6, "1g.10gb+me", 10))
    reading = node.read()
    assert reading.mig
    assert [(i.device.key, i.device.kind, i.device.mig_profile, i.device.parts) for i in reading.instances] == [
        ("MIG-0000", "mig", "3g.40gb", 360),
        ("MIG-0004", "mig", "1g.10gb", 120),
        ("MIG-0006", "mig", "1g.10gb+me", 120),
        ("GPU-0000/remainder", "remainder", "", 240),
    ]
    assert {i.device.board for i in reading.instances} == {"GPU-0000"}
    assert [i.device.memory_bytes for i in reading.instances[:2]] == [40_448 << 20, 9_984 << 20]


def test_a_full_board_has_no_remainder() -> None:
    """Seven slices of seven leave nothing over."""
    reading = MigNode(mig_slice(0, "4g.40gb", 1), mig_slice(1, "3g.40gb", 2)).read()
    assert [i.device.kind for i in reading.instances] == ["mig", "mig"]
    assert sum(i.device.parts for i in reading.instances) == GPU_PARTS


def test_memory_and_processes_belong_to_their_instance() -> None:
    """Each instance lists its own processes and their memory; energy and power are the board's."""
    node = MigNode(mig_slice(0, "3g.40gb", 2), mig_slice(3, "1g.10gb", 9))
    processes = (process(1, gpu_instance=2), process(2, gpu_instance=9, memory_bytes=2 * GIB))
    node.world.show(BoardState(energy_mj=50, power_mw=98_000, processes=processes))
    reading = node.read()
    assert (reading.energy_mj, reading.power_mw, reading.processes) == (50, 98_000, ())
    assert [(i.memory_used_bytes, [p.pid for p in i.processes]) for i in reading.instances] == [
        (GIB, [1]),
        (2 * GIB, [2]),
        (None, []),
    ]
    assert reading.memory_used_bytes == 3 * GIB


def test_activity_is_unknown_under_mig() -> None:
    """NVML tells no utilisation of a board that is cut, neither of the board nor of processes."""
    node = MigNode(mig_slice(0, "3g.40gb", 2))
    state = BoardState(
        utilization_ppm=900_000, processes=(process(1, 90, gpu_instance=2), process(2, 9, gpu_instance=2))
    )
    node.world.show(state)
    node.read()
    reading = node.read()
    assert (reading.utilization_ppm, reading.process_activity_ppm) == (None, None)


def test_a_board_that_is_cut_anew_shows_its_new_instances() -> None:
    """After the driver reported a change of the MIG configuration the instances are enumerated anew."""
    node = MigNode(mig_slice(0, "3g.40gb", 2))
    node.read()
    node.world.specs = (board(0, "h100-sxm", mig_slice(1, "2g.20gb", 3), mig_slice(2, "2g.20gb", 5)),)
    node.driver.recut()
    reading = node.read()
    assert [(i.device.mig_profile, i.device.parts) for i in reading.instances] == [
        ("2g.20gb", 240),
        ("2g.20gb", 240),
        ("", 360),
    ]


def test_a_board_that_is_lost_while_it_is_cut_anew_is_a_fault_only() -> None:
    """A board that does not answer after a change of its instances stops no other reading, and is found again."""
    node = MigNode(mig_slice(0, "3g.40gb", 2))
    node.read()
    node.driver.recut()
    node.driver.fail("nvmlDeviceGetMigMode", codes.GPU_IS_LOST)
    assert (node.read().fault, node.source.openings) == ("gpu_lost", 1)
    node.driver.mend("nvmlDeviceGetMigMode")
    assert [i.device.mig_profile for i in node.read().instances] == ["3g.40gb", ""]


def test_stale_handles_lead_to_a_new_enumeration_without_an_event() -> None:
    """Where events are not reported, a handle that died tells as much."""
    node = MigNode(mig_slice(0, "3g.40gb", 2))
    node.driver.fail("nvmlDeviceGetSupportedEventTypes", codes.NOT_SUPPORTED)
    node.read()
    node.world.specs = (board(0, "h100-sxm", mig_slice(5, "1g.10gb", 7)),)
    node.driver.recut()
    assert [i.device.mig_profile for i in node.read().instances] == ["1g.10gb", ""]


def test_a_board_that_is_no_longer_cut_is_a_whole_gpu() -> None:
    """When MIG is switched off the board itself is the device again."""
    node = MigNode(mig_slice(0, "7g.80gb", 0))
    assert node.read().mig
    node.world.specs = (board(0),)
    node.driver.recut()
    reading = node.read()
    assert (reading.mig, reading.instances, reading.utilization_ppm) == (False, (), 0)


def test_a_lost_board_keeps_the_devices_that_it_offered() -> None:
    """The instances of a lost board are named in its fault, so that their time can be booked as unavailable."""
    node = MigNode(mig_slice(0, "3g.40gb", 2), mig_slice(3, "1g.10gb", 9))
    node.world.show(BoardState(lost=True), after_s=2)
    before, after = node.read(), node.read()
    assert (after.fault, after.mig) == ("gpu_lost", True)
    assert [i.device for i in after.instances] == [i.device for i in before.instances]
    assert {i.memory_used_bytes for i in after.instances} == {None}


@pytest.mark.parametrize(
    ("capture", "profile"),
    [(name, p.name) for name in ("h100-sxm", "a100-40gb", "a100-80gb") for p in load_capture(name).mig.profiles],  # type: ignore[union-attr]
)
def test_a_profile_is_spelled_from_attributes_as_the_driver_names_it(capture: str, profile: str) -> None:
    """Where a driver does not name the profile, the instance's attributes spell the same name."""
    facts = load_capture(capture)
    cut = facts.profile(profile)
    media = cut.ofa > 0 and cut.slices < 7
    spelled = profile_name(cut.slices, cut.slices, cut.memory_mib << 20, facts.memory_total_bytes, media=media)
    assert spelled == profile


@pytest.mark.parametrize(
    ("name", "profile"),
    [
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", "1g.10gb"),
        ("NVIDIA A100-SXM4-40GB MIG 1c.3g.20gb", "1c.3g.20gb"),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", "1g.10gb+me"),
        ("NVIDIA H100 80GB HBM3", ""),
    ],
)
def test_a_profile_is_read_from_a_mig_device_name(name: str, profile: str) -> None:
    """NVML appends the profile to the board's name; a whole board has none."""
    assert parse_profile_of_name(name) == profile


@given(st.lists(st.integers(1, 7), max_size=7))
def test_instances_and_remainder_always_sum_to_the_board(slices: list[int]) -> None:
    """Parts sum to one whole GPU, or the instances are refused for being larger than their board."""
    whole = Device(key="GPU-x", kind="gpu", model="m")
    cut = [Device(key=f"MIG-{i}", kind="mig", model="m", parts=count * 120) for i, count in enumerate(slices)]
    if sum(slices) > 7:
        with pytest.raises(ConservationError, match="larger than the board"):
            remainder_of(whole, cut)
    else:
        rest = remainder_of(whole, cut)
        assert sum(device.parts for device in cut) + (rest.parts if rest else 0) == GPU_PARTS


def test_instances_that_do_not_fit_their_board_make_it_unreadable() -> None:
    """Caught while a board is cut anew its instances may exceed it: that board is a fault, and found again next time."""
    node = MigNode(mig_slice(0, "7g.80gb", 1), mig_slice(1, "1g.10gb", 2))
    assert (node.read().fault, node.read().fault) == ("unreadable", "unreadable")
    node.world.specs = (board(0, "h100-sxm", mig_slice(1, "1g.10gb", 2)),)
    node.driver.recut()
    reading = node.read()
    assert (reading.fault, [instance.device.parts for instance in reading.instances]) == ("", [120, 720])


def test_an_instance_that_is_no_part_of_its_board_makes_it_unreadable() -> None:
    """More slices than the board has are the driver's error: the board is a fault, the node is read on."""
    whole = mig_slice(0, "7g.80gb", 1)
    assert MigNode(whole._replace(slices=8)).read().fault == "unreadable"
