"""What the API server says about a pod besides its name: labels, annotations, and who made it. Metadata only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

import msgspec

from agent.identity.facts import PodMetadata, PodOwner

MIRROR: Final = "kubernetes.io/config.mirror"  # on the API's copy of a static pod: the UID that the kubelet gave it

_MAX_VALUE_LENGTH: Final = 4_096
_SHORT_VALUE_LENGTH: Final = 256
_MAX_LENGTH: Final = 32_768  # of all values together: a pod may have 256 KiB of them
_LEFT_OUT: Final = frozenset({"kubectl.kubernetes.io/last-applied-configuration"})  # the whole pod again, secrets too


class PodMetadataSource(Protocol):
    """Where the metadata of pods comes from."""

    def metadata(self, pod_uid: str) -> PodMetadata | None:
        """Return what is known of a pod, or None where nothing is (yet). Never waits."""
        ...


class InMemoryPodMetadata:
    """Metadata that is given, for simulations and tests."""

    def __init__(self, pods: Mapping[str, PodMetadata]) -> None:
        self._pods = pods

    def metadata(self, pod_uid: str) -> PodMetadata | None:
        """Return the metadata as given."""
        return self._pods.get(pod_uid)


class OwnerReference(msgspec.Struct, frozen=True, rename="camel"):
    """An owner as the API server writes it."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool | None = None


class ObjectMeta(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of any object, as the API server writes it."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None


class PartialObject(msgspec.Struct, frozen=True):
    """An object of which only the metadata is read, whether or not the server sent more."""

    metadata: ObjectMeta = ObjectMeta()


class ListMeta(msgspec.Struct, frozen=True, rename="camel"):
    """What a list says about itself."""

    resource_version: str = ""
    continue_: str = msgspec.field(default="", name="continue")


class PartialObjectList(msgspec.Struct, frozen=True):
    """A list of objects, metadata only."""

    metadata: ListMeta = ListMeta()
    items: tuple[PartialObject, ...] = ()


def pod_metadata(meta: ObjectMeta) -> PodMetadata:
    """Return a pod's metadata under the UID that its cgroup and its logs have; what is very long is cut or left out."""
    annotations = bounded(meta.annotations or {})
    owner = maker(meta)
    return PodMetadata(
        meta.labels or {},
        annotations,
        () if owner is None else (owner,),
        meta.namespace,
        meta.name,
        annotations.get(MIRROR) or meta.uid,
        owner is None,
    )


def maker(meta: ObjectMeta) -> PodOwner | None:
    """Return what controls an object, else the first that owns it."""
    references = meta.owner_references or []
    controlling = [reference for reference in references if reference.controller] or references
    if not controlling:
        return None
    first = controlling[0]
    return PodOwner(first.api_version, first.kind, first.name, first.uid)


def bounded(annotations: Mapping[str, str], most_in_all: int = _MAX_LENGTH) -> dict[str, str]:
    """Return annotations cut to what one object may take of the agent's memory: long values first, then the rest."""
    kept = {name: value for name, value in annotations.items() if name not in _LEFT_OUT}
    for most in (_MAX_VALUE_LENGTH, _SHORT_VALUE_LENGTH):
        kept = {name: value[:most] for name, value in kept.items()}
        if sum(map(len, kept.values())) <= most_in_all:
            return kept
    return dict(sorted(kept.items())[: most_in_all // _SHORT_VALUE_LENGTH])
