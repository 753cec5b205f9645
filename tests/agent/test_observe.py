"""A reading becomes a snapshot: every device in it, every holder once, and nothing that was not read."""

from __future__ import annotations

from agent.devices.base import DriverEvent
from agent.observe import Observer
from gpuledger.accounting.snapshot import Occupant
from tests.agent.nodes import MINUTE, MODEL, POD_KEY, T0, board, gpu, mig_board, node, observer, process, resolver


def test_a_free_board_is_a_device_without_occupants() -> None:
    """An idle GPU is there, available, with its activity and energy as read."""
    snapshot = observer().observe(node(board(0, energy_mj=5, power_mw=6, utilization_ppm=0)), T0).snapshot
    (found,) = snapshot.boards
    assert (found.board, found.epoch, found.energy_mj, found.power_mw, found.idle_power_mw) == (
        "GPU-0",
        "e",
        5,
        6,
        70_000,
    )
    (device,) = found.devices
    assert (device.device, device.parts, device.available, device.occupants) == ("GPU-0", 840, True, ())
    assert (device.activity_ppm, device.holder_activity_ppm) == (0, None)


def test_a_holder_with_several_processes_is_one_occupant() -> None:
    """Memory is summed; an unknown part makes the sum unknown."""
    several = observer(process(1), process(2))
    (occupant,) = several.observe(node(board(0, 1, 2)), T0).snapshot.boards[0].devices[0].occupants
    assert occupant == Occupant(POD_KEY, 1, 200, None, "process_cgroup")
    (unknown,) = several.observe(node(board(0, 1, 2, memory=None)), T0 + 1).snapshot.boards[0].devices[0].occupants
    assert unknown.memory_bytes is None


def test_arrival_is_known_when_the_process_started_within_the_step() -> None:
    """A start inside the step dates the arrival; an older process came to the device at an unknown instant."""
    node_observer = observer(process(1, start_us=T0 + 7), process(2, "0::/\n", start_us=T0 - 7, uid=5))
    node_observer.observe(node(board(0)), T0)
    occupants = node_observer.observe(node(board(0, 1, 2)), T0 + MINUTE).snapshot.boards[0].devices[0].occupants
    assert [(occupant.holder, occupant.since_us) for occupant in occupants] == [(POD_KEY, T0 + 7), ("user:5", None)]


def test_a_holder_arrives_with_its_first_process() -> None:
    """Of several processes that started within the step the earliest counts; with an older one the instant is unknown."""
    fresh = observer(process(1, start_us=T0 + 9), process(2, start_us=T0 + 3), process(3, start_us=T0 - 1))
    fresh.observe(node(board(0)), T0)
    first = fresh.observe(node(board(0, 1, 2), board(1, 1, 3)), T0 + MINUTE).snapshot
    assert first.boards[0].devices[0].occupants[0].since_us == T0 + 3
    assert first.boards[1].devices[0].occupants[0].since_us is None


def test_the_first_reading_dates_no_arrival() -> None:
    """Before the first reading nothing was observed, so nothing is dated into it."""
    (occupant,) = (
        observer(process(1, start_us=T0)).observe(node(board(0, 1)), T0).snapshot.boards[0].devices[0].occupants
    )
    assert occupant.since_us is None


def test_activity_of_processes_is_summed_by_holder() -> None:
    """Two processes of one pod are one holder's work."""
    node_observer = observer(process(1), process(2), process(3, "0::/\n", uid=5))
    reading = board(0, 1, 2, 3, process_activity_ppm={1: 100, 2: 200, 3: 50})
    device = node_observer.observe(node(reading), T0).snapshot.boards[0].devices[0]
    assert device.holder_activity_ppm == {POD_KEY: 300, "user:5": 50}


def test_work_of_a_process_that_has_ended_goes_to_its_holder() -> None:
    """The driver reports a process's last work after it is gone from the list: its holder is still known."""
    node_observer = observer(process(1))
    node_observer.observe(node(board(0, 1)), T0)
    device = node_observer.observe(node(board(0, process_activity_ppm={1: 400})), T0 + 1).snapshot.boards[0].devices[0]
    assert device.holder_activity_ppm == {POD_KEY: 400}


