"""Who holds a device, where schedulers and processes each say something: the written order of precedence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.holders.grants import Grant, Granted
from agent.holders.precedence import DeviceGrants, Present, completed, covers, occupy, rank, trust
from gpuledger.model import Confidence, Holder

DEVICE = "GPU-0"
POD = Holder("pod:u1/main", "pod", namespace="ml", pod="train-0", pod_uid="u1", container="main")
OTHER_POD = Holder("pod:u2/main", "pod", namespace="ml", pod="train-1", pod_uid="u2", container="main")
JOB = Holder("slurm:7", "slurm_job", slurm_job="7", slurm_account="astro")
ERIN = Holder("user:1005", "user", uid=1005)
GONE = Holder("unattributed:n/vanished", "unattributed")


def grant(holder: Holder, replicas: int = 1, method: str = "pod_resources", **facts: object) -> Grant:
    return Grant(DEVICE, holder, method, replicas, **facts)  # type: ignore[arg-type]


def seen(holder: Holder, memory: int | None = 5, since_us: int | None = None) -> Present:
    return Present(holder, "process_cgroup", memory, since_us)


def process_of(holder: Holder, **facts: object) -> Holder:
    return Holder(**{**{n: getattr(holder, n) for n in Holder.__struct_fields__}, **facts})  # type: ignore[arg-type]


def on(*present: Present, grants: tuple[Grant, ...] = (), **more: object) -> dict[str, tuple[int, bool, str]]:
    """Return each occupant's weight, whether it runs, and why it is refused."""
    found = occupy(DeviceGrants(grants, **more), present)  # type: ignore[arg-type]
    return {place.holder.key: (place.weight, place.present is not None, place.refusal) for place in found.places}


def test_a_grant_holds_with_and_without_a_process() -> None:
    """Who was given a device holds it; its process is not another holder."""
    assert on(grants=(grant(POD),)) == {"pod:u1/main": (1, False, "")}
    shown = process_of(POD, key="pod:u1/c0ffee", container="", container_id="c0ffee", uid=3)
    found = occupy(DeviceGrants((grant(POD),)), [seen(shown)])
    (place,) = found.places
    assert (place.holder.key, place.holder.container, place.holder.container_id) == ("pod:u1/main", "main", "c0ffee")


def test_two_containers_of_a_pod_are_two_holders() -> None:
    """A sidecar's process is not covered by the grant of the main container."""
    sidecar = process_of(POD, key="pod:u1/side", container="side")
    assert on(seen(sidecar), grants=(grant(POD),)) == {
        "pod:u1/main": (1, False, ""),
        "pod:u1/side": (1, True, "granted_to_another"),
    }


def test_a_pod_without_uid_is_matched_by_its_whole_name() -> None:
    """The same pod name in another namespace is another pod."""
    nameless = process_of(POD, pod_uid="", key="pod:ml/train-0/main")
    elsewhere = process_of(POD, namespace="prod", pod_uid="u9")
    assert covers(nameless, POD)
    assert not covers(nameless, elsewhere)
    assert not covers(process_of(nameless, pod=""), process_of(POD, pod=""))


def test_the_steps_of_a_job_share_what_the_job_was_given() -> None:
    """Two steps on a job's device are the job's occupants, each with half of its weight, with the job's facts."""
    steps = [process_of(JOB, key=f"slurm:7.{step}", slurm_step=step, slurm_account="") for step in ("0", "1")]
    other = grant(process_of(JOB, key="slurm:8", slurm_job="8"), 3, "slurm_prolog")
    found = occupy(DeviceGrants((grant(JOB, 1, "slurm_prolog"), other), replicas=4), map(seen, steps))
    assert [(p.holder.key, p.weight) for p in found.places] == [("slurm:7.0", 1), ("slurm:7.1", 1), ("slurm:8", 6)]
    assert found.replicas == 8
    assert {p.holder.slurm_account for p in found.places} == {"astro"}


