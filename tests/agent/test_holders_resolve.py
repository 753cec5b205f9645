"""A pid becomes a holder, with the evidence for it, and never the wrong one."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from agent.holders.pods import InMemoryPods, PodName
from agent.holders.processes import InMemoryProcesses, ProcessFacts
from agent.holders.resolve import (
    BY_LOGIN,
    BY_USER,
    UNREADABLE,
    VANISHED,
    HolderResolver,
)
from agent.identity.facts import PodMetadata, PodOwner
from gpuledger.errors import HolderError
from gpuledger.model import Holder, Workload
from tests.agent.nodes import CONTAINER, NAMELESS_POD_KEY, POD_CGROUP, POD_KEY, POD_UID, T0, process, resolver

SLURM_V1 = "4:memory:/slurm/uid_1000/job_77/step_0/task_1\n"
SLUID = "0::/system.slice/slurmstepd.scope/s8FXKTA79XAR00/step_batch/user/task_0\n"


class ChangingTable:
    """A process table that a test changes as it goes."""

    def __init__(self, *processes: ProcessFacts) -> None:
        self.processes: dict[int, ProcessFacts | HolderError] = {facts.pid: facts for facts in processes}
        self.reads = 0

    def begin_reading(self, pids: Collection[int]) -> None:
        pass

    def start_us(self, pid: int) -> int | None:
        found = self.processes.get(pid)
        if isinstance(found, HolderError):
            raise found
        return found.start_us if found else None

    def failures(self) -> dict[str, int]:
        return {}

    def facts(self, pid: int) -> ProcessFacts | None:
        self.reads += 1
        found = self.processes.get(pid)
        if isinstance(found, HolderError):
            raise found
        return found


def named(facts: ProcessFacts, **pods: PodName) -> Holder:
    return resolver(facts, pods=pods or None).resolve(facts.pid).holder


def test_a_pods_process_is_held_by_its_container() -> None:
    """Pod and container ids make the key; names come from the kubelet; the uid inside is nobody's on this node."""
    holder = named(process(1, uid=1000, user="somebody", environ={"GPULEDGER_TEAM": "vision"}))
    assert holder == Holder(
        key=POD_KEY,
        kind="pod",
        namespace="ns",
        pod="trainer",
        pod_uid=POD_UID,
        container="main",
        container_id=CONTAINER,
        team_claim="vision",
        team_source="env:GPULEDGER_TEAM",
    )


def test_a_slurm_step_is_held_by_the_job_with_its_account() -> None:
    """Job and step make the key; account and partition come from the job's environment, the user from the cgroup."""
    environ = {
        "SLURM_JOB_ID": "77",
        "SLURM_JOB_ACCOUNT": "astro",
        "SLURM_JOB_PARTITION": "gpu",
        "SLURM_JOB_USER": "ada",
    }
    assert named(process(1, SLURM_V1, uid=1000, environ=environ)) == Holder(
        key="slurm:77.0",
        kind="slurm_job",
        slurm_job="77",
        slurm_step="0",
        slurm_account="astro",
        slurm_partition="gpu",
        user="ada",
        uid=1000,
        labels={"workload_source": "cgroup:slurm_job"},
        workload=Workload("slurm", "job", "77", "job 77"),
        team_claim="astro",
        team_source="env:SLURM_JOB_ACCOUNT",
    )


def test_a_job_cannot_rename_itself() -> None:
    """The cgroup's job id stands, whatever the job writes into its own environment."""
    assert named(process(1, SLURM_V1, environ={"SLURM_JOB_ID": "1"})).slurm_job == "77"


def test_a_sluid_is_the_key_whether_or_not_the_environment_can_be_read() -> None:
    """One step has one key, even where only some of its processes tell the job's number."""
    blind = named(process(1, SLUID))
    telling = named(process(2, SLUID, environ={"SLURM_JOB_ID": "77"}))
    assert blind.key == telling.key == "slurm:s8FXKTA79XAR00.batch"
    assert (blind.slurm_job, telling.slurm_job) == ("", "77")


@pytest.mark.parametrize("claim", ["77; drop", "", "七十七"])
def test_a_job_number_that_is_none_is_not_believed(claim: str) -> None:
    """Only a number from a job's environment can be its number."""
    assert named(process(1, SLUID, environ={"SLURM_JOB_ID": claim})).slurm_job == ""


def test_slurm_inside_a_pod_belongs_to_the_job() -> None:
    """Where slurmd runs in a pod, its jobs are the tenants, not the pod."""
    holder = named(process(1, f"0::/kubepods/pod{POD_UID}/{CONTAINER}/system.slice/slurmstepd.scope/job_9/step_0\n"))
    assert (holder.key, holder.kind, holder.pod_uid) == ("slurm:9.0", "slurm_job", POD_UID)


