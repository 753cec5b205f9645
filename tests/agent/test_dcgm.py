"""DCGM's names, on demand: what existing dashboards read, without what would be added up wrongly."""

from __future__ import annotations

import msgspec
import pytest

from agent.dcgm import memory_shares, utilization_shares
from agent.dcgm_fields import BOARD_FIELDS, DEVICE_FIELDS, FAMILIES, LABELS
from agent.devices.base import BoardHealth, BoardReading, InstanceReading
from gpuledger.accounting.snapshot import DeviceSnapshot, Occupant
from tests.agent.metrics_scene import HEALTH, STEP, Scene, everything, run
from tests.agent.nodes import MINUTE, T0, board, gpu, mig_board, node

MIB = 1 << 20


def test_the_names_are_there_on_demand_only() -> None:
    """A page has no DCGM name unless it was asked for."""
    plain, asked = Scene(), Scene(dcgm_names=True)
    for scene in (plain, asked):
        scene.show(everything(T0), T0)
    assert "DCGM_" not in plain.text()
    assert asked.text().replace(plain.text(), "").count("# TYPE DCGM_") > 20


def test_a_board_held_by_one_pod_carries_its_names_and_units() -> None:
    """Watts, millijoules, MiB and percent, with the labels of the device and of the pod that holds it."""
    scene = Scene(dcgm_names=True)
    device = gpu(0, memory_bytes=80 << 30, pci_bus_id="00000000:17:00.0")
    reading = board(
        0, 1, energy_mj=5_000, power_mw=412_345, utilization_ppm=870_000, memory_used_bytes=40 << 30, temperature_c=61
    )._replace(device=device)
    scene.show(node(reading), T0)
    (labels,) = scene.samples("DCGM_FI_DEV_POWER_USAGE")
    assert dict(labels) == {
        "gpu": "0",
        "UUID": "GPU-0",
        "pci_bus_id": "00000000:17:00.0",
        "device": "nvidia0",
        "modelName": "NVIDIA H100 80GB HBM3",
        "Hostname": "node-a",
        "DCGM_FI_DRIVER_VERSION": "580",
        "namespace": "ns",
        "pod": "trainer",
        "container": "main",
    }
    values = {
        name: next(iter(scene.samples(f"DCGM_FI_DEV_{name}").values()))
        for name in ("POWER_USAGE", "TOTAL_ENERGY_CONSUMPTION", "GPU_UTIL", "FB_USED", "GPU_TEMP")
    }
    assert values == {
        "POWER_USAGE": 412.345,
        "TOTAL_ENERGY_CONSUMPTION": 5_000,
        "GPU_UTIL": 87,
        "FB_USED": 40_960,
        "GPU_TEMP": 61,
    }


def test_health_is_shown_under_their_names() -> None:
    """Each field of a board's health that DCGM has a name for stands there, in DCGM's unit."""
    scene = Scene(dcgm_names=True)
    scene.show(node(board(0, health=HEALTH._replace(memory_free_bytes=3 * MIB, encoder_ppm=250_000))), T0)
    shown = {
        name: value
        for name in (family.name for family in FAMILIES)
        for value in scene.samples(name).values()
    }  # fmt: skip
    assert shown["DCGM_FI_DEV_SM_CLOCK"] == HEALTH.sm_clock_mhz
    assert shown["DCGM_FI_DEV_ENC_UTIL"] == 25
    assert shown["DCGM_FI_DEV_FB_FREE"] == 3
    assert shown["DCGM_FI_DEV_POWER_VIOLATION"] == HEALTH.power_violation_ns
    assert shown["DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS"] == HEALTH.rows_remapped_correctable
    assert shown["DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS"] == HEALTH.rows_remapped_uncorrectable
    read = {field.family.name for field in BOARD_FIELDS}
    assert read - set(shown) == {
        "DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
    }  # fmt: skip


