"""Who had what of a board over one step: time, work, energy, and the evidence for each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.sharing import Step, Stretch, cut_at_minutes, share_board
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.errors import ConservationError
from gpuledger.model import Confidence, State
from tests.gpuledger.snapshots import T0, S, boards, gpu

MINUTE = Step(T0, T0 + 60 * S, 60 * S, 6_000, "counter")
A, B, C = "pod:a/1", "pod:b/1", "pod:c/1"


def shares(before: BoardSnapshot, after: BoardSnapshot | None, step: Step = MINUTE) -> list[tuple[object, ...]]:
    """Return (holder, held s, active s, energy) of a whole GPU's only stretch."""
    ((_, (stretch,)),) = share_board(before, after, step)
    return [
        (s.holder, s.held_us / S, None if s.active_us is None else s.active_us / S, s.energy_mj) for s in stretch.shares
    ]


@given(boards("GPU-1", T0), st.none() | boards("GPU-1", T0 + 60 * S), st.integers(1, 200 * S), st.integers(0, 10**9))
def test_everything_of_a_step_is_shared_exactly(
    before: BoardSnapshot, after: BoardSnapshot | None, length_us: int, energy_mj: int
) -> None:
    """Time sums to each stretch's length, work fits into it, energy sums to the board's; cut at minutes it still does."""
    step = Step(T0 + 13, T0 + 13 + length_us, length_us, energy_mj, "counter")
    shared = share_board(before, after, step)
    assert sorted(device for device, _ in shared) == sorted(device.device for device in before.devices)
    assert sum(s.energy_mj or 0 for _, stretches in shared for x in stretches for s in x.shares) == energy_mj
    for _, stretches in shared:
        assert [x.start_us for x in stretches[1:]] == [x.end_us for x in stretches[:-1]]
        assert (stretches[0].start_us, stretches[-1].end_us) == (step.start_us, step.end_us)
        for stretch in stretches:
            pieces = cut_at_minutes(stretch)
            for start_us, end_us, parts in [stretch, *pieces]:
                assert sum(s.held_us for s in parts) == end_us - start_us
                assert sum(s.active_us or 0 for s in parts) <= end_us - start_us
            for who, whole in enumerate(stretch.shares):
                for amount in ("held_us", "active_us", "energy_mj", "memory_byte_us", "memory_known_us"):
                    assert sum(getattr(p.shares[who], amount) or 0 for p in pieces) == (getattr(whole, amount) or 0)


def test_time_is_split_by_granted_replicas_else_evenly() -> None:
    """Weights 1:3 split the minute 15:45, equal ones split it evenly; the rule is on the row."""
    weighted = gpu(Occupant(A), Occupant(B, 3))
    assert [s[1] for s in shares(weighted, None)] == [15, 45]
    ((_, (stretch,)),) = share_board(weighted, None, MINUTE)
    assert {s.evidence.split for s in stretch.shares} == {"shares"}
    ((_, (stretch,)),) = share_board(gpu(A, B, C), None, MINUTE)
    assert {(s.evidence.split, s.held_us) for s in stretch.shares} == {("even", 20 * S)}


