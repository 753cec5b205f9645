"""The meter: what it promises of every timeline, and its rules one by one."""

import itertools
from collections import defaultdict

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuledger import wire
from gpuledger.accounting.energy import MeteredEnergy, merge_energy
from gpuledger.accounting.intervals import Interval, merge
from gpuledger.accounting.meter import Meter, MeterCheckpoint
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant, Snapshot
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.model import Confidence, Device, Holder, State, UsageRecord
from tests.gpuledger.snapshots import (
    GAP_US,
    GEOMETRIES,
    HOLDERS,
    T0,
    S,
    accepted,
    at,
    board_energy,
    gpu,
    lifetimes,
    meter_all,
    ordered,
    records_of,
    rows,
    timelines,
)

BOARD_OF = {device: board for board, geometries in GEOMETRIES.items() for g in geometries for device, _ in g}


def energy_by_board(records: list[UsageRecord]) -> dict[str, int]:
    """Return the energy of records by the board that their device is on."""
    sums: dict[str, int] = defaultdict(int)
    for record in records:
        sums[BOARD_OF[record.device]] += record.energy_mj or 0
    return {board: mj for board, mj in sums.items() if mj}


def totals(records: list[UsageRecord]) -> dict[tuple[object, ...], tuple[int, int, int]]:
    """Return held, active and energy by device, holder, state and reason."""
    sums: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0, 0, 0])
    for r in records:
        total = sums[r.device, r.holder, r.state, r.reason]
        for i, value in enumerate((r.held_us, r.active_us or 0, r.energy_mj or 0)):
            total[i] += value
    return {key: (held, active, energy) for key, (held, active, energy) in sums.items()}


# --- promises, over every timeline ---


@given(timelines())
def test_every_device_is_accounted_for_to_the_microsecond(snapshots: list[Snapshot]) -> None:
    """Each device's records partition the time that it was there: no hole, no overlap, shares that sum, no negative."""
    spans: dict[str, dict[Interval, int]] = defaultdict(lambda: defaultdict(int))
    work: dict[tuple[str, Interval], int] = defaultdict(int)
    for r in records_of(meter_all(snapshots)):
        span = Interval(r.start_us, r.end_us)
        spans[r.device][span] += r.held_us
        work[r.device, span] += r.active_us or 0
        assert min(r.held_us, r.active_us or 0, r.energy_mj or 0, r.memory_mean_bytes or 0) >= 0
        assert (r.memory_mean_bytes or 0) <= (r.memory_max_bytes or 0)
        unwatched = r.reason in ("no_samples", "agent_down")
        longest_us = US_PER_HOUR if unwatched else US_PER_MINUTE
        assert (r.end_us - 1) // longest_us == r.start_us // longest_us
    expected = lifetimes(accepted(snapshots))
    assert spans.keys() == expected.keys()
    for device, found in spans.items():
        assert all(held_us == span.length_us for span, held_us in found.items())
        assert sum(span.length_us for span in found) == sum(span.length_us for span in merge(found))
        assert merge(found) == merge(expected[device])
    assert all(work_us <= span.length_us for (_, span), work_us in work.items())


@given(timelines())
def test_energy_of_the_rows_is_the_energy_of_the_board(snapshots: list[Snapshot]) -> None:
    """All that the counters counted is on rows, once; each release states it exactly, and releases chain."""
    released = meter_all(snapshots)
    for metered in released:
        assert energy_by_board(metered.records) == {e.board: e.energy_mj for e in metered.energy if e.energy_mj}
    for entry in (entry for metered in released for entry in metered.energy):
        if entry.first_mj is not None and entry.last_mj is not None:
            assert entry.last_mj - entry.first_mj == entry.energy_mj
    expected = board_energy(accepted(snapshots))
    assert energy_by_board(records_of(released)) == {board: mj for board, mj in expected.items() if mj}


@given(timelines())
def test_releases_lie_end_to_end_and_hold_only_their_own_time(snapshots: list[Snapshot]) -> None:
    """Each release starts where the one before ended, and its records lie inside it."""
    released = meter_all(snapshots)
    assert all(a.until_us == b.from_us for a, b in itertools.pairwise(released))
    for metered in released:
        assert all(metered.from_us <= r.start_us and r.end_us <= metered.until_us for r in metered.records)


