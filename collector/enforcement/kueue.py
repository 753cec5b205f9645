"""Quotas of GPUs as objects of Kueue (kueue.x-k8s.io/v1beta2), which admits jobs by the same rules of lending. Pure.

A model is a ResourceFlavor, an owner's quota a ClusterQueue, a node of which parts are given to others a Cohort with a
ClusterQueue for its rest, and a namespace has a LocalQueue in the ClusterQueue of its owner. A ClusterQueue takes only
workloads all of whose resources it covers, so CPU, memory and storage are in it too, with more than anybody has.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from collector.enforcement.figures import as_label
from collector.enforcement.namespaces import Namespaces
from gpuledger.accounting.budgets import EVERYTHING
from gpuledger.accounting.globs import is_glob, matches
from gpuledger.accounting.quotas import Lane, Quota, counted, depth, over_of, upwards
from gpuledger.accounting.units import GPU_PARTS

VERSION: Final = "kueue.x-k8s.io/v1beta2"
GPU: Final = "nvidia.com/gpu"
PRODUCT: Final = "nvidia.com/gpu.product"
QUEUE: Final = "gpus"  # of a LocalQueue: jobs name it in the label kueue.x-k8s.io/queue-name
ANY: Final = "any-gpu"
BESIDE: Final = "not-counted"
_BESIDES: Final = {"cpu": "1000000", "memory": "1000000Gi", "ephemeral-storage": "1000000Gi"}  # more than anybody has
_LABELS: Final = {"app.kubernetes.io/managed-by": "gpuledger"}
_MODELS: Final = 63  # flavors of a ClusterQueue beside the one of CPU and memory: 64 in a group is the most

Object = dict[str, Any]


class Manifests(NamedTuple):
    """Objects in the order in which they are applied, and what of the quotas is not in them, or otherwise."""

    objects: list[Object]
    notes: list[str]


@dataclass(slots=True)
class _Plan:
    """What becomes of the quotas of all models together: by owner and flavor, what each has, borrows and lends."""

    notes: list[str]
    flavors: dict[str, str] = field(default_factory=dict)  # NVML's name of the model by flavor, empty: any
    queues: dict[str, dict[str, Object]] = field(default_factory=dict)
    cohorts: dict[str, dict[str, Object]] = field(default_factory=dict)
    apart: set[tuple[str, str]] = field(default_factory=set)  # queues or cohorts that nobody above lends to, by flavor


def kueue_manifests(quotas: Sequence[Quota], models: Sequence[str], namespaces: Namespaces) -> Manifests:
    """Return the objects for quotas of GPUs that hold now; `models` are those that devices have."""
    plan = _Plan(list(namespaces.notes))
    for lane, flavor in _flavors(quotas, models, plan).items():
        _plan_lane(plan, flavor, [each for each in quotas if each.lane == lane])
    names = _names([*plan.queues, *plan.cohorts])
    objects = [_flavor(flavor, model) for flavor, model in sorted(plan.flavors.items())]
    if plan.queues:
        objects.append(_flavor(BESIDE, ""))
    objects += [_cohort(plan, path, names) for path in sorted(plan.cohorts, key=lambda each: (depth(each), each))]
    places = _places(plan, namespaces, quotas)
    for path in sorted(plan.queues):
        mine = [name for name, owner in places.items() if owner == path]
        if not mine:
            plan.notes.append(f"{path}: no namespace of it is known, so its ClusterQueue takes none")
        objects.append(_queue(plan, path, names, mine))
    objects += [_local(name, names[owner]) for name, owner in places.items()]
    return Manifests(objects, list(dict.fromkeys(plan.notes)))


def whole_gpus(amount: int, what: str, notes: list[str]) -> int:
    """Return GPUs rounded down, as Kubernetes counts them; a part that is left out is noted."""
    whole, rest = divmod(amount, GPU_PARTS)
    if rest:
        notes.append(f"{what}: {counted(Lane(EVERYTHING), amount)} GPUs are {whole}, since {GPU} comes whole")
    return whole


def _flavors(quotas: Sequence[Quota], models: Sequence[str], plan: _Plan) -> dict[Lane, str]:
    """Return the flavor of each lane that can be one: a node has one model in its label, and each node one flavor."""
    lanes = list(dict.fromkeys(each.lane for each in quotas))
    found: dict[Lane, str] = {}
    for lane in (each for each in lanes if each.model != EVERYTHING):
        mine = [model for model in models if matches(lane.model, model)] or (
            [] if is_glob(lane.model) else [lane.model]
        )
        if len(mine) != 1:
            which = f"{len(mine)} models match it: {', '.join(mine)}" if mine else "no device has such a model"
            plan.notes.append(f"quotas of {lane.model}: left out, a flavor is one model and {which}")
            continue
        flavor = _slug(mine[0])
        if flavor in plan.flavors or len(found) >= _MODELS:
            plan.notes.append(
                f"quotas of {lane.model}: left out, another quota has the same GPUs, or there are too many"
            )
            continue
        found[lane], plan.flavors[flavor] = flavor, mine[0]
    if Lane(EVERYTHING) in lanes and found:
        whose = ", ".join(each.owner for each in quotas if each.lane.model == EVERYTHING)
        plan.notes.append(f"quotas of all models ({whose}): left out, Kueue counts each model by itself")
    elif Lane(EVERYTHING) in lanes:
        found[Lane(EVERYTHING)], plan.flavors[ANY] = ANY, ""
    return found


def _plan_lane(plan: _Plan, flavor: str, quotas: Sequence[Quota]) -> None:
    owners = {each.owner: each for each in sorted(quotas, key=lambda each: (depth(each.owner), each.owner))}
    given: dict[str, int] = {}
    groups: dict[str, list[str]] = {}
    for owner, each in owners.items():
        above = over_of(owner, owners)
        if above is None:
            groups.setdefault(owner.rpartition("/")[0] or EVERYTHING, []).append(owner)
        else:
            given[above] = given.get(above, 0) + each.owns
    for owner, each in owners.items():
        what = f"{owner} ({each.lane.model})"
        _note_stages(plan, each, what)
        limits = _limits(each, what, plan.notes)
        if owner in given:
            plan.cohorts.setdefault(owner, {})[flavor] = {"nominalQuota": 0, **limits}
            limits.pop("lendingLimit", None)
        owns = whole_gpus(each.owns - given.get(owner, 0), what, plan.notes)
        if "lendingLimit" in limits:
            limits["lendingLimit"] = min(limits["lendingLimit"], owns)
        if owns or limits.get("borrowingLimit") != 0 or owner not in given:
            plan.queues.setdefault(owner, {})[flavor] = {"nominalQuota": owns, **limits}
    for group, members in groups.items():
        if len(members) == 1:
            plan.apart.add((members[0], flavor))
        else:
            plan.cohorts.setdefault(group, {})
            plan.apart.add((group, flavor))


def _limits(quota: Quota, what: str, notes: list[str]) -> Object:
    found = {}
    if quota.borrow is not None:
        found["borrowingLimit"] = whole_gpus(quota.borrow, f"{what}, borrow", notes)
    if quota.lend is not None:
        found["lendingLimit"] = whole_gpus(quota.lend, f"{what}, lend", notes)
    return found


def _note_stages(plan: _Plan, quota: Quota, what: str) -> None:
    stops = [each for each in quota.stages if each.action != "notify"]
    if stops:
        plan.notes.append(f"{what}: Kueue has no stages, it queues what does not fit")


def _above(plan: _Plan, path: str) -> str | None:
    """Return the cohort that a cohort, or a queue that is none itself, is in."""
    return next((each for each in upwards(path) if each != path and each in plan.cohorts), None)


def _quota(flavor: str, resources: Mapping[str, Object]) -> Object:
    listed = [{"name": name, **{key: str(value) for key, value in of.items()}} for name, of in resources.items()]
    return {"name": flavor, "resources": listed}


def _gpus(plan: _Plan, path: str, quotas: Mapping[str, Object], *, within: bool, alone: bool) -> Object:
    """Return the group of GPUs: limits only where it is `within` a cohort; `alone`: those above lend it nothing."""
    flavors = []
    for flavor, quota in sorted(quotas.items()):
        limits = quota if within else {"nominalQuota": quota["nominalQuota"]}
        if within and alone and (path, flavor) in plan.apart:
            limits = {**limits, "borrowingLimit": 0, "lendingLimit": 0}
        flavors.append(_quota(flavor, {GPU: limits}))
    return {"coveredResources": [GPU], "flavors": flavors}


def _cohort(plan: _Plan, path: str, names: Mapping[str, str]) -> Object:
    above = _above(plan, path)
    quotas = dict(plan.cohorts[path])
    for owner, flavor in plan.apart:
        if owner == path:
            quotas.setdefault(flavor, {"nominalQuota": 0})
    spec: Object = {"parentName": names[above]} if above else {}
    if above and quotas:
        spec["resourceGroups"] = [_gpus(plan, path, quotas, within=True, alone=True)]
    return _object("Cohort", names[path], spec)


def _queue(plan: _Plan, path: str, names: Mapping[str, str], namespaces: Sequence[str]) -> Object:
    own = path in plan.cohorts
    cohort = path if own else _above(plan, path)
    spec: Object = {"cohortName": names[cohort]} if cohort else {}
    if namespaces:
        chosen = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}
        spec["namespaceSelector"] = {"matchExpressions": [chosen]}
    besides = {name: {"nominalQuota": amount} for name, amount in _BESIDES.items()}
    spec["resourceGroups"] = [
        _gpus(plan, path, plan.queues[path], within=cohort is not None, alone=not own),
        {"coveredResources": list(_BESIDES), "flavors": [_quota(BESIDE, besides)]},
    ]
    return _object("ClusterQueue", names[path], spec)


def _places(plan: _Plan, namespaces: Namespaces, quotas: Sequence[Quota]) -> dict[str, str]:
    """Return the ClusterQueue (by owner) of each namespace: that of the nearest owner above it."""
    found = {}
    for name, owner in namespaces.owners.items():
        mine = next((each for each in upwards(owner) if each in plan.queues), None)
        if mine is None:
            plan.notes.append(f"namespace {name}: {owner} has no quota of GPUs, so it has no queue")
            continue
        found[name] = mine
        wider = {
            each.lane.model
            for each in quotas
            if each.owner in upwards(mine) and each.owner != mine and each.lane.model != EVERYTHING
        } - {each.lane.model for each in quotas if each.owner == mine}
        for model in sorted(wider):
            plan.notes.append(f"{mine}: it has no quota of {model} of its own, so its ClusterQueue has no such GPUs")
    return found


def _flavor(name: str, model: str) -> Object:
    return _object("ResourceFlavor", name, {"nodeLabels": {PRODUCT: as_label(model)}} if model else {})


def _local(namespace: str, queue: str) -> Object:
    made = _object("LocalQueue", QUEUE, {"clusterQueue": queue})
    made["metadata"] = {"name": QUEUE, "namespace": namespace, "labels": dict(_LABELS)}
    return made


def _object(kind: str, name: str, spec: Object) -> Object:
    found: Object = {"apiVersion": VERSION, "kind": kind, "metadata": {"name": name, "labels": dict(_LABELS)}}
    return {**found, "spec": spec}


def _names(paths: Iterable[str]) -> dict[str, str]:
    """Return a name for each path that Kubernetes takes; of two that would be the same the later has a number."""
    found: dict[str, str] = {}
    for path in sorted(set(paths), key=lambda each: (depth(each), each)):
        plain = "everything" if path == EVERYTHING else ".".join(_slug(part) for part in path.split("/"))
        name, number = plain, 2
        while name in found.values():
            name, number = f"{plain}-{number}", number + 1
        found[path] = name
    return found


def _slug(text: str) -> str:
    """Return a text as a part of a name in DNS (RFC 1123): lower case letters, digits and dashes within."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-") or "x"
