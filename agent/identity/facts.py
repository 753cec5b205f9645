"""What is known around a process beside the process itself: its pod with the chain of owners, its container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class PodOwner(NamedTuple):
    """One link of a pod's chain of owners."""

    kind: str  # ReplicaSet, Job, PyTorchJob, ...
    name: str
    uid: str = ""
    api_version: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class PodMetadata(NamedTuple):
    """A pod as the API server describes it; where there is no access to it, namespace and name alone.

    `owners` begins with what made the pod and ends with what stands at the top.
    """

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    owners: tuple[PodOwner, ...] = ()
    namespace: str = ""
    name: str = ""
    namespace_labels: Mapping[str, str] = {}
    namespace_annotations: Mapping[str, str] = {}


class ContainerFacts(NamedTuple):
    """A container as its runtime describes it; only labels that a rule asks for are kept."""

    id: str
    runtime: str = ""  # docker, podman, containerd, cri-o
    name: str = ""
    image: str = ""
    namespace: str = ""  # containerd's: moby, k8s.io, default
    labels: Mapping[str, str] = {}