@given(timelines())
def test_whatever_the_meter_releases_passes_the_checks_of_the_wire(snapshots: list[Snapshot]) -> None:
    """A batch of everything that was metered survives encoding and every check that a collector makes."""
    released = meter_all(snapshots)
    records = records_of(released)
    devices = [Device(key, "gpu", "H100", board=board if board != key else "") for key, board in BOARD_OF.items()]
    usage, evidence, reasons = wire.pack_usage(records, devices, [Holder(key, "pod") for key in HOLDERS])
    until_us = released[-1].until_us
    batch = wire.Batch(
        agent="a",
        boot="b",
        sequence=0,
        cluster="c",
        node="n",
        from_us=released[0].from_us,
        until_us=until_us,
        sealed_at_us=until_us,
        software="test",
        devices=tuple(devices),
        holders=tuple(Holder(key, "pod") for key in HOLDERS),
        evidence=evidence,
        reasons=reasons,
        usage=usage,
        energy=tuple(
            wire.BoardEnergy(*entry)
            for entry in merge_energy(entry for metered in released for entry in metered.energy)
        ),
    )
    decoded = wire.decode(wire.encode(batch))
    wire.check(decoded, now_us=until_us)
    assert wire.unpack_usage(decoded) == records


@given(timelines(), st.data())
def test_the_order_of_boards_devices_and_occupants_does_not_matter(
    snapshots: list[Snapshot], data: st.DataObject
) -> None:
    """Shuffling what a snapshot lists gives the same records."""

    def shuffled(snapshot: Snapshot) -> Snapshot:
        boards = []
        for board in data.draw(st.permutations(snapshot.boards)):
            devices = data.draw(st.permutations(board.devices))
            boards.append(
                board._replace(
                    devices=tuple(d._replace(occupants=tuple(data.draw(st.permutations(d.occupants)))) for d in devices)
                )
            )
        return snapshot._replace(boards=tuple(boards))

    assert rows(*map(shuffled, snapshots)) == rows(*snapshots)


@given(timelines(), st.sets(st.integers(0, 7)))
def test_flushing_at_any_time_changes_no_total(snapshots: list[Snapshot], flushed: set[int]) -> None:
    """Rows cut by a flush add up to the rows that were not."""
    meter = Meter(GAP_US)
    released = []
    for i, snapshot in enumerate(snapshots):
        released.append(meter.observe(snapshot))
        if i in flushed:
            released.append(meter.flush())
    released.append(meter.flush())
    assert totals(records_of(released)) == totals(records_of(meter_all(snapshots)))


@given(timelines(aligned=True), st.data())
def test_a_meter_resumed_at_a_minute_gives_what_an_undisturbed_one_gives(
    snapshots: list[Snapshot], data: st.DataObject
) -> None:
    """Killed after any release at a full minute and fed that snapshot again, the meter goes on without a seam."""
    on_the_minute = [i for i, snapshot in enumerate(snapshots) if snapshot.at_us % US_PER_MINUTE == 0]
    undisturbed = meter_all(snapshots)
    for stop in data.draw(st.sets(st.sampled_from(on_the_minute), max_size=2)) if on_the_minute else ():
        first = Meter(GAP_US)
        before = [first.observe(snapshot) for snapshot in snapshots[: stop + 1]]
        saved = msgspec.msgpack.encode(first.checkpoint())
        resumed = Meter(GAP_US, msgspec.msgpack.decode(saved, type=MeterCheckpoint))
        again = resumed.observe(snapshots[stop])
        assert (again.records, again.energy, again.from_us, again.until_us) == (
            [],
            [],
            snapshots[stop].at_us,
            snapshots[stop].at_us,
        )
        after = [resumed.observe(snapshot) for snapshot in snapshots[stop + 1 :]]
        released = [*before, *after, resumed.flush()]
        for part in ("records", "energy"):
            assert [x for m in released for x in getattr(m, part)] == [x for m in undisturbed for x in getattr(m, part)]
        assert resumed.checkpoint() == Meter(GAP_US, resumed.checkpoint()).checkpoint()