@pytest.mark.parametrize(
    ("occupants", "activity", "by_holder", "expected", "confidence"),
    [
        ((A,), 500_000, {A: 100_000}, {A: 30}, Confidence.MEASURED),  # a sole holder: the device's work
        ((A,), None, {A: 100_000}, {A: 6}, Confidence.DERIVED),  # else its own processes'
        ((A,), None, {B: 100_000}, {A: 0}, Confidence.DERIVED),  # complete: not named did nothing
        ((A, B), 900_000, {A: 100_000, B: 400_000}, {A: 6, B: 24}, Confidence.DERIVED),  # several: by process
        ((A, B), 500_000, None, {A: 15, B: 15}, Confidence.ESTIMATED),  # only the device: by time held
        ((A, B), None, {A: 900_000, B: 600_000}, {A: 36, B: 24}, Confidence.ESTIMATED),  # more than all: scaled
        ((A,), 1_200_000, None, {A: 60}, Confidence.ESTIMATED),
        ((A, B), None, None, {A: None, B: None}, Confidence.DERIVED),
    ],
)
def test_work_comes_from_the_best_source_there_is(
    occupants: tuple[str, ...],
    activity: int | None,
    by_holder: dict[str, int] | None,
    expected: dict[str, int | None],
    confidence: Confidence,
) -> None:
    """The order of precedence, and how far each source is trusted."""
    after = gpu(activity=activity, by_holder=by_holder)
    assert {holder: active for holder, _, active, _ in shares(gpu(*occupants), after)} == expected
    ((_, (stretch,)),) = share_board(gpu(*occupants), after, MINUTE)
    assert {s.evidence.confidence for s in stretch.shares} == {confidence}


def test_a_sharer_may_work_more_than_its_share_of_time() -> None:
    """Two holders hold half each; one worked 80 % of the minute, and that stays as measured."""
    assert shares(gpu(A, B), gpu(by_holder={A: 800_000})) == [(A, 30, 48, 6_000), (B, 30, 0, 0)]


def test_energy_is_an_idle_floor_by_time_and_the_rest_by_work() -> None:
    """50 W idle is 3,000 mJ of the minute, shared by time; the other 3,000 mJ follow the work 3:1."""
    before, after = gpu(A, B, floor=50), gpu(by_holder={A: 600_000, B: 200_000})
    assert [s[3] for s in shares(before, after)] == [1_500 + 2_250, 1_500 + 750]


def test_energy_below_the_floor_and_without_work_goes_by_time() -> None:
    """A floor larger than what was used takes all of it; no work at all is shared as the floor is."""
    after = gpu(by_holder={A: 600_000})
    assert [s[3] for s in shares(gpu(A, B, floor=1_000), after)] == [3_000, 3_000]
    assert [s[3] for s in shares(gpu(A, Occupant(B, 2)), gpu())] == [2_000, 4_000]


def test_energy_of_slices_goes_by_size_and_work() -> None:
    """An idle slice takes its part of the floor by size; what is above it goes to the slice that worked."""
    devices = (
        DeviceSnapshot("MIG-a", 360, occupants=(Occupant(A),)),
        DeviceSnapshot("MIG-b", 360),
        DeviceSnapshot("GPU-1/remainder", 120, reason="stranded"),
    )
    before = BoardSnapshot("GPU-1", devices, idle_power_mw=14)
    after = before._replace(devices=tuple(d._replace(activity_ppm=500_000) for d in devices))
    shared = {device: stretch.shares[0] for device, (stretch,) in share_board(before, after, MINUTE)}
    assert {device: s.energy_mj for device, s in shared.items()} == {
        "MIG-a": 360 + 5_160,
        "MIG-b": 360,
        "GPU-1/remainder": 120,
    }
    assert {s.evidence.split for s in shared.values()} == {"slices"}
    assert (shared["GPU-1/remainder"].state, shared["GPU-1/remainder"].reason) == (State.IDLE, "stranded")


def test_unknown_energy_stays_unknown() -> None:
    """None in, None out: never zero."""
    assert shares(gpu(A), gpu(activity=1_000_000), MINUTE._replace(energy_mj=None)) == [(A, 60, 60, None)]


