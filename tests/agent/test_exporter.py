"""`/metrics` says what is so now: in the agreed words, within a ceiling, and never a stale value."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent.devices.base import DriverEvent, InstanceReading, NodeReading
from agent.exporter import Exporter, MetricsServer, Vitals
from agent.metrics.devices import state_of
from agent.metrics.own import ProcessStats
from agent.observe import Observer
from agent.sampling import SamplingStats
from agent.shipper import ShipperStats
from agent.spool import SpoolStats
from agent.tallies import OTHER, RETENTION_US, Tallies, Xids
from gpuledger.accounting.meter import Meter
from gpuledger.accounting.snapshot import DeviceSnapshot, Occupant
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from gpuledger.model import Device, Event, Evidence, State, UsageRecord
from tests.agent.nodes import MINUTE, MODEL, POD_KEY, T0, board, mig_board, node, process, resolver

STEP = 10_000_000


class Scene:
    """An exporter over a node whose readings are given."""

    def __init__(self, *, max_series: int = 1_000, dcgm_names: bool = False) -> None:
        self.clock = VirtualClock(T0)
        vitals = Vitals(
            sampling=lambda: SamplingStats(readings=3, failures=1, duration_s=0.002),
            spool=lambda: SpoolStats(2, 4_096, T0 - 30_000_000, 1, 0, 0),
            shipper=lambda: ShipperStats(delivered=5, duplicates=1, failures=2),
            lookups_failed=lambda: {"vanished": 1},
            process=lambda: ProcessStats(1.25, 31_457_280),
        )
        self.exporter = Exporter(
            "node-a", "1.2.3", self.clock, vitals, interval_us=STEP, max_series=max_series, dcgm_names=dcgm_names
        )
        processes = (
            process(1, environ={"GPULEDGER_TEAM": "vision", "GPULEDGER_WORKLOAD": "mlflow:run-1"}),
            process(2, "0::/\n", uid=5, user="ada"),
        )
        self.observer = Observer(resolver(*processes), node="node-a")
        self.meter = Meter(3 * STEP)

    def show(self, reading: NodeReading, at_us: int) -> None:
        self.clock.advance_to(at_us)
        observation = self.observer.observe(reading, at_us)
        self.exporter.observed(observation, lambda: self.observer.holders)
        self.exporter.metered(self.meter.observe(observation.snapshot))

    def samples(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """Return the samples of a metric by their labels."""
        families = text_string_to_metric_families(self.exporter.text().decode())
        return {
            tuple(sorted(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
            if sample.name == name
        }


def everything(at_us: int) -> NodeReading:
    elapsed_s = (at_us - T0) // 1_000_000
    cut = mig_board(2, a=1)
    used = InstanceReading(cut.instances[0].device, 6_000, cut.instances[0].processes)
    return node(
        board(0, 1, 2, energy_mj=elapsed_s * 400_000, power_mw=400_000, utilization_ppm=900_000,
              memory_used_bytes=70_000, temperature_c=61, process_activity_ppm={1: 600_000, 2: 300_000}),
        board(1, energy_mj=elapsed_s * 70_000, power_mw=70_000, utilization_ppm=0, memory_used_bytes=0, temperature_c=30),
        cut._replace(instances=(used, *cut.instances[1:]), energy_mj=elapsed_s * 100_000),
        board(3, fault="gpu_lost"),
        events=(DriverEvent("xid", "GPU-3", 79, "fell off the bus"),) if at_us == T0 + STEP else (),
    )  # fmt: skip


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
    assert list(scene.samples("gpuledger_sampler_success").values()) == [0]
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
        "MIG-2a": ["held_unobserved"], "MIG-2b": ["idle"], "GPU-2/remainder": ["idle"],
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


def test_an_xid_is_counted_on_its_board() -> None:
    """Each reported XID adds one to its board's counter."""
    scene = Scene()
    for at_us in (T0, T0 + STEP, T0 + 2 * STEP):
        scene.show(everything(at_us), at_us)
    ((labels, count),) = scene.samples("gpuledger_xid_errors_total").items()
    assert (dict(labels)["gpu"], dict(labels)["xid"], count) == ("GPU-3", "79", 1)


