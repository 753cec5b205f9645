"""Why a scheduler and the ledger differ on a job: causes sum to the difference to the microsecond."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.job_differences import CAUSES, Granted, Hold, explain_job

S = 1_000_000


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, int]:
    start = draw(st.integers(0, 1_000))
    return start, start + draw(st.integers(1, 500))


@st.composite
def held(draw: st.DrawFn) -> Hold:
    start, end = draw(spans())
    pool = draw(st.booleans())
    share = draw(st.integers(1, (end - start) * (8 if pool else 1)))
    return Hold(f"{'pool' if pool else 'gpu'}-{draw(st.integers(0, 3))}", start, end, share, pool)


grants = st.builds(lambda span, gpus: Granted(*span, gpus), spans(), st.integers(1, 8))
watches = st.dictionaries(
    st.sampled_from([f"gpu-{number}" for number in range(4)]), st.lists(st.builds(lambda s: Interval(*s), spans()))
)


@given(st.lists(grants, max_size=4), st.lists(held(), max_size=6), watches)
def test_causes_sum_to_the_difference(
    granted: list[Granted], holds: list[Hold], watched: dict[str, list[Interval]]
) -> None:
    """Whatever runs, shares, pools, gaps and overlaps there are; causes of nothing are left out."""
    causes = explain_job(granted, holds, watched)
    assert sum(causes.values()) == sum(run.gpu_us for run in granted) - sum(hold.held_us for hold in holds)
    assert set(causes) <= set(CAUSES)
    assert all(causes.values())


def test_a_job_seen_as_it_was_granted_has_no_cause() -> None:
    """Two GPUs for a hundred seconds."""
    holds = [Hold(device, 0, 100 * S, 100 * S) for device in ("a", "b")]
    assert explain_job([Granted(0, 100 * S, 2)], holds, {"a": [Interval(0, 100 * S)]}) == {}


def test_each_cause_is_told_from_the_others() -> None:
    """Seconds at the edges, an outage in the middle, a stretch in which nobody held, a GPU that was never seen held."""
    holds = [Hold("a", 3 * S, 40 * S, 37 * S), Hold("a", 60 * S, 80 * S, 20 * S), Hold("a", 85 * S, 102 * S, 17 * S)]
    watched = {"a": [Interval(0, 40 * S), Interval(60 * S, 200 * S)]}
    assert explain_job([Granted(0, 100 * S, 2)], holds, watched) == {
        "gpus": 100 * S, "outage": 20 * S, "start": 3 * S, "end": -2 * S, "not_held": 5 * S,
    }  # fmt: skip


def test_jobs_of_one_side_alone_are_named() -> None:
    """Nothing of them is taken for edges."""
    assert explain_job([Granted(0, 10, 4)], [], {}) == {"not_in_ledger": 40}
    assert explain_job([], [Hold("a", 0, 10, 10)], {}) == {"not_in_sacct": -10}


def test_runs_of_a_requeued_job_are_explained_apart() -> None:
    """The second run ran on another device; what the ledger saw after the first belongs to it, not to the second."""
    granted = [Granted(0, 100, 1), Granted(200, 300, 1)]
    holds = [Hold("a", 0, 105, 105), Hold("b", 195, 300, 105)]
    watched = {name: [Interval(0, 1000)] for name in "ab"}
    assert explain_job(granted, holds, watched) == {"start": -5, "end": -5}


def test_gpus_of_several_models_in_one_run_are_one_grant() -> None:
    """Sacct lists an allocation once for each model."""
    holds = [Hold("a", 0, 10, 10), Hold("b", 0, 10, 10), Hold("c", 0, 10, 10)]
    watched = {name: [Interval(0, 10)] for name in "abc"}
    assert explain_job([Granted(0, 10, 1), Granted(0, 10, 2)], holds, watched) == {}
