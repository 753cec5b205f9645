"""Who holds a device, by a written order: grants of schedulers first, then what processes show.

Pure. The order of the sources is that of `agent.holders.sources`. The strongest source that grants a device decides who
holds it; a process belongs to the grant that covers it; one that no grant covers uses a device that is a scheduler's to
give, and is ungranted. Nothing is guessed: a process that could not be identified is the grant's only where there is
exactly one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Final, NamedTuple

from agent.holders.grants import Grant, Granted
from gpuledger.model import Confidence, Holder

TO_ANOTHER: Final = "granted_to_another"
SLUID: Final = "slurm_sluid"  # the label under which a grant has the SLUID of its job
TO_NOBODY: Final = "granted_to_nobody"


class DeviceGrants(NamedTuple):
    """What is granted of one device, by its strongest source. `managed`: some scheduler alone gives it away."""

    grants: tuple[Grant, ...] = ()
    ended: tuple[Grant, ...] = ()  # since the previous reading
    managed: bool = False
    replicas: int | None = None
    excused: tuple[Grant, ...] = ()  # they hold nothing without a process, and a process of theirs is no intruder


class Conflict(NamedTuple):
    """A weaker source says that somebody else has the device."""

    device: str
    believed: Grant
    other: Grant


class Present(NamedTuple):
    """A holder as its processes on a device show it."""

    holder: Holder
    method: str
    memory_bytes: int | None
    since_us: int | None  # when its first process started, where that lies in the step that ends now


class Place(NamedTuple):
    """One occupant of a device, and the grant that it holds it by."""

    holder: Holder
    grant: Grant | None
    present: Present | None  # None: no process of it was seen
    weight: int
    refusal: str = ""  # why it is ungranted


class Occupancy(NamedTuple):
    """Who is on a device. Weights are out of `replicas` where that is given."""

    places: tuple[Place, ...]
    replicas: int | None


NO_GRANTS: Final = DeviceGrants()


def rank(answers: Sequence[Granted]) -> tuple[dict[str, DeviceGrants], list[Conflict]]:
    """Return each device's grants by its strongest source, and where weaker ones disagree; strongest answer first."""
    found: dict[str, DeviceGrants] = {}
    conflicts: list[Conflict] = []
    for answer in answers:
        by_device: dict[str, list[Grant]] = {}
        for grant in answer.grants:
            by_device.setdefault(grant.device, []).append(grant)
        for device, grants in by_device.items():
            known = found.get(device, NO_GRANTS)
            if known.grants:
                conflicts += _conflicts(device, known.grants, grants)
            else:
                standing = tuple(
                    grant for grant in grants if grant.until_us is None and not _agrees(grant, known.ended)
                )
                ended = known.ended or tuple(grant for grant in grants if grant.until_us is not None)
                replicas = answer.replicas.get(device)
                found[device] = known._replace(grants=standing, ended=ended, replicas=replicas)
        for grant in answer.excused:
            known = found.get(grant.device, NO_GRANTS)
            found[grant.device] = known._replace(excused=(*known.excused, grant))
        for device in answer.managed:
            found[device] = found.get(device, NO_GRANTS)._replace(managed=True)
    return found, conflicts


def covers(granted: Holder, holder: Holder) -> bool:
    """Tell whether what was given to `granted` is used rightly by `holder`: the same tenancy, or one inside it."""
    if granted.kind == "pod":
        if granted.pod_uid and holder.pod_uid:
            same_pod = granted.pod_uid == holder.pod_uid
        else:
            same_pod = bool(granted.pod) and (granted.namespace, granted.pod) == (holder.namespace, holder.pod)
        return same_pod and (holder.kind != "pod" or _same(granted.container, holder.container))
    if granted.kind == "slurm_job":
        return holder.kind == "slurm_job" and _same_job(granted, holder)
    return granted.key == holder.key


def occupy(device: DeviceGrants, present: Iterable[Present]) -> Occupancy:
    """Return who is on a device: each grant's own processes, grants without a process, and who has no grant."""
    by_grant: list[dict[str, list[Present]]] = [{} for _ in device.grants]
    others: list[Present] = []
    for one in present:
        at = _grant_of(device.grants, one.holder)
        if at is None:
            others.append(one)
        else:
            by_grant[at].setdefault(_key_under(device.grants[at], one.holder), []).append(one)
    scale = math.lcm(*(max(1, len(users)) for users in by_grant)) if by_grant else 1
    places: list[Place] = []
    for grant, users in zip(device.grants, by_grant, strict=True):
        if not users:
            places.append(Place(grant.holder, grant, None, grant.replicas * scale))
        for seen in users.values():
            joined = reduce(join, seen)
            weight = grant.replicas * scale // len(users)
            places.append(Place(_holder_under(grant, joined.holder), grant, joined, weight))
    refusal = (TO_ANOTHER if device.grants else TO_NOBODY) if device.managed or device.grants else ""
    for one in others:
        accused = one.holder.kind != "unattributed" and not _may_hold((*device.grants, *device.excused), one.holder)
        places.append(Place(one.holder, None, one, scale, refusal if accused else ""))
    return Occupancy(tuple(_once(places)), None if device.replicas is None else device.replicas * scale)


