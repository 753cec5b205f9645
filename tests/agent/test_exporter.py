"""`/metrics` says what is so now: in the agreed words, and never a stale value."""

from __future__ import annotations

import threading
from collections.abc import Callable

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.devices.base import NodeReading, SamplerStats
from agent.metrics.devices import state_of
from agent.tallies import RETENTION_US
from gpuledger.accounting.snapshot import DeviceSnapshot, Occupant
from gpuledger.model import State, Workload
from tests.agent.metrics_scene import STEP, Scene, everything, run
from tests.agent.nodes import MINUTE, POD_KEY, T0, board, node


def test_a_scrape_of_everything(golden: Callable[[str, str], None]) -> None:
    """Two holders on a board, a free board, a cut board and a lost one, as Prometheus reads them."""
    scene = Scene()
    for at_us in range(T0, T0 + 2 * MINUTE + 1, STEP):
        scene.show(everything(at_us), at_us)
    golden("agent_metrics.txt", scene.exporter.text().decode())


def test_unknown_values_are_absent() -> None:
    """What the driver does not support is no series at all: 0 would be a reading."""
    scene = Scene()
    scene.show(node(board(0)), T0)
    for name in ("active_ratio", "memory_used_bytes", "power_watts", "energy_joules_total", "temperature_celsius"):
        assert scene.samples(f"gpuledger_device_{name}") == {}
    assert len(scene.samples("gpuledger_device_held")) == 1


def test_values_older_than_three_intervals_are_left_out_and_said_to_be() -> None:
    """A reading that stopped being renewed can't pass for a live one; its age is there to alert on."""
    scene = Scene()
    scene.show(everything(T0), T0)
    scene.clock.advance_to(T0 + 3 * STEP)
    assert scene.samples("gpuledger_device_held")
    scene.clock.advance_to(T0 + 3 * STEP + 1)
    assert scene.samples("gpuledger_device_held") == {}
    assert scene.samples("gpuledger_device_power_watts") == {}
    assert set(scene.samples("gpuledger_sampler_success").values()) == {0}
    assert list(scene.samples("gpuledger_sample_age_seconds").values()) == [pytest.approx(30.000001)]


def test_before_the_first_reading_there_are_no_devices() -> None:
    """An agent that has read nothing says so, and nothing about devices."""
    scene = Scene()
    assert list(scene.samples("gpuledger_sampler_success").values()) == [0]
    assert scene.samples("gpuledger_device_state") == {}


def test_shares_of_a_device_sum_to_one_while_it_is_held() -> None:
    """Several holders split the device: summing `held` over them never counts a GPU twice."""
    scene = Scene()
    scene.show(everything(T0), T0)
    sums: dict[str, float] = {}
    for labels, value in scene.samples("gpuledger_device_held").items():
        device = dict(labels)["device"]
        sums[device] = sums.get(device, 0) + value
    assert sums == {"GPU-0": 1, "GPU-1": 0, "GPU-3": 0, "MIG-2a": 1, "MIG-2b": 0, "GPU-2/remainder": 0}


def test_energy_of_a_cut_board_appears_once() -> None:
    """Power and energy are the board's: repeated for each slice they would be summed several times."""
    scene = Scene()
    scene.show(everything(T0 + STEP), T0 + STEP)
    boards = [dict(labels)["device"] for labels in scene.samples("gpuledger_device_energy_joules_total")]
    assert sorted(boards) == ["GPU-0", "GPU-1", "GPU-2"]


