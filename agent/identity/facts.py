"""What is known around a process beside the process itself: its pod with the chain of owners, its container."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class PodOwner(NamedTuple):
    """One link of a pod's chain of owners."""

    api_version: str
    kind: str  # ReplicaSet, Job, PyTorchJob, ...
    name: str
    uid: str = ""
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}

    @property
    def title(self) -> str:
        """Return it as people write it: Deployment/llama."""
        return f"{self.kind}/{self.name}"


class PodMetadata(NamedTuple):
    """A pod as the API server describes it; where there is no access to it, namespace and name alone.

    `owners` begins with what made the pod and ends with what stands at the top.
    """

    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    owners: tuple[PodOwner, ...] = ()
    namespace: str = ""
    name: str = ""
    uid: str = ""
    owners_settled: bool = True  # False: more of the chain may become known
    namespace_labels: Mapping[str, str] = {}
    namespace_annotations: Mapping[str, str] = {}

    @property
    def controller(self) -> str:
        """Return the top of the chain of owners, or an empty string where it is not known (yet) or there is none."""
        return self.owners[-1].title if self.owners and self.owners_settled else ""


class ContainerFacts(NamedTuple):
    """A container as its runtime describes it; only labels that a rule asks for are kept."""

    id: str
    runtime: str = ""  # docker, podman, containerd, cri-o
    name: str = ""
    image: str = ""
    namespace: str = ""  # containerd's: moby, k8s.io, default
    labels: Mapping[str, str] = {}