@given(timelines(), st.integers(0, 6), st.integers(0, 10**6))
def test_a_meter_resumed_later_leaves_no_hole(snapshots: list[Snapshot], stop: int, away_us: int) -> None:
    """Killed anywhere and resumed later, what was not released comes back as unobserved time, none of it twice."""
    kept = accepted(snapshots)
    stop = min(stop, len(kept) - 1)
    first = Meter(GAP_US)
    before = [first.observe(snapshot) for snapshot in kept[: stop + 1]]
    checkpoint = first.checkpoint()
    assert checkpoint.at_us == before[-1].until_us
    back = Snapshot(kept[stop].at_us + 1 + away_us, kept[stop].boards)
    after = meter_all([back], Meter(GAP_US, checkpoint))
    gap = records_of(after)
    assert all((r.state, r.reason, r.active_us) == (State.UNOBSERVED, "agent_down", None) for r in gap)
    found = defaultdict(list)
    for r in records_of([*before, *after]):
        found[r.device].append(Interval(r.start_us, r.end_us))
    for spans in found.values():
        distinct = set(spans)
        assert sum(span.length_us for span in distinct) == sum(span.length_us for span in merge(distinct))
    for mark in checkpoint.boards:
        for device in mark.devices:
            assert merge(found[device.device])[-1].end_us == back.at_us


@given(
    st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10**6), st.integers(0, 10**6)), min_size=2, max_size=5),
    st.integers(0, 10**6),
    st.integers(1, 3),
)
def test_metering_a_whole_is_metering_its_parts(legs: list[tuple[int, int, int]], ppm: int, holders: int) -> None:
    """[a,b) + [b,c) = [a,c): snapshots in between, of the same occupants and work, change no device, holder or board."""

    def snapshot(seconds: int, energy_mj: int) -> Snapshot:
        return at(
            seconds, gpu(*HOLDERS[:holders], activity=ppm, by_holder=dict.fromkeys(HOLDERS, ppm // 3), energy=energy_mj)
        )

    ends = [(0, 0)]
    for seconds, energy_mj, _ in legs:
        ends.append((ends[-1][0] + seconds, ends[-1][1] + energy_mj))
    meter = Meter(10**12)
    parts = totals(records_of(meter_all([snapshot(*end) for end in ends], meter)))
    whole = totals(records_of(meter_all([snapshot(*ends[0]), snapshot(*ends[-1])], Meter(10**12))))
    assert parts.keys() == whole.keys()
    for i in range(3):
        assert sum(total[i] for total in parts.values()) == sum(total[i] for total in whole.values())
    for key, (held_us, active_us, _) in whole.items():
        assert parts[key][1] == active_us
        assert abs(parts[key][0] - held_us) <= 2 * len(legs) * (holders > 1)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.integers(1, 90 * S), st.integers(0, 700_000)), min_size=1, max_size=8))
def test_the_power_integral_carries_its_remainder(legs: list[tuple[int, int]]) -> None:
    """Without a counter the energy is the exact integral of power, floored once and not at each step."""
    at_us, exact_nj, snapshots = T0, 0, [Snapshot(T0, (gpu(),))]
    for length_us, power_mw in legs:
        at_us += length_us
        exact_nj += length_us * power_mw
        snapshots.append(Snapshot(at_us, (gpu(power=power_mw),)))
    assert sum(r.energy_mj or 0 for r in records_of(meter_all(snapshots))) == exact_nj // 1_000_000


# --- rules, one by one ---


def test_the_step_belongs_to_the_occupants_of_the_earlier_snapshot() -> None:
    """Who is there at the start holds the step; what the GPU did comes from its end."""
    first, second = rows(
        at(0, gpu("pod:a/1", activity=990_000)), at(30, gpu(activity=500_000)), at(60, gpu(activity=0))
    )
    assert (first.holder, first.state, first.held_us, first.active_us) == ("pod:a/1", State.ACTIVE, 30 * S, 15 * S)
    assert (second.holder, second.state, second.reason, second.active_us) == (None, State.IDLE, "free", 0)


def test_an_arrival_counts_from_its_start_and_gets_the_work() -> None:
    """A process that started inside the step holds from then on; before that the device was idle."""
    idle, held = rows(
        at(0, gpu(energy=0)), at(60, gpu(Occupant("pod:a/1", since_us=T0 + 20 * S), activity=500_000, energy=6_000))
    )
    assert (idle.state, idle.end_us, idle.energy_mj) == (State.IDLE, T0 + 20 * S, 0)
    assert (held.holder, held.start_us, held.active_us, held.energy_mj) == ("pod:a/1", T0 + 20 * S, 30 * S, 6_000)
    assert held.evidence.confidence is Confidence.MEASURED