def test_a_plain_container_is_a_holder_of_its_own() -> None:
    """A container without a pod is known by its id; a session around it tells whose it is."""
    holder = named(
        process(
            1, f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{CONTAINER}.scope\n", uid=100_000
        )
    )
    assert (holder.key, holder.kind, holder.uid) == (f"container:{CONTAINER}", "container", 1000)


def test_a_process_of_no_tenant_belongs_to_its_user() -> None:
    """On a bare node the user who started it holds the device, and the evidence says so."""
    resolved = resolver(process(1, "0::/user.slice/user-7.slice/session-1.scope\n", uid=7, user="ada")).resolve(1)
    assert (resolved.holder.key, resolved.holder.kind, resolved.holder.user) == ("user:7", "user", "ada")
    assert resolved.method == BY_USER


def test_an_ended_process_is_unattributed_and_counted() -> None:
    """A process that ended before it could be read is a visible holder, not a missing one."""
    found = resolver()
    resolved = found.resolve(99)
    assert (resolved.holder.kind, resolved.method, resolved.start_us) == ("unattributed", VANISHED, None)
    assert resolved.holder.labels == {"reason": "vanished"}
    assert found.failures()["vanished"] == 1


def test_an_unreadable_process_is_unattributed_for_another_reason() -> None:
    """Missing rights are not mistaken for a process that ended, and are tried again at the next reading."""
    table = ChangingTable()
    table.processes[5] = HolderError("no right")
    found = HolderResolver(table, InMemoryPods({}), node="node-a")
    assert found.resolve(5).method == UNREADABLE
    table.processes[5] = process(5)
    found.begin_reading()
    assert found.resolve(5).holder.key == NAMELESS_POD_KEY
    assert found.failures()["unreadable"] == 1


def test_a_known_process_is_read_ever_more_seldom() -> None:
    """While pid and start time stay the same, the holder is remembered; after a while it is not looked at again."""
    table = ChangingTable(process(1))
    found = HolderResolver(table, InMemoryPods({POD_UID: PodName("ns", "p")}), node="node-a")
    first = found.resolve(1)
    for _ in range(300):
        found.begin_reading()
        assert found.resolve(1) is first
    assert table.reads == 1 + 7


def test_a_young_process_that_is_moved_is_seen_where_it_went() -> None:
    """A scheduler may adopt a process after it started: from then on it is the job's."""
    table = ChangingTable(process(1, "0::/\n", uid=7))
    found = HolderResolver(table, InMemoryPods({}), node="node-a")
    assert found.resolve(1).holder.key == "user:7"
    table.processes[1] = process(1, SLURM_V1, uid=7)
    found.begin_reading()
    assert found.resolve(1).holder.key == "slurm:77.0"


def test_a_reused_pid_is_another_holder() -> None:
    """The same pid with another start time is resolved anew."""
    table = ChangingTable(process(1))
    found = HolderResolver(table, InMemoryPods({}), node="node-a")
    assert found.resolve(1).holder.key == NAMELESS_POD_KEY
    found.begin_reading()
    table.processes[1] = process(1, "0::/\n", start_us=T0, uid=3)
    assert found.resolve(1).holder.key == "user:3"


def test_a_process_that_ends_while_it_is_listed_is_still_who_it_was() -> None:
    """The driver listed it a moment ago: its memory was its holder's."""
    table = ChangingTable(process(1))
    found = HolderResolver(table, InMemoryPods({}), node="node-a")
    found.resolve(1)
    found.begin_reading()
    table.processes.clear()
    assert found.resolve(1).holder.key == NAMELESS_POD_KEY


def test_last_work_of_an_ended_process_goes_to_its_holder_once() -> None:
    """Activity that is reported after the end is credited; after one more reading the process is forgotten."""
    table = ChangingTable(process(1))
    found = HolderResolver(table, InMemoryPods({}), node="node-a")
    found.resolve(1)
    table.processes.clear()
    found.begin_reading()
    assert found.resolve_ended(1).holder.key == NAMELESS_POD_KEY
    found.begin_reading()
    assert found.resolve_ended(1).holder.kind == "unattributed"
    assert found.remembered == 0


def test_a_pod_that_has_no_name_yet_is_asked_for_again() -> None:
    """Identity does not wait for names; the name is filled in as soon as it is known."""
    names: dict[str, PodName] = {}
    found = HolderResolver(ChangingTable(process(1)), InMemoryPods(names), node="node-a")
    assert found.resolve(1).holder.namespace == ""
    names[POD_UID] = PodName("ns", "late")
    found.begin_reading()
    holder = found.resolve(1).holder
    assert (holder.key, holder.namespace, holder.pod) == (NAMELESS_POD_KEY, "ns", "late")