def test_a_cut_board_is_its_instances_and_what_is_left_over() -> None:
    """MIG instances are devices of their own; the rest is idle because nobody can have it; the parts sum to a GPU."""
    found = observer(process(1)).observe(node(mig_board(0, a=1)), T0)
    a, b, rest = found.snapshot.boards[0].devices
    assert (a.device, a.occupants[0].holder, b.occupants, rest.reason) == ("MIG-0a", POD_KEY, (), "stranded")
    assert a.activity_ppm is None
    assert sum(device.parts for device in (a, b, rest)) == 840
    assert list(found.devices) == ["MIG-0a", "MIG-0b", "GPU-0/remainder"]


def test_a_faulty_board_is_unavailable_for_its_reason() -> None:
    """A lost GPU stays in the snapshot: its time is unavailable, not gone."""
    (device,) = observer().observe(node(board(0, fault="gpu_lost")), T0).snapshot.boards[0].devices
    assert (device.available, device.reason, device.occupants) == (False, "gpu_lost", ())


def test_a_cut_board_that_is_lost_loses_its_instances() -> None:
    """What was sold as slices is unavailable as slices, even though the driver no longer lists them."""
    node_observer = observer()
    node_observer.observe(node(mig_board(0)), T0)
    found = node_observer.observe(node(board(0, fault="gpu_lost")), T0 + 1)
    assert [device.device for device in found.snapshot.boards[0].devices] == ["MIG-0a", "MIG-0b", "GPU-0/remainder"]
    assert not any(device.available for device in found.snapshot.boards[0].devices)
    assert list(found.devices) == ["MIG-0a", "MIG-0b", "GPU-0/remainder"]


def test_a_board_that_is_whole_again_forgets_its_instances() -> None:
    """After MIG was switched off, losing the board loses the board."""
    node_observer = observer()
    for at, reading in enumerate((mig_board(0), board(0), board(0, fault="gpu_lost"))):
        found = node_observer.observe(node(reading), T0 + at)
    assert list(found.devices) == ["GPU-0"]


def test_instances_that_were_cut_away_are_forgotten() -> None:
    """A GPU that is cut anew for every job does not make the agent grow."""
    node_observer = observer()
    for at in range(5):
        node_observer.observe(node(mig_board(at)._replace(device=mig_board(0).device)), T0 + at * MINUTE)
    assert len(node_observer._placed) == 3


def test_devices_are_placed_on_their_node() -> None:
    """Where a device is stands on the device; what the driver said of it stays."""
    found = observer().observe(node(board(0), board(1)), T0)
    assert [(d.key, d.node, d.pool, d.model) for d in found.devices.values()] == [
        ("GPU-0", "node-a", "pool-a", MODEL),
        ("GPU-1", "node-a", "pool-a", MODEL),
    ]


def test_a_device_that_changes_is_described_anew() -> None:
    """Facts about a device are not frozen at the first sight of it."""
    node_observer = observer()
    node_observer.observe(node(board(0)), T0)
    changed = board(0)._replace(device=gpu(0, memory_bytes=7))
    assert node_observer.observe(node(changed), T0 + 1).devices["GPU-0"].memory_bytes == 7


def test_what_the_driver_reports_becomes_events() -> None:
    """An XID is an event on its board, with the code."""
    event = DriverEvent("xid", "GPU-0", 79, "fell off the bus")
    (found,) = observer().observe(node(board(0), events=(event,)), T0).events
    assert (found.at_us, found.kind, found.device, found.details) == (T0, "xid", "GPU-0", {"xid": "79"})


def test_holders_are_kept_for_the_page_after_the_one_they_were_seen_on() -> None:
    """Records may name a holder a little after it has left: it is forgotten one page later."""
    node_observer = observer(process(1))
    node_observer.observe(node(board(0, 1)), T0)
    node_observer.turn_page()
    assert POD_KEY in node_observer.holders
    node_observer.turn_page()
    assert POD_KEY not in node_observer.holders


def test_a_board_that_fails_after_a_restart_is_what_it_was_cut_into() -> None:
    """An agent that starts while a board cannot be read knows its instances from the run before."""
    before = observer().observe(node(mig_board(0)), T0).devices
    after = Observer(resolver(), node="node-a", known=before.values())
    found = after.observe(node(board(0, fault="gpu_lost")), T0 + MINUTE)
    assert found.devices == before
    assert {device.available for device in found.snapshot.boards[0].devices} == {False}