def holder_under(device: DeviceGrants, holder: Holder) -> Holder:
    """Return as whom a holder that its process shows is known on a device with these grants."""
    at = _grant_of(device.grants, holder)
    return holder if at is None else _holder_under(device.grants[at], holder)


def trust(place: Place) -> Confidence:
    """Return how far to trust that the place is this holder's."""
    return place.grant.confidence if place.grant else Confidence.MEASURED


def join(first: Present, other: Present) -> Present:
    """Return two sights of one holder as one: memory summed, since the first; what one does not know is not known."""
    known = first.memory_bytes, other.memory_bytes
    memory = None if None in known else sum(value or 0 for value in known)
    starts = first.since_us, other.since_us
    since_us = None if None in starts else min(value for value in starts if value is not None)
    named = other.holder if first.holder.kind == "unattributed" else first.holder
    return Present(named, first.method, memory, since_us)


def completed(known: Holder, other: Holder) -> Holder:
    """Return `known` with what was empty in it filled from what another source says of the same holder.

    Labels are put together; of two that have one name that of `known` stays.
    """
    if known == other:
        return known
    filled: dict[str, object] = {
        name: getattr(other, name)
        for name in Holder.__struct_fields__
        if getattr(known, name) in _EMPTY and getattr(other, name) not in _EMPTY
    }
    if other.labels.keys() - known.labels.keys():
        filled["labels"] = {**other.labels, **known.labels}
    return _replace(known, filled) if filled else known


def _conflicts(device: str, believed: Sequence[Grant], others: Sequence[Grant]) -> list[Conflict]:
    return [
        Conflict(device, believed[0], other)
        for other in others
        if other.until_us is None and not _agrees(other, believed)
    ]


def _agrees(other: Grant, believed: Iterable[Grant]) -> bool:
    """Tell whether a grant names a tenancy that one of others names, or one inside or around it."""
    return any(covers(one.holder, other.holder) or covers(other.holder, one.holder) for one in believed)


def _grant_of(grants: Sequence[Grant], holder: Holder) -> int | None:
    """Return which grant covers a holder; what nobody could identify is the only grant's.

    So is a pod of which its cgroup tells the UID alone, where the kubelet's names alone tell who was given the device.
    """
    if holder.kind == "unattributed":
        return 0 if len(grants) == 1 else None
    at = next((at for at, grant in enumerate(grants) if covers(grant.holder, holder)), None)
    return 0 if at is None and len(grants) == 1 and _may_hold(grants, holder) else at


def _may_hold(grants: Iterable[Grant], holder: Holder) -> bool:
    """Tell whether a holder may be one of the granted: names on one side and a UID on the other contradict nothing."""
    return any(
        covers(grant.holder, holder)
        or bool(grant.holder.kind == "pod" and not grant.holder.pod_uid and holder.pod_uid and not holder.pod)
        for grant in grants
    )


def _key_under(grant: Grant, holder: Holder) -> str:
    """Return under which key a process holds by a grant: a pod has one, a Slurm job one for each step."""
    within = holder.kind == "unattributed" or holder.kind == grant.holder.kind == "pod"
    return grant.holder.key if within else holder.key


def _holder_under(grant: Grant, holder: Holder) -> Holder:
    if holder.kind == "unattributed":
        return grant.holder
    if holder.kind == grant.holder.kind == "pod":
        return completed(grant.holder, holder)
    if holder.kind == grant.holder.kind:
        return completed(_replace(grant.holder, {"key": holder.key}), holder)
    return holder


def _once(places: Iterable[Place]) -> Iterable[Place]:
    """Return each holder once: one that holds by two grants has the weight of both."""
    found: dict[str, Place] = {}
    for place in places:
        before = found.get(place.holder.key)
        if before is None:
            found[place.holder.key] = place
        else:
            present = before.present or place.present
            found[place.holder.key] = before._replace(weight=before.weight + place.weight, present=present)
    return found.values()


def _same_job(granted: Holder, holder: Holder) -> bool:
    """Compare jobs by the SLUID in the path of a process, where that is how Slurm names it, else by number.

    The number of such a process is only what its own environment says.
    """
    sluid = granted.labels.get(SLUID, "")
    if sluid and holder.key.startswith("slurm:s"):
        return holder.key.removeprefix("slurm:").partition(".")[0] == sluid
    return bool(granted.slurm_job) and granted.slurm_job == holder.slurm_job


def _same(a: str, b: str) -> bool:
    return not a or not b or a == b


def _replace(holder: Holder, fields: Mapping[str, object]) -> Holder:
    values = {name: getattr(holder, name) for name in Holder.__struct_fields__}
    return Holder(**{**values, **fields})


_EMPTY: Final[tuple[object, ...]] = ("", None, {})