def test_what_was_not_read_is_absent() -> None:
    """Nothing stands for a missing value: not 0, not a blank of 2^63."""
    scene = Scene(dcgm_names=True)
    scene.show(node(board(0, health=BoardHealth())), T0)
    assert [name for name in (family.name for family in FAMILIES) if scene.samples(name)] == []


def cut_board() -> BoardReading:
    reading = mig_board(0, a=1)
    one = msgspec.structs.replace(reading.instances[0].device, memory_bytes=10 << 30, index=0, mig_profile="1g.10gb")
    first = InstanceReading(one, 4 << 30, reading.instances[0].processes, 400_000, "gpm", 7, 0, sm_active_ppm=125_000)
    second = reading.instances[1]._replace(gpu_instance=9)
    return reading._replace(
        instances=(first, second, reading.instances[2]), power_mw=300_000, temperature_c=50, utilization_ppm=None
    )


def test_energy_of_a_cut_board_stands_once_and_utilisation_not_at_all() -> None:
    """What dcgm-exporter copies to every instance stands on the board alone: adding it up is right."""
    scene = Scene(dcgm_names=True)
    scene.show(node(cut_board()), T0)
    for name, value in (("POWER_USAGE", 300), ("TOTAL_ENERGY_CONSUMPTION", 10), ("GPU_TEMP", 50)):
        assert scene.by(f"DCGM_FI_DEV_{name}", "UUID", "GPU_I_ID", "pod") == {("GPU-0", "", ""): value}
    assert scene.samples("DCGM_FI_DEV_GPU_UTIL") == {}


def test_an_instance_has_its_parent_its_number_and_its_pod() -> None:
    """Memory and activity of an instance carry the board's UUID, GPU_I_ID, GPU_I_PROFILE and who holds it."""
    scene = Scene(dcgm_names=True)
    scene.show(node(cut_board()), T0)
    labels = ("UUID", "GPU_I_ID", "GPU_I_PROFILE", "pod")
    assert scene.by("DCGM_FI_DEV_FB_USED", *labels) == {
        ("GPU-0", "7", "1g.10gb", "trainer"): 4_096,
        ("GPU-0", "9", "2g", ""): 0,
    }
    assert scene.by("DCGM_FI_DEV_FB_FREE", *labels) == {("GPU-0", "7", "1g.10gb", "trainer"): 6_144}
    assert scene.by("DCGM_FI_PROF_GR_ENGINE_ACTIVE", *labels) == {("GPU-0", "7", "1g.10gb", "trainer"): 0.4}
    assert scene.by("DCGM_FI_PROF_SM_ACTIVE", *labels) == {("GPU-0", "7", "1g.10gb", "trainer"): 0.125}


def test_compute_instances_of_one_gpu_instance_are_told_apart() -> None:
    """Two compute instances share GPU_I_ID and profile: one more label keeps them two series."""
    scene = Scene(dcgm_names=True)
    reading = cut_board()
    instances = tuple(
        instance._replace(
            device=msgspec.structs.replace(instance.device, mig_profile="1c.2g.20gb"),
            gpu_instance=3,
            compute_instance=number,
        )
        for number, instance in enumerate(reading.instances[:2])
    )
    scene.show(node(reading._replace(instances=instances)), T0)
    assert set(scene.by("DCGM_FI_DEV_FB_USED", "GPU_I_ID", "GPU_CI_ID")) == {("3", "0"), ("3", "1")}


def test_pods_that_share_a_device_have_their_own_part_and_never_a_copy() -> None:
    """Memory and utilisation are split by holder, the rest is nobody's; everything else stands once without a pod."""
    scene = Scene(dcgm_names=True)
    reading = board(
        0, 1, 2, memory=300 * MIB, memory_used_bytes=700 * MIB, utilization_ppm=900_000, power_mw=400_000,
        process_activity_ppm={1: 600_000, 2: 300_000},
    )  # fmt: skip
    scene.show(node(reading), T0)
    assert scene.by("DCGM_FI_DEV_FB_USED", "pod") == {("trainer",): 300, ("",): 400}  # a user's, and nobody's
    assert scene.by("DCGM_FI_DEV_GPU_UTIL", "pod") == {("trainer",): 60, ("",): 30}
    assert scene.by("DCGM_FI_DEV_POWER_USAGE", "pod") == {("",): 400}


