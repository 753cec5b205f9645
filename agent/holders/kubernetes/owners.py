"""What made a pod, up to the top: ReplicaSet, Deployment, what made that; and the namespace that it is in.

An object that may not be read, or is gone, ends the chain as far as it is known.
"""

from __future__ import annotations

from typing import Final

from agent.holders.kubernetes.single_objects import ObjectKey, SingleObjects
from agent.identity.facts import PodMetadata, PodOwner

_MAX_CHAIN: Final = 8
_TOPS: Final = frozenset({"Node"})  # kinds that nothing makes


def with_owners(pod: PodMetadata, objects: SingleObjects) -> PodMetadata:
    """Return a pod with as much of its owners and its namespace as is known; the rest is asked for."""
    namespace = objects.find(ObjectKey("", "v1", "Namespace", pod.namespace))
    owners, settled = chain(pod.namespace, pod.owners[0], objects) if pod.owners else ((), True)
    return pod._replace(
        owners=owners,
        owners_settled=settled and namespace.settled,
        namespace_labels=namespace.labels,
        namespace_annotations=namespace.annotations,
    )


def chain(namespace: str, first: PodOwner, objects: SingleObjects) -> tuple[tuple[PodOwner, ...], bool]:
    """Return the owners from `first` upwards as far as they are known, and whether that is all there will be."""
    owners: list[PodOwner] = []
    owner: PodOwner | None = first
    while owner is not None and len(owners) < _MAX_CHAIN:
        if owner.kind in _TOPS:
            return (*owners, owner), True
        known = objects.find(ObjectKey(namespace, owner.api_version, owner.kind, owner.name, owner.uid))
        owners.append(owner._replace(labels=known.labels, annotations=known.annotations))
        if not known.settled:
            return tuple(owners), False
        owner = known.maker
    return tuple(owners), True