def test_a_device_is_in_exactly_one_state() -> None:
    """Of the states of a device one is 1 and the others are 0."""
    scene = Scene()
    scene.show(everything(T0), T0)
    states: dict[str, list[str]] = {}
    for labels, value in scene.samples("gpuledger_device_state").items():
        if value:
            states.setdefault(dict(labels)["device"], []).append(dict(labels)["state"])
    assert states == {
        "GPU-0": ["active"], "GPU-1": ["idle"], "GPU-3": ["unavailable"],
        "MIG-2a": ["active"], "MIG-2b": ["idle"], "GPU-2/remainder": ["idle"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("device", "state"),
    [
        (DeviceSnapshot("d"), State.IDLE),
        (DeviceSnapshot("d", available=False, reason="gpu_lost"), State.UNAVAILABLE),
        (DeviceSnapshot("d", available=False, reason="unreadable"), State.UNOBSERVED),
        (DeviceSnapshot("d", occupants=(Occupant("h"),)), State.HELD_UNOBSERVED),
        (DeviceSnapshot("d", occupants=(Occupant("h"),), activity_ppm=0), State.HELD_IDLE),
        (DeviceSnapshot("d", occupants=(Occupant("h"),), activity_ppm=1), State.ACTIVE),
        (DeviceSnapshot("d", occupants=(Occupant("h"),), holder_activity_ppm={"h": 1}), State.ACTIVE),
        (DeviceSnapshot("d", occupants=(Occupant("h", running=False),)), State.HELD_IDLE),
        (DeviceSnapshot("d", occupants=(Occupant("h", granted=False),), activity_ppm=1), State.UNGRANTED),
        (
            DeviceSnapshot("d", occupants=(Occupant("h"), Occupant("i", granted=False)), activity_ppm=1),
            State.ACTIVE,
        ),
    ],
)
def test_the_state_of_a_device_now(device: DeviceSnapshot, state: State) -> None:
    """States follow from holders and activity; unknown activity is not idleness."""
    assert state_of(device) is state


def test_holders_are_counted_in_seconds_and_joules() -> None:
    """Counters per holder are what the meter released, whole minutes at a time."""
    scene = Scene()
    for at_us in range(T0, T0 + MINUTE + 1, STEP):
        scene.show(everything(at_us), at_us)
    held = {
        (dict(labels)["device"], dict(labels)["holder"]): value
        for labels, value in scene.samples("gpuledger_holder_held_seconds_total").items()
    }
    assert held == {("GPU-0", POD_KEY): 30, ("GPU-0", "user:5"): 30, ("MIG-2a", POD_KEY): 60}
    energy = sum(scene.samples("gpuledger_holder_energy_joules_total").values())
    assert energy <= 60 * (400 + 100)


def test_what_is_learnt_of_a_holder_later_is_shown_from_then_on() -> None:
    """A workload that is told after the first sample stands on the next page, with the totals so far."""
    scene = Scene()
    run(scene)
    workload = Workload("mlflow", name="found-later")
    known = {key: msgspec.structs.replace(holder, workload=workload) for key, holder in scene.observer.holders.items()}
    observation = scene.exporter._observation
    assert observation is not None
    scene.exporter.observed(observation, lambda: known)
    assert set(scene.by("gpuledger_holder_held_seconds_total", "workload")) == {("found-later",)}
    assert sum(scene.samples("gpuledger_holder_held_seconds_total").values()) == 120


def test_an_xid_is_counted_on_its_board() -> None:
    """Each reported XID adds one to its board's counter."""
    scene = Scene()
    for at_us in (T0, T0 + STEP, T0 + 2 * STEP):
        scene.show(everything(at_us), at_us)
    ((labels, count),) = scene.samples("gpuledger_xid_errors_total").items()
    assert (dict(labels)["gpu"], dict(labels)["xid"], count) == ("GPU-3", "79", 1)


def test_a_share_counts_the_replicas_that_nobody_was_granted() -> None:
    """One of four granted replicas is a quarter of the device, whoever else is not there."""
    scene = Scene()
    scene.show(node(board(0, 1)), T0)
    observation = scene.exporter._observation
    assert observation is not None
    (shown,) = observation.snapshot.boards
    (device,) = shown.devices
    shared = shown._replace(devices=(device._replace(replicas=4),))
    snapshot = observation.snapshot._replace(boards=(shared,))
    scene.exporter.observed(observation._replace(snapshot=snapshot), lambda: scene.observer.holders)
    assert scene.by("gpuledger_device_held", "holder") == {(POD_KEY,): 0.25}


def with_samplers(*stats: SamplerStats) -> NodeReading:
    return everything(T0)._replace(samplers=stats)


def test_one_failing_sampler_never_hides_another() -> None:
    """Each sampler says for itself whether its last round succeeded; the others keep their values."""
    scene = Scene()
    scene.show(with_samplers(SamplerStats("ecc", 7, 0, 0.5), SamplerStats("clocks", 0, 1, 0.25, "no")), T0)
    assert scene.by("gpuledger_sampler_success", "sampler") == {("devices",): 1, ("ecc",): 1, ("clocks",): 0}
    assert scene.by("gpuledger_sampler_duration_seconds", "sampler")["ecc",] == 0.5
    assert scene.by("gpuledger_sampler_failures_total", "sampler")["clocks",] == 1
    assert scene.samples("gpuledger_device_power_watts")


def test_a_sampler_succeeds_again_after_a_round_without_failure() -> None:
    """A failure on one board counts, until a round succeeds on all; a slow sampler that did not run keeps its state."""
    scene = Scene()
    figures = [(4, 0), (7, 1), (7, 1), (11, 1), (1, 0), (1, 2)]  # the last two after a restart of what counts
    seen = []
    for at, (successes, failures) in enumerate(figures):
        scene.show(with_samplers(SamplerStats("ecc", successes, failures)), T0 + at * STEP)
        seen.append(scene.by("gpuledger_sampler_success", "sampler")["ecc",])
    assert seen == [1, 0, 0, 1, 1, 0]


def test_a_driver_that_does_not_answer_hides_no_other_sampler() -> None:
    """Once readings are too old, what came with them has failed; a sampler that reads something else has not."""
    scene = Scene()
    scene.show(with_samplers(SamplerStats("ecc", 7)), T0)
    scene.samplers.append(SamplerStats("kernel_log", 7))
    scene.clock.advance_to(T0 + MINUTE)
    assert scene.by("gpuledger_sampler_success", "sampler") == {("devices",): 0, ("ecc",): 0, ("kernel_log",): 1}


def test_pages_are_whole_while_samples_come_in() -> None:
    """Scraping from several threads during sampling gives pages that parse, in which counters never go down."""
    scene = Scene(dcgm_names=True)
    done = threading.Event()
    seen: list[list[float]] = [[] for _ in range(3)]
    errors: list[BaseException] = []

    def scrape(totals: list[float]) -> None:
        try:
            while not done.is_set() or not totals:
                families = list(text_string_to_metric_families(scene.text()))
                totals.append(
                    sum(
                        one.value
                        for found in families
                        for one in found.samples
                        if found.name == "gpuledger_holder_held_seconds"
                    )
                )
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=scrape, args=(totals,)) for totals in seen]
    for thread in threads:
        thread.start()
    run(scene, minutes=5)
    done.set()
    for thread in threads:
        thread.join(30)
    assert errors == []
    assert all(totals == sorted(totals) for totals in seen)
    assert sum(scene.samples("gpuledger_holder_held_seconds_total").values()) == 2 * 5 * 60


def test_facts_about_holders_do_not_pile_up() -> None:
    """The exporter forgets whoever is neither present nor counted."""
    scene = Scene()
    for at_us in range(T0, T0 + MINUTE + 1, STEP):
        scene.show(everything(at_us), at_us)
    later = T0 + 3 * MINUTE + 2 * RETENTION_US
    scene.show(node(board(0)), later)
    scene.show(node(board(0)), later + MINUTE)
    assert scene.exporter._holders == {}
    assert set(scene.exporter._devices) == {"GPU-0", "GPU-3"}  # there now, and an XID was counted on it
    assert scene.exporter._blocks._held == {}