def test_names_that_cannot_be_read_are_counted_and_not_fatal() -> None:
    """Without the kubelet's folder the pod is still told apart by its UID."""

    class NoPods:
        def find(self, pod_uid: str) -> PodName | None:
            raise HolderError("no right")

    found = HolderResolver(ChangingTable(process(1)), NoPods(), node="node-a")
    assert found.resolve(1).holder.key == NAMELESS_POD_KEY
    assert found.failures()["pod_unreadable"] == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("nightly", Workload("claim", "claim", "nightly", "nightly")),
        ("mlflow:run-1", Workload("mlflow", "claim", "run-1", "run-1")),
        ("kfp:a:b", Workload("kfp", "claim", "a:b", "a:b")),
    ],
)
def test_a_claimed_workload_may_name_its_tool(text: str, expected: Workload | None) -> None:
    """`<system>:<name>` or a bare name; that it is claimed is said."""
    assert named(process(1, environ={"GPULEDGER_WORKLOAD": text})).workload == expected


def test_the_cgroup_constant_is_a_real_form() -> None:
    """The fixture used above is what a kubelet writes."""
    assert POD_CGROUP.startswith("0::/kubepods/")


def test_what_runs_as_root_through_sudo_is_the_persons() -> None:
    """The login that started a process tells whose it is where the process runs as root; the evidence says so."""
    facts = process(
        1, "0::/user.slice/user-7.slice/session-1.scope\n", uid=0, user="root", login_uid=7, login_user="ada"
    )
    resolved = resolver(facts).resolve(1)
    assert (resolved.holder.key, resolved.holder.user, resolved.holder.uid) == ("user:7", "ada", 7)
    assert resolved.method == BY_LOGIN


@pytest.mark.parametrize(("uid", "login_uid"), [(0, None), (0, 0), (33, 7), (7, 7)])
def test_other_processes_are_their_users(uid: int, login_uid: int | None) -> None:
    """A service has no login, root's own login is root, and what became another user is that user's."""
    resolved = resolver(process(1, "0::/\n", uid=uid, user="u", login_uid=login_uid, login_user="l")).resolve(1)
    assert (resolved.holder.key, resolved.holder.user, resolved.method) == (f"user:{uid}", "u", BY_USER)


def test_a_login_does_not_reach_into_a_tenant() -> None:
    """A job that root starts from somebody's login is still the job's user's."""
    holder = named(process(1, SLURM_V1, uid=0, login_uid=7, login_user="ada"))
    assert (holder.uid, holder.user) == (1000, "")


def test_the_runs_of_one_person_are_told_apart() -> None:
    """On a bare host two runs of one user are two holders, so that each has its own time, work and cost."""
    runs = [process(n, "0::/\n", uid=7, user="ada", environ={"MLFLOW_RUN_ID": f"run{n}" * 8}) for n in (1, 2)]
    found = resolver(*runs)
    keys = [found.resolve(n).holder.key for n in (1, 2)]
    assert keys == [f"user:7/mlflow:{'run1' * 8}", f"user:7/mlflow:{'run2' * 8}"]


def test_a_workload_is_found_at_an_ancestor() -> None:
    """Resolving walks from the process that the driver lists to the one that the tool started."""
    child = process(2, ppid=1, environ_state="wiped")
    parent = process(1, environ={"MLFLOW_RUN_ID": "r1", "GPULEDGER_TEAM": "nlp"})
    holder = resolver(child, parent).resolve(2).holder
    assert holder.workload == Workload("mlflow", "run", "r1", "r1")
    assert (holder.team_claim, holder.team_source) == ("nlp", "env:GPULEDGER_TEAM@ancestor")
    assert holder.labels == {"workload_source": "env:MLFLOW_RUN_ID@ancestor"}


def test_what_the_api_server_says_of_a_pod_is_used() -> None:
    """Labels outrank the environment; while the chain of owners may still grow, the pod is asked for again."""
    known: dict[str, PodMetadata] = {}
    table = InMemoryProcesses({1: process(1, environ={"GPULEDGER_TEAM": "mine"})})
    pods = InMemoryPods({POD_UID: PodName("ns", "p", ("main",))})
    found = HolderResolver(table, pods, node="n", metadata=known.get)
    assert found.resolve(1).holder.team_claim == "mine"
    known[POD_UID] = PodMetadata({"team": "theirs", "jobset.sigs.k8s.io/jobset-name": "a"}, owners_settled=False)
    found.begin_reading()
    holder = found.resolve(1).holder
    assert (holder.team_claim, holder.team_source) == ("theirs", "label:team")
    assert holder.workload is not None
    assert holder.workload.system == "jobset"
    known[POD_UID] = PodMetadata(owners=(PodOwner("v1", "TrainJob", "bert", "u"),))
    found.begin_reading()
    assert found.resolve(1).holder.workload == Workload("kubeflow", "TrainJob", "u", "bert")


def test_an_ancestor_that_cannot_be_read_is_counted() -> None:
    """The holder stands; that its workload may lack something is visible."""
    table = ChangingTable(process(2, ppid=1))
    table.processes[1] = HolderError("no right")
    found = HolderResolver(table, InMemoryPods({}), node="n")
    assert found.resolve(2).holder.pod_uid == POD_UID
    assert found.failures()["ancestor_unreadable"] == 1