def test_an_arrival_without_a_known_time_counts_from_the_next_snapshot() -> None:
    """No start time, or one outside the step, gives nothing of the step."""
    for since_us in (None, T0, T0 + 60 * S, T0 - 5):
        (only,) = rows(at(0, gpu()), at(60, gpu(Occupant("pod:a/1", since_us=since_us), activity=500_000)))
        assert (only.state, only.held_us) == (State.IDLE, 60 * S)


def test_rows_grow_over_steps_and_are_cut_at_changes_and_minutes() -> None:
    """Six equal steps of 20 s make two rows; a change of state makes a third."""
    steps = [at(20 * i, gpu("pod:a/1", activity=0 if i == 6 else 100_000)) for i in range(7)]
    found = rows(*steps)
    assert [(r.state, (r.end_us - r.start_us) // S) for r in found] == [
        (State.ACTIVE, 60),
        (State.ACTIVE, 40),
        (State.HELD_IDLE, 20),
    ]


def test_held_idle_says_whether_memory_is_held() -> None:
    """A notebook that keeps its memory and does nothing is not the same as one that does nothing."""
    for memory, reason in ((1 << 30, "memory_held"), (0, "unknown"), (None, "unknown")):
        (row,) = rows(at(0, gpu(Occupant("pod:a/1", memory_bytes=memory))), at(60, gpu(activity=0)))
        assert (row.state, row.reason, row.memory_mean_bytes, row.memory_max_bytes) == (
            State.HELD_IDLE,
            reason,
            memory,
            memory,
        )


def test_memory_is_a_mean_over_time_and_a_maximum() -> None:
    """10 s of 100 bytes and 50 s of 40 bytes are 50 bytes; steps where it is unknown do not count."""
    occupied = [gpu(Occupant("pod:a/1", memory_bytes=memory), activity=1_000_000) for memory in (100, 40, None, 7)]
    held, _ = rows(at(0, occupied[0]), at(10, occupied[1]), at(60, occupied[2]), at(100, occupied[3]))
    assert (held.memory_mean_bytes, held.memory_max_bytes) == (50, 100)


def test_unknown_activity_is_held_unobserved_never_zero() -> None:
    """A holder whose work nobody can see is neither active nor idle."""
    (row,) = rows(at(0, gpu("pod:a/1")), at(60, gpu("pod:a/1")))
    assert (row.state, row.active_us, row.evidence.activity) == (State.HELD_UNOBSERVED, None, "none")


def test_a_lost_gpu_is_unavailable_and_its_energy_is_caught_up_when_it_returns() -> None:
    """Nobody holds it meanwhile; the counter's whole delta counts in the step in which it could be read again."""
    lost = gpu("pod:a/1", available=False, reason="gpu_lost")
    snapshots = [
        at(0, gpu("pod:a/1", energy=0)),
        at(60, lost),
        at(120, lost),
        at(180, gpu("pod:a/1", energy=9_000)),
        at(240, gpu(activity=10_000, energy=9_500)),
    ]
    released = meter_all(snapshots)
    assert [(r.state, r.reason, r.energy_mj, r.evidence.energy) for r in records_of(released)] == [
        (State.HELD_UNOBSERVED, "", None, "none"),
        (State.UNAVAILABLE, "gpu_lost", None, "none"),
        (State.UNAVAILABLE, "gpu_lost", 9_000, "counter_catch_up"),
        (State.ACTIVE, "", 500, "counter"),
    ]
    events = [(event.kind, (event.at_us - T0) // S) for metered in released for event in metered.events]
    assert events == [("device_added", 0), ("gpu_lost", 60), ("gpu_recovered", 180)]
    assert merge_energy(e for m in released for e in m.energy) == [MeteredEnergy("GPU-0", 9_500, "boot", 0, 9_500)]


def test_an_unreadable_gpu_is_unobserved() -> None:
    """What cannot be read is not said to be broken."""
    first, _ = rows(at(0, gpu(available=False, reason="unreadable")), at(60, gpu()), at(120, gpu()))
    assert (first.state, first.reason, first.active_us) == (State.UNOBSERVED, "unreadable", None)


@pytest.mark.parametrize(("epoch", "reading"), [("boot", 40), ("later", 40), ("later", 5_000)])
def test_a_counter_that_starts_again_counts_from_zero(epoch: str, reading: int) -> None:
    """Lower than before, or of a new epoch: the new value is what was used, an event says so, nothing is negative."""
    released = meter_all([at(0, gpu(energy=1_000)), at(60, gpu(energy=reading, epoch=epoch))])
    (row,) = records_of(released)
    assert (row.energy_mj, row.evidence.energy) == (reading, "counter_after_reset")
    assert [event.kind for metered in released for event in metered.events] == ["device_added", "counter_reset"]
    assert [e for m in released for e in m.energy] == [MeteredEnergy("GPU-0", reading, epoch, None, reading)]


def test_a_gap_is_unobserved_and_has_the_energy_of_its_time() -> None:
    """Longer than the limit: nobody's, cut at hours and not at minutes, with the counter's delta spread by time."""
    found = rows(at(-1800, gpu("pod:a/1", energy=0)), at(5400, gpu("pod:a/1", activity=1, energy=1_000)))
    assert {(r.state, r.reason, r.holder) for r in found} == {(State.UNOBSERVED, "no_samples", None)}
    assert [((r.start_us - T0) // S, (r.end_us - T0) // S, r.energy_mj) for r in found] == [
        (-1800, 0, 250),
        (0, 3600, 500),
        (3600, 5400, 250),
    ]
    assert found[0].evidence.confidence is Confidence.UNKNOWN


def test_a_year_without_samples_is_a_row_an_hour() -> None:
    """A node that was off for a year, or whose clock was never set, makes no millions of rows."""
    hours = 365 * 24
    assert len(rows(at(0, gpu(energy=0)), at(hours * 3600, gpu(energy=9)))) == hours


def test_a_clock_that_goes_back_is_one_event_and_no_time_twice() -> None:
    """Nothing is metered again until the clock has caught up; then it goes on from where it was."""
    snapshots = [
        at(0, gpu()),
        at(60, gpu()),
        at(30, gpu()),
        at(40, gpu()),
        at(60, gpu()),
        at(90, gpu()),
        at(80, gpu()),
        at(120, gpu()),
    ]
    released = meter_all(snapshots)
    assert [(r.start_us - T0) // S for r in records_of(released)] == [0, 60]
    jumps = [event for metered in released for event in metered.events if event.kind == "clock_jump"]
    assert [(event.at_us - T0) // S for event in jumps] == [30, 80]
    assert jumps[0].details == {"last_us": str(T0 + 60 * S), "at_us": str(T0 + 30 * S)}


def test_a_device_that_goes_holds_until_the_snapshot_that_misses_it() -> None:
    """MIG reconfigured: the step belongs to the old instances, then they retire and the new ones begin."""
    split = BoardSnapshot(
        "GPU-0",
        (DeviceSnapshot("MIG-x", 360), DeviceSnapshot("GPU-0/remainder", 480, reason="stranded")),
        "boot",
        8_400,
    )
    released = meter_all([at(0, gpu("pod:a/1", energy=0)), at(30, split), at(60, split._replace(energy_mj=16_800))])
    found = ordered(records_of(released))
    assert [(r.device, r.state, r.reason, r.energy_mj) for r in found] == [
        ("GPU-0", State.HELD_UNOBSERVED, "", 8_400),
        ("GPU-0/remainder", State.IDLE, "stranded", 4_800),
        ("MIG-x", State.IDLE, "free", 3_600),
    ]
    assert [(e.kind, e.device) for m in released for e in m.events] == [
        ("device_added", "GPU-0"),
        ("device_added", "MIG-x"),
        ("device_added", "GPU-0/remainder"),
        ("device_retired", "GPU-0"),
    ]


def test_after_an_outage_of_the_agent_vanished_devices_are_unobserved_then_retired() -> None:
    """The checkpoint knows what was there; the counter's delta goes to the outage; what is gone has no energy."""
    first = Meter(GAP_US)
    first.observe(at(0, gpu(energy=0), gpu(key="GPU-1", energy=5)))
    first.observe(at(60, gpu(energy=100), gpu(key="GPU-1", energy=6)))
    resumed = Meter(GAP_US, first.checkpoint())
    assert (resumed.flush().records, resumed.checkpoint()) == ([], first.checkpoint())
    released = [resumed.observe(at(90, gpu("pod:a/1", energy=160))), resumed.flush()]
    assert [(r.device, r.state, r.reason, r.energy_mj) for r in ordered(records_of(released))] == [
        ("GPU-0", State.UNOBSERVED, "agent_down", 60),
        ("GPU-1", State.UNOBSERVED, "agent_down", None),
    ]
    assert [(e.kind, e.device) for m in released for e in m.events] == [("device_retired", "GPU-1")]
    assert [e for m in released for e in m.energy] == [MeteredEnergy("GPU-0", 60, "boot", 100, 160)]


def test_off_the_minute_rows_are_released_when_their_minute_is_over() -> None:
    """Sampling between minutes releases whole minutes; the counter is apportioned at the edge and the rest follows."""
    meter = Meter(GAP_US)
    assert meter.observe(at(50, gpu(energy=0))).records == []
    crossing = meter.observe(at(70, gpu(energy=1_001)))
    assert (crossing.from_us, crossing.until_us) == (T0 + 50 * S, T0 + 60 * S)
    assert crossing.energy == [MeteredEnergy("GPU-0", 501, "boot", 0, 501)]
    assert meter.checkpoint().at_us == T0 + 60 * S
    assert meter.checkpoint().boards[0].energy.counted_mj == 501
    rest = meter.flush()
    assert (rest.until_us, rest.energy) == (T0 + 70 * S, [MeteredEnergy("GPU-0", 500, "boot", 501, 1_001)])
    assert meter.flush().records == []


def test_what_arrives_after_the_minute_waits_for_the_next_release() -> None:
    """A step over a minute with a change behind it releases the minute alone, with its own energy."""
    meter = Meter(GAP_US)
    meter.observe(at(50, gpu(energy=0)))
    arrived = Occupant("pod:a/1", since_us=T0 + 65 * S)
    crossing = meter.observe(at(70, gpu(arrived, activity=250_000, energy=2_000)))
    assert [((r.start_us - T0) // S, (r.end_us - T0) // S) for r in crossing.records] == [(50, 60)]
    assert [entry.energy_mj for entry in crossing.energy] == [0]
    assert [(r.holder, r.held_us // S, r.active_us, r.energy_mj) for r in meter.flush().records] == [
        (None, 5, 0, 0),
        ("pod:a/1", 5, 5 * S, 2_000),
    ]


def test_a_meter_without_a_snapshot_has_nothing_to_give() -> None:
    """Flushing is harmless; a checkpoint of nothing is refused rather than made up."""
    meter = Meter(GAP_US)
    assert meter.flush().records == []
    with pytest.raises(ValueError, match="no snapshot"):
        meter.checkpoint()


def test_events_of_energy_merge_over_releases() -> None:
    """Spans that chain keep their first reading; a new epoch in between loses it, never the energy."""
    chained = [MeteredEnergy("b", 5, "e", 0, 5), MeteredEnergy("b", 7, "e", 5, 12)]
    assert merge_energy(chained) == [MeteredEnergy("b", 12, "e", 0, 12)]
    assert merge_energy([*chained, MeteredEnergy("b", 3, "f", None, 3)]) == [MeteredEnergy("b", 15, "f", None, 3)]


def test_a_step_of_which_samples_were_skipped_is_unobserved() -> None:
    """However short: what the later snapshot says is not of the whole step. The one after it is metered as ever."""
    meter = Meter(GAP_US)
    meter.observe(at(0, gpu("pod:a/1", energy=0)))
    meter.skip()
    meter.observe(at(20, gpu("pod:a/1", activity=1_000_000, energy=50)))
    meter.observe(at(40, gpu("pod:a/1", activity=1_000_000, energy=80)))
    found = [(r.state, r.reason, r.energy_mj) for r in meter.flush().records]
    assert found == [(State.UNOBSERVED, "no_samples", 50), (State.ACTIVE, "", 30)]
