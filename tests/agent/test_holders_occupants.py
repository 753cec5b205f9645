"""Occupants from reading to reading: grants and processes together, who is new, who has left, who should not be there."""

from __future__ import annotations

from collections.abc import Callable

from agent.devices.base import BoardHealth, EndedProcess, NodeReading, ProcessReading
from agent.holders.grants import Grant, Granted, GrantSource, InMemoryGrants
from agent.holders.standing import Standing
from agent.observe import Observation, Observer
from gpuledger.accounting.snapshot import DeviceSnapshot, Occupant
from gpuledger.accounting.units import US_PER_SECOND as S
from gpuledger.errors import HolderError
from gpuledger.model import Event, Holder
from tests.agent.nodes import CONTAINER, MINUTE, POD_UID, T0, board, mig_board, node, process, resolver

POD = Holder(f"pod:{POD_UID}/main", "pod", namespace="ns", pod="trainer", pod_uid=POD_UID, container="main")
JOB = Holder("slurm:7", "slurm_job", slurm_job="7")
STEP_CGROUP = "0::/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n"


class Node:
    """A node whose grants and readings are given, one minute after the other."""

    def __init__(self, *processes: object, sources: tuple[GrantSource, ...] = ()) -> None:
        self.given = InMemoryGrants()
        found = resolver(*processes)  # type: ignore[arg-type]
        self.observer = Observer(found, node="node-a", standing=Standing(sources or (self.given,)))
        self.minute = 0

    def grant(self, *grants: Grant, **more: object) -> None:
        self.given.granted = Granted(grants, **more)  # type: ignore[arg-type]

    def see(self, reading: NodeReading) -> Observation:
        self.minute += 1
        return self.observer.observe(reading, T0 + self.minute * MINUTE)

    def device(self, reading: NodeReading) -> DeviceSnapshot:
        return self.see(reading).snapshot.boards[0].devices[0]


def pod_grant(device: str = "GPU-0", replicas: int = 1, **facts: object) -> Grant:
    return Grant(device, POD, "pod_resources", replicas, **facts)  # type: ignore[arg-type]


def job_grant(**facts: object) -> Grant:
    return Grant("GPU-0", JOB, "slurm_prolog", **facts)  # type: ignore[arg-type]


def test_a_granted_device_is_held_before_during_and_after_its_process() -> None:
    """Without a process yet it never started; once one was seen and is gone it has no process."""
    here = Node(process(1, start_us=T0))
    here.grant(pod_grant())
    expected = Occupant(POD.key, 1, None, None, "pod_resources", running=False, reason="never_started")
    assert here.device(node(board(0))).occupants == (expected,)
    (running,) = here.device(node(board(0, 1))).occupants
    assert (running.holder, running.running, running.reason, running.memory_bytes) == (POD.key, True, "", 100)
    assert [one.reason for one in here.device(node(board(0))).occupants] == ["no_process"]
    here.grant()
    here.device(node(board(0)))
    here.grant(pod_grant())
    assert [one.reason for one in here.device(node(board(0))).occupants] == ["never_started"], "another tenancy"


def test_the_facts_of_a_process_complete_those_of_its_grant() -> None:
    """The pod is one holder, with the name of its container and the id of it."""
    here = Node(process(1))
    here.grant(pod_grant())
    here.see(node(board(0, 1)))
    holder = here.observer.holders[POD.key]
    assert (holder.container, holder.container_id) == ("main", CONTAINER)


def test_a_new_grant_counts_from_the_instant_that_its_source_tells() -> None:
    """An instant outside the step, or one of a grant that stood before, dates nothing."""
    here = Node()
    here.see(node(board(0)))
    start_us = T0 + MINUTE + 7
    here.grant(job_grant(since_us=start_us))
    assert here.device(node(board(0))).occupants[0].since_us == start_us
    assert here.device(node(board(0))).occupants[0].since_us is None


def test_a_step_of_a_job_that_held_the_device_before_is_no_arrival() -> None:
    """The job held it: its first process does not make it a second holder of the same time."""
    here = Node(process(1, STEP_CGROUP, start_us=T0 + MINUTE + 9))
    here.grant(job_grant())
    here.see(node(board(0)))
    (step,) = here.device(node(board(0, 1))).occupants
    assert (step.holder, step.since_us, step.method) == ("slurm:7.0", None, "slurm_prolog")


def test_a_grant_that_ended_dates_the_departure_of_whoever_held_by_it() -> None:
    """The steps of an ended job leave when the job ended."""
    here = Node(process(1, STEP_CGROUP))
    here.grant(job_grant())
    here.see(node(board(0, 1)))
    end_us = T0 + MINUTE + 30
    here.grant(job_grant(until_us=end_us))
    device = here.device(node(board(0)))
    assert (device.occupants, device.passed) == ((), (Occupant("slurm:7.0", until_us=end_us),))


