"""Quotas of GPUs as ResourceQuota objects of Kubernetes: one a namespace, which counts GPUs of whatever model. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.enforcement.kueue import GPU, Manifests, Object, whole_gpus
from collector.enforcement.namespaces import Namespaces
from gpuledger.accounting.budgets import EVERYTHING
from gpuledger.accounting.globs import matches
from gpuledger.accounting.quotas import Quota, over_of, upwards

NAME: Final = "gpus"
_LABELS: Final = {"app.kubernetes.io/managed-by": "gpuledger"}


def resource_quotas(quotas: Sequence[Quota], models: Sequence[str], namespaces: Namespaces) -> Manifests:
    """Return the objects for quotas of GPUs that hold now; `models` are those that devices have."""
    notes = list(namespaces.notes)
    counts = {each.owner: each for each in quotas if _of_all(each, models)}
    for each in quotas:
        if not _of_all(each, models):
            notes.append(f"{each.owner} ({each.lane.model}): left out, a ResourceQuota does not tell models apart")
        if each.borrow != 0 or each.lend is not None:
            notes.append(f"{each.owner} ({each.lane.model}): a ResourceQuota neither borrows nor lends")
    places = {
        name: next((each for each in upwards(owner) if each in counts), None)
        for name, owner in namespaces.owners.items()
    }
    objects = []
    for name, owner in places.items():
        if owner is None:
            notes.append(
                f"namespace {name}: {namespaces.owners[name]} has no quota of GPUs that a ResourceQuota can say"
            )
            continue
        below = sum(each.owns for each in counts.values() if over_of(each.owner, counts) == owner)
        objects.append(_object(name, whole_gpus(counts[owner].owns - below, owner, notes)))
    for owner in counts:
        mine = [name for name, of in places.items() if of == owner]
        if not mine:
            notes.append(f"{owner}: left out, no namespace of it is known")
        if len(mine) > 1:
            notes.append(
                f"{owner}: each of {', '.join(mine)} may hold all of it, since a ResourceQuota is of one namespace"
            )
    return Manifests(objects, list(dict.fromkeys(notes)))


def _of_all(quota: Quota, models: Sequence[str]) -> bool:
    """Return whether all GPUs that there are count in it."""
    named = quota.lane.model
    return named == EVERYTHING or (bool(models) and all(matches(named, each) for each in models))


def _object(namespace: str, gpus: int) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": NAME, "namespace": namespace, "labels": dict(_LABELS)},
        "spec": {"hard": {f"requests.{GPU}": str(gpus)}},
    }
