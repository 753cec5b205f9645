"""What still has to be booked of a job: each GPU-second once, whatever is read, in whatever order."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from collector.imports.booking import BookedRun, Booking, Outcome, decide_booking
from collector.imports.jobs import JobRecord, PoolFacts, device_key, job_holder, job_usage, pool_device
from gpuledger.accounting.intervals import Interval, merge
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.model import State


def record(start: int, end: int | None, gpus: int = 2, **changes: object) -> JobRecord:
    """Return a run of job 1."""
    return JobRecord(job="1", cluster="c", start_us=start, end_us=end, gpus=gpus, **changes)  # type: ignore[arg-type]


def run(start: int, until: int, *, ended: bool = True, gpus: int = 2, part: str = "") -> BookedRun:
    """Return a run of job 1 as the ledger has it."""
    return BookedRun(part, start, until, ended, gpus)


def test_a_run_that_is_not_known_is_booked_whole() -> None:
    """All of it, and remembered."""
    assert decide_booking(record(5, 9), 9, []) == Booking(Outcome.NEW, [Interval(5, 9)], run(5, 9))


def test_an_open_run_is_booked_to_the_horizon_and_later_only_on_from_there() -> None:
    """The second import books what is missing; the third nothing."""
    first = decide_booking(record(5, None), 9, [])
    assert first.run == run(5, 9, ended=False)
    second = decide_booking(record(5, 20), 20, [run(5, 9, ended=False)])
    assert (second.outcome, second.intervals, second.run) == (Outcome.EXTENDED, [Interval(9, 20)], run(5, 20))
    assert decide_booking(record(5, 20), 20, [run(5, 20)]) == Booking(Outcome.UNCHANGED)


def test_an_end_at_the_horizon_closes_the_run_without_time() -> None:
    """Only the ledger's memory changes."""
    assert decide_booking(record(5, 9), 9, [run(5, 9, ended=False)]) == Booking(Outcome.UNCHANGED, run=run(5, 9))


def test_an_older_export_changes_nothing() -> None:
    """A log from when the job still ran says nothing new, whatever its horizon."""
    for until in (7, 9, 30):
        assert decide_booking(record(5, None), until, [run(5, 9)]) == Booking(Outcome.UNCHANGED)


def test_facts_that_go_backwards_are_conflicts_and_nothing_is_edited() -> None:
    """An earlier end, other GPUs: reported in words, left as booked."""
    for changed, words in ((record(5, 7), "now ends"), (record(5, 9, gpus=3), "now has 3")):
        booking = decide_booking(changed, changed.end_us or 0, [run(5, 9)])
        assert (booking.outcome, booking.intervals, booking.run) == (Outcome.CONFLICT, (), None)
        assert words in booking.disagreement


def test_a_run_that_overlaps_another_one_of_its_job_is_booked_for_the_rest() -> None:
    """A job holds its GPUs once: what the other run has is not booked again, and somebody is told."""
    booking = decide_booking(record(7, 20), 20, [run(5, 9)])
    assert (booking.outcome, list(booking.intervals)) == (Outcome.NEW, [Interval(9, 20)])
    assert booking.disagreement
    inside = decide_booking(record(6, 8), 8, [run(5, 9)])
    assert (inside.outcome, list(inside.intervals)) == (Outcome.CONFLICT, [])


def test_parts_of_a_job_run_side_by_side() -> None:
    """GPUs of two models are two allocations; the same job read without models is the same time again."""
    beside = decide_booking(record(5, 9, part="v100"), 9, [run(5, 9, part="a100")])
    assert beside.outcome is Outcome.NEW
    untyped = decide_booking(record(5, 9), 9, [run(5, 9, part="a100")])
    assert (untyped.outcome, list(untyped.intervals)) == (Outcome.CONFLICT, [])


@given(
    runs=st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(1, 40))), max_size=8),
    horizon=st.integers(60, 120),
)
def test_no_instant_of_a_job_is_booked_twice_and_a_second_pass_books_nothing(
    runs: list[tuple[int, int | None]], horizon: int
) -> None:
    """For any runs, overlapping or repeated, what is booked is disjoint, covers all of them, and is complete at once."""
    records = [record(start, None if length is None else start + length) for start, length in runs]
    known: list[BookedRun] = []
    booked: list[Interval] = []
    for passes in range(2):
        for each in records:
            booking = decide_booking(each, horizon if each.end_us is None else each.end_us, known)
            if booking.run:
                known = [other for other in known if other.started_us != booking.run.started_us] + [booking.run]
            booked += booking.intervals
            assert not (passes and booking.intervals)
    ordered = sorted(booked)
    assert all(first.end_us <= second.start_us for first, second in pairwise(ordered))
    spans = [Interval(each.started_us, each.booked_until_us) for each in known]
    assert merge(ordered) == merge(spans)


@given(st.integers(0, 5 * US_PER_HOUR), st.integers(1, 9 * US_PER_HOUR), st.integers(1, 64))
def test_usage_is_cut_at_hours_and_sums_to_gpus_times_length(start: int, length: int, gpus: int) -> None:
    """Rows follow one another, none crosses an hour, and their held time is exact."""
    rows = job_usage(record(start, start + length, gpus), start, start + length)
    assert sum(row.held_us for row in rows) == gpus * length
    assert all((row.end_us - 1) // US_PER_HOUR == row.start_us // US_PER_HOUR for row in rows)
    assert [row.end_us for row in rows[:-1]] == [row.start_us for row in rows[1:]]
    assert {(row.state, row.active_us, row.evidence.holder) for row in rows} == {
        (State.HELD_UNOBSERVED, None, "job_log")
    }


def test_pools_are_named_after_pool_and_model_then_partition() -> None:
    """Partitions share nodes, so the model comes first; capacity and full names are the site's facts."""
    facts = PoolFacts(capacity={"a100": 8}, models={"a100": "NVIDIA A100-SXM4-80GB"})
    typed = pool_device(record(0, 1, gpu_model="a100", partition="accel"), facts)
    assert (typed.key, typed.units, typed.model, typed.pool) == ("pool:c/a100", 8, "NVIDIA A100-SXM4-80GB", "")
    untyped = pool_device(record(0, 1, partition="accel"), facts)
    assert (untyped.key, untyped.units, untyped.pool) == ("pool:c/accel", None, "accel")
    assert device_key(record(0, 1)) == "pool:c/gpus"
    assert device_key(record(0, 1, pool="lab", gpu_model="t4")) == "pool:c/lab/t4"


def test_a_mig_type_counts_as_its_slice() -> None:
    """3g.20gb is three of the seven slices of an A100, 2g.12gb two of the four of an A30."""
    slices = {model: pool_device(record(0, 1, gpu_model=model)) for model in ("a100_3g.20gb", "2g.12gb", "a100")}
    assert [(device.mig_profile, device.parts) for device in slices.values()] == [
        ("3g.20gb", 360), ("2g.12gb", 420), ("", 840),
    ]  # fmt: skip


def test_the_holder_is_the_job_with_its_account_and_name() -> None:
    """Owner rules find the account and the user; the job's name is its workload."""
    holder = job_holder(record(0, 1, account="vision", user="ada", name="train"))
    assert (holder.key, holder.kind, holder.slurm_account, holder.user) == ("slurm:c:1", "slurm_job", "vision", "ada")
    assert holder.workload is not None
    assert holder.workload.name == "train"