def test_an_arrival_on_a_shared_device_cuts_the_step() -> None:
    """Alone for 20 s, then two: time from then on is split, each one's work lies where it was there."""
    before = gpu(A)
    after = gpu(A, Occupant(B, since_us=T0 + 20 * S), by_holder={A: 300_000, B: 400_000})
    ((_, stretches),) = share_board(before, after, MINUTE)
    assert [
        ((x.end_us - T0) // S, [(s.holder, s.held_us // S, (s.active_us or 0) // S) for s in x.shares])
        for x in stretches
    ] == [(20, [(A, 20, 6)]), (60, [(A, 20, 12), (B, 20, 24)])]


def test_an_arrival_with_more_work_than_time_is_scaled_to_its_time() -> None:
    """A process that came 6 s before the end cannot have worked 30 s: 6 s, and the row says that it is an estimate."""
    after = gpu(Occupant(A, since_us=T0 + 54 * S), activity=500_000)
    ((_, (idle, held)),) = share_board(gpu(), after, MINUTE)
    assert idle.shares[0].state is State.IDLE
    assert (held.shares[0].active_us, held.shares[0].evidence.confidence) == (6 * S, Confidence.ESTIMATED)


def test_a_holder_listed_twice_is_refused() -> None:
    """Two occupants with one key would count one holder's work twice."""
    with pytest.raises(ConservationError, match="twice"):
        share_board(gpu(A, A), None, MINUTE)


def test_a_stretch_inside_a_minute_is_not_cut() -> None:
    """The end belongs to the next minute: a whole minute is one piece, a microsecond more is two."""
    ((_, (whole,)),) = share_board(gpu(A), None, MINUTE)
    assert cut_at_minutes(whole) == [whole]
    longer = Stretch(whole.start_us, whole.end_us + 1, whole.shares)
    longer.shares[0].held_us += 1
    assert [piece.end_us - piece.start_us for piece in cut_at_minutes(longer)] == [US_PER_MINUTE, 1]


def states(before: BoardSnapshot, after: BoardSnapshot | None) -> list[tuple[object, ...]]:
    """Return (holder, state, reason, held s, active s) of each stretch's shares, in order of time."""
    ((_, stretches),) = share_board(before, after, MINUTE)
    return [
        (s.holder, s.state.label, s.reason, s.held_us / S, None if s.active_us is None else s.active_us / S)
        for stretch in stretches
        for s in stretch.shares
    ]


def waiting(holder: str, weight: int = 1, reason: str = "never_started") -> Occupant:
    return Occupant(holder, weight, method="pod_resources", running=False, reason=reason)


@pytest.mark.parametrize("activity", [0, None])
def test_a_grant_without_a_process_is_held_and_did_nothing(activity: int | None) -> None:
    """Who holds a device and never starts pays for it, also where the driver shows no activity (MIG)."""
    ((_, (stretch,)),) = share_board(gpu(waiting(A)), gpu(waiting(A), activity=activity), MINUTE)
    (share,) = stretch.shares
    assert (share.state, share.reason, share.active_us) == (State.HELD_IDLE, "never_started", 0)
    assert (share.evidence.holder, share.evidence.activity) == ("pod_resources", "no_process")
    assert share.evidence.confidence is Confidence.DERIVED


def test_work_goes_to_those_that_had_a_process() -> None:
    """Of two grants only one runs: the device's work is its own, measured, though time is split."""
    after = gpu(waiting(A), Occupant(B), activity=500_000)
    assert states(gpu(waiting(A), Occupant(B)), after) == [
        (A, "held_idle", "never_started", 30, 0),
        (B, "active", "", 30, 30),
    ]
    ((_, (stretch,)),) = share_board(gpu(waiting(A), Occupant(B)), after, MINUTE)
    assert stretch.shares[1].evidence.confidence is Confidence.MEASURED


def test_a_process_that_started_during_the_step_did_its_work() -> None:
    """A grant that is seen running at the end of the step is who worked in it."""
    assert states(gpu(waiting(A), waiting(B)), gpu(waiting(A), Occupant(B), activity=250_000)) == [
        (A, "held_idle", "never_started", 30, 0),
        (B, "active", "", 30, 15),
    ]


def test_replicas_that_nobody_was_given_are_idle() -> None:
    """One of four replicas holds a quarter of the device's time; it may work for more than it holds."""
    before = gpu(Occupant(A), replicas=4)
    assert states(before, gpu(Occupant(A), activity=500_000, replicas=4)) == [
        (A, "active", "", 15, 30),
        (None, "idle", "free", 45, 0),
    ]
    three = gpu(Occupant(A, 1), Occupant(B, 3), replicas=4)
    assert [row[:1] + row[3:4] for row in states(three, gpu(A, B, activity=0))] == [(A, 15), (B, 45)]


def test_energy_of_free_replicas_is_their_part_of_the_floor() -> None:
    """What nobody was given draws its share of the idle floor; the rest follows the work."""
    before = gpu(Occupant(A), replicas=4)._replace(idle_power_mw=40)
    ((_, (stretch,)),) = share_board(before, gpu(A, activity=500_000), MINUTE)
    assert [share.energy_mj for share in stretch.shares] == [600 + 3_600, 1_800]


def test_use_without_a_grant_is_ungranted_whether_or_not_it_worked() -> None:
    """Who uses a device that was given to another pays its part of the time, in a state of its own."""
    intruder = Occupant(B, granted=False, reason="granted_to_another", method="process_user")
    after = gpu(Occupant(A), intruder, activity=500_000)
    assert states(gpu(Occupant(A), intruder), after) == [
        (A, "active", "", 30, 15),
        (B, "ungranted", "granted_to_another", 30, 15),
    ]
    ((_, (stretch,)),) = share_board(gpu(intruder), gpu(intruder), MINUTE)
    assert (stretch.shares[0].state, stretch.shares[0].active_us) == (State.UNGRANTED, None)


def test_who_came_and_left_between_two_snapshots_has_its_time() -> None:
    """A job that no snapshot saw has its exact stay; before and after it the device is idle."""
    passed = Occupant(A, since_us=T0 + 10 * S, until_us=T0 + 25 * S, method="slurm_prolog")
    assert states(gpu(), gpu(activity=0, passed=(passed,))) == [
        (None, "idle", "free", 10, 0),
        (A, "held_idle", "unknown", 15, 0),
        (None, "idle", "free", 35, 0),
    ]


def test_a_share_is_a_share_of_what_the_device_is_cut_into_when_it_comes() -> None:
    """The first job on a GPU of four shards, and one that no snapshot saw, hold a quarter from their first instant."""
    b = Occupant(B, since_us=T0 + 20 * S)
    a = Occupant(A, since_us=T0 + 10 * S, until_us=T0 + 20 * S)
    assert [row[::3] for row in states(gpu(), gpu(b, activity=0, passed=(a,), replicas=4))] == [
        (None, 10), (A, 2.5), (None, 7.5), (B, 10), (None, 30),
    ]  # fmt: skip


def test_weights_of_two_snapshots_are_on_one_scale() -> None:
    """A job with three of four shards starts a second step, another job comes with the fourth: it has a quarter."""
    before = gpu(Occupant(A, 3), replicas=4)
    after = gpu(Occupant(A, 3), Occupant(C, 3), Occupant(B, 2, since_us=T0 + 20 * S), activity=0, replicas=8)
    assert [row[::3] for row in states(before, after)] == [(A, 15), (None, 5), (A, 30), (B, 10)]


def test_who_is_known_to_have_left_holds_until_then() -> None:
    """A departure inside the step ends the stay there, and the work was done during the stay."""
    passed = Occupant(A, until_us=T0 + 20 * S)
    assert states(gpu(A), gpu(activity=100_000, passed=(passed,))) == [
        (A, "active", "", 20, 6),
        (None, "idle", "free", 40, 0),
    ]
    assert states(gpu(A), gpu(A, activity=100_000, passed=(passed,))) == [(A, "active", "", 60, 6)]


def test_the_method_of_activity_is_on_the_row() -> None:
    """Activity that was found another way than as device utilisation says so."""
    after = gpu(A, activity=300_000, activity_method="gpm")
    ((_, (stretch,)),) = share_board(gpu(A), after, MINUTE)
    assert (stretch.shares[0].evidence.activity, stretch.shares[0].active_us) == ("gpm", 18 * S)