@pytest.mark.parametrize(
    ("memories", "used", "shares"),
    [
        ((), 5 * MIB, [(None, 5)]),
        ((3 * MIB,), 5 * MIB, [("h0", 5)]),
        ((3 * MIB, MIB), 5 * MIB, [("h0", 3), ("h1", 1), (None, 1)]),
        ((3 * MIB, None), 5 * MIB, [(None, 5)]),
        ((3 * MIB, 3 * MIB), 5 * MIB, [(None, 5)]),  # the processes claim more than there is: nobody is believed
        ((3 * MIB, MIB), None, []),
    ],
)
def test_memory_is_split_only_where_all_of_it_is_known(
    memories: tuple[int | None, ...], used: int | None, shares: list[tuple[str | None, int]]
) -> None:
    """The parts of a shared device always sum to what is used of it."""
    occupants = tuple(Occupant(f"h{number}", memory_bytes=memory) for number, memory in enumerate(memories))
    found = memory_shares(DeviceSnapshot("d", occupants=occupants), used)
    assert found == shares
    assert sum(share for _, share in found) == (used or 0) // MIB


def test_utilisation_is_split_only_where_it_is_known_by_holder() -> None:
    """Without activity of processes the device's value stands once, for no pod."""
    shared = DeviceSnapshot("d", occupants=(Occupant("a"), Occupant("b")), activity_ppm=500_000)
    assert utilization_shares(shared) == [(None, 50)]
    assert utilization_shares(shared._replace(holder_activity_ppm={"b": 70_000})) == [("a", 0), ("b", 7)]
    assert utilization_shares(DeviceSnapshot("d")) == []


def test_a_slurm_job_is_named_as_dashboards_expect() -> None:
    """On a device that a Slurm job holds `hpc_job` is the job's number."""
    scene = Scene(dcgm_names=True)
    cgroup = "0::/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0\n"
    scene.processes[3] = scene.processes[1]._replace(pid=3, cgroup=cgroup)
    scene.show(node(board(0, 3, utilization_ppm=1)), T0)
    assert scene.by("DCGM_FI_DEV_GPU_UTIL", "hpc_job", "pod") == {("4711", ""): 0.0001}


def test_xids_are_the_last_one_and_those_of_the_last_five_minutes() -> None:
    """The last code stays; the count of a code goes when its window has passed."""
    scene = Scene(dcgm_names=True)
    run(scene, minutes=2)
    assert scene.by("DCGM_FI_DEV_XID_ERRORS", "UUID") == {("GPU-3",): 79}
    labels = ("UUID", "xid", "window_size_in_ms")
    assert scene.by("DCGM_EXP_XID_ERRORS_COUNT", *labels) == {("GPU-3", "79", "300000"): 1}
    scene.show(node(board(3)), T0 + 6 * MINUTE)
    assert scene.samples("DCGM_EXP_XID_ERRORS_COUNT") == {}
    assert scene.by("DCGM_FI_DEV_XID_ERRORS", "UUID") == {("GPU-3",): 79}


def test_old_readings_have_no_dcgm_names_either() -> None:
    """A stale value is not served under any name."""
    scene = Scene(dcgm_names=True)
    scene.show(everything(T0), T0)
    scene.clock.advance_to(T0 + 3 * STEP + 1)
    assert "DCGM_" not in scene.text()


def test_all_labels_are_declared() -> None:
    """The table states every label that a series may have."""
    scene = Scene(dcgm_names=True)
    run(scene)
    declared = {family.name: set(family.labels) for family in FAMILIES}
    for name, labels in declared.items():
        for found in scene.samples(name):
            assert {label for label, _ in found} <= labels
    assert all(set(LABELS) <= labels for labels in declared.values())
    assert len(declared) == len(BOARD_FIELDS) + len(DEVICE_FIELDS) + 4