@pytest.mark.parametrize(
    ("grants", "managed", "expected"),
    [
        ((), False, ""),
        ((), True, "granted_to_nobody"),
        ((grant(POD),), True, "granted_to_another"),
        ((grant(POD),), False, "granted_to_another"),
    ],
)
def test_use_without_a_grant(grants: tuple[Grant, ...], managed: bool, expected: str) -> None:  # noqa: FBT001
    """On a device that no scheduler has, a process is its holder; on one that a scheduler gives away it is ungranted."""
    assert on(seen(ERIN), grants=grants, managed=managed)["user:1005"] == (1, True, expected)


def test_a_process_that_nobody_could_identify_accuses_nobody() -> None:
    """It belongs to the only grant there is; among several it stays unattributed, and is not called ungranted."""
    assert on(seen(GONE), grants=(grant(POD),)) == {"pod:u1/main": (1, True, "")}
    assert on(seen(GONE), grants=(grant(POD), grant(OTHER_POD)))[GONE.key] == (1, True, "")
    assert on(seen(GONE), managed=True)[GONE.key] == (1, True, "")


def test_slurm_inside_a_pod_is_covered_by_the_pod() -> None:
    """Where slurmd runs in a pod, the pod's grant covers its jobs, and the job is the holder."""
    job = process_of(JOB, pod_uid="u1")
    assert on(seen(job), grants=(grant(POD),)) == {"slurm:7": (1, True, "")}


def test_a_job_that_its_path_names_by_sluid_is_the_one_that_was_granted() -> None:
    """The path says which job a process is of; a number in its own environment cannot make it another's."""
    granted = process_of(JOB, labels={"slurm_sluid": "s8FXKTA79XAR00"})
    step = process_of(JOB, key="slurm:s8FXKTA79XAR00.0", slurm_job="")
    liar = process_of(JOB, key="slurm:sEKNKTV3WPV500.0")
    assert covers(granted, step)
    assert not covers(granted, liar)
    assert not covers(process_of(JOB, slurm_job=""), step)


def test_the_strongest_source_decides_and_a_weaker_one_is_a_conflict() -> None:
    """Sources that name the same tenancy agree; another tenancy is reported, not counted."""
    strong = Granted((grant(JOB, method="slurm_prolog"),))
    same = Granted((grant(JOB, method="slurm_cgroup"),), managed=frozenset({DEVICE, "GPU-1"}))
    weak = Granted((grant(POD),), replicas={DEVICE: 4})
    found, conflicts = rank([strong, same, weak])
    assert [g.method for g in found[DEVICE].grants] == ["slurm_prolog"]
    assert (found[DEVICE].managed, found[DEVICE].replicas, found["GPU-1"].grants) == (True, None, ())
    assert [(c.believed.holder.key, c.other.holder.key) for c in conflicts] == [("slurm:7", "pod:u1/main")]


def test_what_has_ended_does_not_hold() -> None:
    """An ended grant stands apart, and conflicts with nobody; a weaker source has not heard of its end yet."""
    same = Granted((grant(JOB, method="slurm_cgroup"), grant(OTHER_POD, until_us=9)))
    found, conflicts = rank([Granted((grant(JOB, until_us=9),)), same])
    assert (found[DEVICE].grants, [g.holder.key for g in found[DEVICE].ended], conflicts) == ((), ["slurm:7"], [])


def test_an_end_hides_nobody_else() -> None:
    """A job of a slurmd in a pod ends, the pod holds on: at that very reading its processes are no intruders."""
    found, conflicts = rank([Granted((grant(JOB, until_us=9),)), Granted((grant(POD),), replicas={DEVICE: 2})])
    assert [g.holder.key for g in found[DEVICE].grants] == [POD.key]
    assert (found[DEVICE].replicas, conflicts) == (2, [])


def test_the_last_processes_of_an_ended_tenancy_are_no_intruders() -> None:
    """A pod that was deleted by force runs on for a while: it holds by its process, and is accused of nothing."""
    found, _ = rank([Granted(managed=frozenset({DEVICE}), excused=(grant(POD),))])
    assert occupy(found[DEVICE], []).places == ()
    (place,) = occupy(found[DEVICE], [seen(POD)]).places
    assert (place.holder.key, place.grant, place.refusal) == (POD.key, None, "")
    (place,) = occupy(found[DEVICE], [seen(OTHER_POD)]).places
    assert place.refusal == "granted_to_nobody"


