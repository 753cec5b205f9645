"""The nouns that every room shares: devices, holders, evidence, usage records and events.

All instants are integer microseconds since the epoch (UTC); all intervals are half-open `[start_us, end_us)`.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final

import msgspec

from gpuledger.accounting.units import GPU_PARTS

Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]  # not negative, fits a 64-bit column; checked when decoded
Size = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]  # positive, fits a 32-bit column


class State(enum.IntEnum):
    """What a device's time was spent as; a device is in exactly one state at any time. The numbers are wire codes."""

    ACTIVE = 1  # held, and the GPU did work for this holder
    HELD_IDLE = 2  # held, no work
    IDLE = 3  # healthy, nobody holds it
    UNAVAILABLE = 4  # faulted or under maintenance
    UNOBSERVED = 5  # no telemetry
    UNGRANTED = 6  # used by a process that no scheduler gave it to
    HELD_UNOBSERVED = 7  # held, but whether it worked was not observed (a job log, a holder that left between samples)

    @property
    def label(self) -> str:
        """Return the state's name as columns and messages write it."""
        return self.name.lower()


HELD_STATES: Final = frozenset({State.ACTIVE, State.HELD_IDLE, State.UNGRANTED, State.HELD_UNOBSERVED})
UNWATCHED_STATES: Final = frozenset({State.HELD_UNOBSERVED, State.UNOBSERVED})  # nobody saw whether work was done
# Names that differ in it alone are runs of one workload: `train-3`, `train-4-0`, and runs of one MLflow experiment.
RUN_NUMBER: Final = r"(/[0-9a-f]{32}|([- ]\d+)+)$"


class Confidence(enum.IntEnum):
    """How far a row's holder and activity are to be trusted."""

    MEASURED = 1  # read from the authority itself, for this holder alone
    DERIVED = 2  # follows from measurements by a written rule (a split, a residue)
    ESTIMATED = 3  # a stated approximation
    UNKNOWN = 4  # nothing was observed


class Evidence(msgspec.Struct, frozen=True):
    """How a usage record was found. Each field names a method, or is empty where it does not apply."""

    holder: str = ""  # process_cgroup, process_user, job_log, ...
    activity: str = ""  # device_utilization, process_utilization, none
    energy: str = ""  # counter, counter_after_reset, power_integral, none
    split: str = ""  # whole, even, shares, slices
    confidence: Confidence = Confidence.UNKNOWN


NO_EVIDENCE: Final = Evidence()


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """What can be held: a whole GPU, a MIG instance, what MIG leaves over, or a pool of GPUs known only by number."""

    key: str  # GPU-<uuid>, MIG-<uuid>, GPU-<uuid>/remainder, pool:<cluster>/<name>
    kind: str  # gpu, mig, remainder, pool
    model: str  # as NVML names it
    parts: Size = GPU_PARTS  # size of one unit in 1/840 of a GPU
    units: Size | None = 1  # how many units can be held at once; None: unknown (a pool without capacity)
    board: str = ""  # the GPU this is a slice of
    mig_profile: str = ""  # 1g.10gb
    memory_bytes: Count | None = None
    pci_bus_id: str = ""
    index: int | None = None
    node: str = ""
    pool: str = ""


class Workload(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a holder runs, in the words of the tool that started it."""

    system: str
    scope: str = ""
    id: str = ""
    name: str = ""


class Holder(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who holds a device. `key` identifies one tenancy within a cluster; the rest is what was found about it."""

    key: str  # pod:<uid>/<container id>, slurm:<job>.<step>, container:<id>, user:<uid>
    kind: str  # pod, slurm_job, container, user, unattributed
    namespace: str = ""
    pod: str = ""
    pod_uid: str = ""
    container: str = ""
    container_id: str = ""
    slurm_job: str = ""
    slurm_step: str = ""
    slurm_account: str = ""
    slurm_partition: str = ""
    user: str = ""
    uid: Count | None = None
    labels: dict[str, str] = {}
    workload: Workload | None = None
    team_claim: str = ""  # who pays, in the holder's own words: a claim, ranked below every mapping rule
    team_source: str = ""  # where `team_claim` was read: label:team, env:GPULEDGER_TEAM, ...
    controller: str = ""  # what made a pod, at the top of its chain of owners: Deployment/llama, PyTorchJob/bert


class UsageRecord(msgspec.Struct, frozen=True):
    """One device x one holder (or none) x one interval x one state. None means unknown, never zero.

    The records of a device either share an interval exactly or do not overlap, and the `held_us` of one interval sum
    to its length. On a shared device `active_us` may exceed the holder's own `held_us` (it used more than its share),
    but the activity of all holders together never exceeds the interval. A pool's records carry `held_us` for all the
    GPUs that a job held, may overlap, and sum to no more than its units allow.
    """

    device: str
    holder: str | None
    start_us: int
    end_us: int
    state: State
    reason: str
    held_us: int
    active_us: int | None
    energy_mj: int | None
    memory_mean_bytes: int | None
    memory_max_bytes: int | None
    evidence: Evidence


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that happened to a device, a holder or the agent, and is worth keeping."""

    at_us: Count
    kind: str  # agent_started, device_added, device_retired, gpu_lost, gpu_recovered, xid, counter_reset, clock_jump
    message: str
    severity: str = "info"  # info, warning, error
    device: str = ""
    holder: str = ""
    details: dict[str, str] = {}