def test_a_job_between_two_readings_is_known() -> None:
    """It came and left: its stay is exact, and its facts are there for the batch."""
    here = Node()
    here.see(node(board(0)))
    here.grant(job_grant(since_us=T0 + MINUTE + 5, until_us=T0 + MINUTE + 9))
    (passed,) = here.device(node(board(0))).passed
    assert (passed.holder, passed.since_us, passed.until_us) == (JOB.key, T0 + MINUTE + 5, T0 + MINUTE + 9)
    assert JOB.key in here.observer.holders
    here.grant(job_grant(since_us=T0 - 9, until_us=T0 - 5))
    assert here.device(node(board(0))).passed == (), "it ended before the step began"


def test_a_process_that_the_driver_saw_end_is_known() -> None:
    """Accounting mode names a process that no reading listed; one that a grant covers needs no row of its own."""
    ended = (EndedProcess(9, T0 + MINUTE + 5, T0 + MINUTE + 8, 70),)
    here = Node(process(9, "0::/\n", start_us=T0 + MINUTE + 5, uid=5))
    here.see(node(board(0)))
    assert here.device(node(board(0, ended=ended))).passed == (
        Occupant("user:5", 1, 70, T0 + MINUTE + 5, "process_user", T0 + MINUTE + 8),
    )
    other = Node()
    other.grant(pod_grant())
    other.see(node(board(0)))
    assert other.device(node(board(0, ended=ended))).passed == (), "nobody else was given it"


def test_a_process_that_only_the_sample_buffer_shows_is_known() -> None:
    """It worked between two readings: from a sample period before its first time stamp to its last one."""
    here = Node(process(9, "0::/\n", start_us=T0 + MINUTE + 5, uid=5), process(1, "0::/\n", uid=6))
    here.see(node(board(0, 1)))
    at_us = T0 + MINUTE + 40 * S
    seen = {9: (at_us, at_us + 2 * S), 1: (at_us, at_us)}
    device = here.device(node(board(0, 1, process_seen_us=seen)))
    assert [(one.holder, one.since_us, one.until_us) for one in device.passed] == [("user:5", at_us - S, at_us + 2 * S)]
    assert [one.holder for one in device.occupants] == ["user:6"]


def test_an_mps_server_holds_nothing() -> None:
    """It works for its clients, and these are listed themselves."""
    here = Node(process(1, "0::/\n", uid=0), process(2, "0::/\n", uid=5))
    both = (ProcessReading(1, 10, "mps_server"), ProcessReading(2, 20, "mps_client"))
    device = here.device(node(board(0)._replace(processes=both)))
    assert [one.holder for one in device.occupants] == ["user:5"]


def test_what_the_machine_runs_for_everybody_holds_nothing() -> None:
    """A display server of root's takes no time from whoever was given the GPU; a user's program of that name does."""
    display = process(1, "0::/system.slice/gdm.service\n", uid=0, comm="Xorg")
    here = Node(display, process(2, "0::/\n", uid=1005, comm="Xorg"))
    here.grant(pod_grant(), managed=frozenset({"GPU-0"}))
    seen = here.see(node(board(0, 1)))
    assert [one.holder for one in seen.snapshot.boards[0].devices[0].occupants] == [POD.key]
    assert seen.events == []
    assert [one.holder for one in here.device(node(board(0, 2))).occupants] == [POD.key, "user:1005"]
    ended = (EndedProcess(1, T0 + 2 * MINUTE + 5, T0 + 2 * MINUTE + 8),)
    assert here.device(node(board(0, ended=ended))).passed == ()


def test_a_process_that_ended_is_not_whoever_has_its_pid_now() -> None:
    """What started after it had ended did not do its work."""
    ended = (EndedProcess(9, T0 + MINUTE + 5, T0 + MINUTE + 8),)
    here = Node(process(9, "0::/\n", start_us=T0 + MINUTE + 9, uid=5))
    here.see(node(board(0)))
    (passed,) = here.device(node(board(0, ended=ended))).passed
    assert passed.holder == "unattributed:node-a/vanished"


def test_short_use_without_a_grant_is_ungranted_too() -> None:
    """It came and left between two readings, on a device that was somebody else's."""
    ended = (EndedProcess(9, T0 + MINUTE + 5, T0 + MINUTE + 8),)
    here = Node(process(9, "0::/\n", start_us=T0 + MINUTE + 5, uid=5))
    here.grant(pod_grant(), managed=frozenset({"GPU-0"}))
    here.see(node(board(0)))
    seen = here.see(node(board(0, ended=ended)))
    (passed,) = seen.snapshot.boards[0].devices[0].passed
    assert (passed.holder, passed.granted, passed.reason) == ("user:5", False, "granted_to_another")
    assert [event.kind for event in seen.events] == ["ungranted_use"]


def test_a_throttled_board_says_why_its_holder_does_no_work() -> None:
    """The hardware's trouble is the reason; a grant without a process still has its own."""
    hot = board(0, 1)._replace(health=BoardHealth(throttle_reasons=0x40))
    here = Node(process(1))
    assert [one.reason for one in here.device(node(hot)).occupants] == ["throttled"]
    here = Node()
    here.grant(pod_grant())
    assert [one.reason for one in here.device(node(hot._replace(processes=()))).occupants] == ["never_started"]