def test_a_uid_alone_and_a_name_alone_may_be_one_pod() -> None:
    """Where nothing joins them the process is the only grant's; among several it is nobody's, and accused of nothing."""
    named = process_of(POD, key="pod:ml/train-0/main", pod_uid="")
    shown = Holder("pod:u7/c0ffee", "pod", pod_uid="u7", container_id="c0ffee")
    assert on(seen(shown), grants=(grant(named),), managed=True) == {"pod:ml/train-0/main": (1, True, "")}
    assert on(seen(shown), grants=(grant(named), grant(OTHER_POD)))["pod:u7/c0ffee"] == (1, True, "")
    assert on(seen(shown), grants=(grant(POD),))["pod:u7/c0ffee"] == (1, True, "granted_to_another")


def test_what_the_scheduler_says_of_a_job_is_not_overruled_by_its_processes() -> None:
    """A process's environment is its user's to write: another account in it charges nobody else."""
    forged = process_of(JOB, key="slurm:7.0", slurm_step="0", slurm_account="rich", user="somebody", uid=9)
    granted = process_of(JOB, user="erin", uid=1005)
    (place,) = occupy(DeviceGrants((grant(granted, method="slurm_prolog"),)), [seen(forged)]).places
    assert (place.holder.key, place.holder.slurm_step) == ("slurm:7.0", "0")
    assert (place.holder.slurm_account, place.holder.user, place.holder.uid) == ("astro", "erin", 1005)


def test_a_claim_is_trusted_less() -> None:
    """What a source only claims lowers the trust in the row's holder."""
    (place,) = occupy(DeviceGrants((grant(JOB, confidence=Confidence.ESTIMATED),)), []).places
    assert trust(place) is Confidence.ESTIMATED


def test_one_holder_by_two_grants_has_the_weight_of_both() -> None:
    """A container that was given two replicas under two ids is one occupant."""
    assert on(grants=(grant(POD), grant(POD)), replicas=4) == {"pod:u1/main": (2, False, "")}


HOLDERS = [
    POD,
    OTHER_POD,
    JOB,
    process_of(JOB, key="slurm:7.0", slurm_step="0"),
    process_of(JOB, key="slurm:7.1", slurm_step="1"),
    ERIN,
    GONE,
]


@given(
    st.lists(st.tuples(st.sampled_from([POD, OTHER_POD, JOB]), st.integers(1, 5)), max_size=3),
    st.lists(st.sampled_from(HOLDERS), max_size=6, unique_by=lambda holder: holder.key),
    st.booleans(),
)
def test_nobody_is_lost_and_no_weight_is(
    given_: list[tuple[Holder, int]],
    present: list[Holder],
    managed: bool,  # noqa: FBT001
) -> None:
    """Each holder appears once, every grant keeps its weight, everybody present is somebody's."""
    grants = tuple(grant(holder, replicas) for holder, replicas in given_)
    found = occupy(DeviceGrants(grants, managed=managed), map(seen, present))
    keys = [place.holder.key for place in found.places]
    assert len(keys) == len(set(keys))
    scale = occupy(DeviceGrants(grants, managed=managed, replicas=1), map(seen, present)).replicas
    assert sum(place.weight for place in found.places if place.grant) == scale * sum(g.replicas for g in grants)
    for holder in present:
        assert any(place.present for place in found.places if covers(place.holder, holder) or holder is GONE or
                   place.holder.key == holder.key)  # fmt: skip


def test_one_process_may_know_more_of_a_holder_than_another() -> None:
    """Facts of several processes of one holder complete each other; what is known first stays."""
    known = Holder("slurm:1.0", "slurm_job", slurm_account="astro")
    other = Holder("slurm:1.0", "slurm_job", slurm_account="other", user="ada")
    assert completed(known, other) == Holder("slurm:1.0", "slurm_job", slurm_account="astro", user="ada")
    labelled = completed(
        Holder("k", "pod", labels={"a": "1", "b": "1"}), Holder("k", "pod", labels={"b": "2", "c": "2"})
    )
    assert labelled.labels == {"a": "1", "b": "1", "c": "2"}