def usage(device: str, holder: str | None, end_us: int, held_us: int = 10) -> UsageRecord:
    state = State.ACTIVE if holder else State.IDLE
    return UsageRecord(device, holder, end_us - held_us, end_us, state, "", held_us, held_us, 7, None, None, Evidence())


def test_holders_beyond_the_ceiling_are_counted_together() -> None:
    """The number of series is bounded; the totals of those that gave way stay in the sums, and giving way is counted."""
    tallies = Tallies(max_pairs=3)
    tallies.add([usage("d", f"h{n}", T0 + n) for n in range(10)], T0)
    kept = {holder: tally.held_us for (_, holder), tally in tallies.pairs()}
    assert kept == {"h8": 10, "h9": 10, OTHER: 80}  # who left first gave way first
    assert tallies.dropped == 8


def test_holders_that_left_long_ago_disappear() -> None:
    """A counter of a holder that is gone is shown for an hour, so that it can be scraped, and then forgotten."""
    tallies = Tallies()
    tallies.add([usage("d", "gone", T0), usage("d", "here", T0 + RETENTION_US), usage("d", None, T0)], T0)
    tallies.add([], T0 + RETENTION_US)
    assert len(tallies.pairs()) == 2
    tallies.add([], T0 + RETENTION_US + 1)
    assert [holder for (_, holder), _ in tallies.pairs()] == ["here"]


def test_only_xids_are_counted_as_such() -> None:
    """Other events are not XIDs."""
    xids = Xids()
    xids.add([Event(T0, "device_added", ""), Event(T0, "xid", "", device="GPU-0", details={"xid": "31"})])
    assert dict(xids.counts) == {("GPU-0", "31"): 1}


def test_facts_about_holders_do_not_pile_up() -> None:
    """The exporter forgets whoever is neither present nor counted."""
    scene = Scene()
    for at_us in range(T0, T0 + MINUTE + 1, STEP):
        scene.show(everything(at_us), at_us)
    later = T0 + 3 * MINUTE + 2 * RETENTION_US
    scene.show(node(board(0)), later)
    scene.show(node(board(0)), later + MINUTE)
    assert scene.exporter._holders == {}


def test_labels_keep_hostile_names_in_their_quotes() -> None:
    """Names that hold quotes, backslashes or newlines come back as they are."""
    scene = Scene()
    hostile = 'a"b\\c\nd'
    reading = board(0)._replace(device=Device(key="GPU-0", kind="gpu", model=hostile))
    scene.show(node(reading), T0)
    ((labels, _),) = scene.samples("gpuledger_device_held").items()
    assert dict(labels)["model"] == hostile


def test_metrics_and_health_are_served_on_a_free_port() -> None:
    """Port 0 takes a free port; /metrics, /healthz and nothing else are there."""
    scene = Scene()
    scene.show(everything(T0), T0)
    server = MetricsServer(scene.exporter, "127.0.0.1", 0)
    try:
        url = f"http://127.0.0.1:{server.port}"
        with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert f'model="{MODEL}"'.encode() in answer.read()
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
            assert json.load(answer)["status"] == "alive"
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{url}/other", timeout=5)
        with pytest.raises(ConfigError, match="cannot listen"):
            MetricsServer(scene.exporter, "127.0.0.1", server.port)
    finally:
        server.close()


def test_a_connection_that_asks_for_nothing_is_closed() -> None:
    """Whoever connects and stays silent does not keep a thread of the agent for ever."""
    server = MetricsServer(Scene().exporter, "127.0.0.1", 0, idle_s=0.05)
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as silent:
            assert silent.recv(1) == b""
    finally:
        server.close()