def test_ungranted_use_is_one_event_for_as_long_as_it_lasts() -> None:
    """A process on a device that was given to a pod is flagged once, and again after it was away."""
    here = Node(process(1, "0::/\n", uid=5))
    here.grant(pod_grant(), managed=frozenset({"GPU-0"}))

    def events(*pids: int) -> list[tuple[str, str, str, str]]:
        found = here.see(node(board(0, *pids))).events
        return [(event.kind, event.device, event.holder, event.details["reason"]) for event in found]

    flagged = [("ungranted_use", "GPU-0", "user:5", "granted_to_another")]
    assert [events(1), events(1), events(), events(1)] == [flagged, [], [], flagged]


def test_replicas_are_the_weights_of_a_shared_device() -> None:
    """One of four replicas weighs one out of four."""
    here = Node()
    here.grant(pod_grant(), replicas={"GPU-0": 4})
    device = here.device(node(board(0)))
    assert (device.replicas, [one.weight for one in device.occupants]) == (4, [1])


def test_a_mig_instance_is_granted_like_a_board() -> None:
    """Grants of instances are by their own UUID; the left-over slices are nobody's."""
    here = Node()
    here.grant(pod_grant("MIG-0a"), managed=frozenset({"MIG-0a", "MIG-0b"}))
    a, b, rest = here.see(node(mig_board(0))).snapshot.boards[0].devices
    assert ([one.holder for one in a.occupants], b.occupants, rest.reason) == ([POD.key], (), "stranded")


def test_work_of_a_granted_pod_is_its_work_under_whatever_key_its_process_shows() -> None:
    """Activity by process lands on the occupant that holds by the grant."""
    here = Node(process(1))
    here.grant(pod_grant())
    device = here.device(node(board(0, 1, process_activity_ppm={1: 300, 99: 5})))
    assert device.holder_activity_ppm == {POD.key: 305}, "and so does that of a process that nobody could identify"


def test_work_belongs_to_who_was_there_when_the_step_began() -> None:
    """A step of a job that held the device, and a pod whose grant has just gone, worked as whom they were counted."""
    here = Node(process(1, STEP_CGROUP))
    here.grant(job_grant())
    here.see(node(board(0)))
    assert here.device(node(board(0, 1, process_activity_ppm={1: 300}))).holder_activity_ppm == {"slurm:7": 300}
    here = Node(process(1))
    here.grant(pod_grant())
    here.see(node(board(0, 1)))
    here.grant()
    assert here.device(node(board(0, 1, process_activity_ppm={1: 300}))).holder_activity_ppm == {POD.key: 300}


class Failing:
    """A source that cannot be asked."""

    name = "kubelet"

    def __init__(self, answer: Callable[[], Granted]) -> None:
        self.answer = answer
        self.closed = False

    def read(self, _at_us: int, _reading: NodeReading, /) -> Granted:
        return self.answer()

    def close(self) -> None:
        self.closed = True


def refuse() -> Granted:
    raise HolderError("the kubelet does not answer", hint="is it running?")


def test_a_source_that_fails_is_said_once_and_the_others_decide() -> None:
    """Its failures are counted; it is said again only after it had worked in between."""
    source, given = Failing(refuse), InMemoryGrants(Granted((job_grant(),)))
    here = Node(sources=(source, given))
    kinds: list[list[str]] = []
    for answer in (refuse, refuse, Granted, refuse):
        source.answer = answer
        found = here.see(node(board(0)))
        assert [one.holder for one in found.snapshot.boards[0].devices[0].occupants] == [JOB.key]
        kinds.append([event.kind for event in found.events])
    assert kinds == [["grants_unavailable"], [], [], ["grants_unavailable"]]


def test_a_conflict_is_said_once_it_stood_at_two_readings() -> None:
    """Sources learn of a change at different moments: one reading's difference is not yet a conflict."""
    strong, weak = InMemoryGrants(Granted((job_grant(),))), InMemoryGrants(Granted((pod_grant(),)))
    here = Node(sources=(strong, weak))
    found: list[list[Event]] = [here.see(node(board(0))).events for _ in range(3)]
    assert [[event.kind for event in events] for events in found] == [[], ["holder_conflict"], []]
    assert found[1][0].details == {
        "believed": "slurm:7",
        "by": "slurm_prolog",
        "other": POD.key,
        "from": "pod_resources",
    }


def test_slurm_inside_a_pod_is_no_conflict() -> None:
    """Where jobs run in a pod, the pod and the job both hold the device, one inside the other."""
    cgroup = f"0::/kubepods/pod{POD_UID}/{CONTAINER}/system.slice/slurmstepd.scope/job_7/step_0/user/task_0\n"
    here = Node(
        process(1, cgroup), sources=(InMemoryGrants(Granted((job_grant(),))), InMemoryGrants(Granted((pod_grant(),))))
    )
    found = [here.see(node(board(0, 1))) for _ in range(3)]
    assert [event.kind for each in found for event in each.events] == []
    assert [one.holder for one in found[-1].snapshot.boards[0].devices[0].occupants] == ["slurm:7.0"]


def test_sources_are_closed() -> None:
    """Connections and threads of every source are let go."""
    source = Failing(Granted)
    Standing((source,)).close()
    assert source.closed
