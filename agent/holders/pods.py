"""Pod UIDs into names and back, from the log directories `<namespace>_<pod>_<uid>` that the kubelet keeps for its pods.

They exist before a container starts, need no permission of the API server, and hold a subdirectory for each container.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

from agent.holders.container_logs import ContainerLogLinks
from agent.holders.folder import ListedFolder
from gpuledger.errors import HolderError


class PodName(NamedTuple):
    """A pod as people know it. `containers` are all that ever ran in it, init containers too."""

    namespace: str
    pod: str
    containers: tuple[str, ...] = ()

    @property
    def only_container(self) -> str:
        """Return the container's name where there is no choice, else an empty string."""
        return self.containers[0] if len(self.containers) == 1 else ""


class PodNames(Protocol):
    """Where the names of pods come from."""

    def find(self, pod_uid: str) -> PodName | None:
        """Return the pod's name, or None where it is not known here. Raises HolderError where nothing can be read."""
        ...

    def container_name(self, pod_uid: str, container_id: str) -> str:
        """Return the name of a pod's container, or an empty string where it is not known (yet).

        Raises HolderError where nothing can be read.
        """
        ...

    def uids(self, namespace: str, pod: str) -> tuple[str, ...]:
        """Return the UIDs of all pods that have had that name here, the newest first. Raises HolderError."""
        ...


class InMemoryPods:
    """Names that are given, for simulations and tests. `containers` names containers by their ids."""

    def __init__(self, names: Mapping[str, PodName], containers: Mapping[str, str] | None = None) -> None:
        self._names = names
        self._containers = containers or {}

    def find(self, pod_uid: str) -> PodName | None:
        """Return the pod as given."""
        return self._names.get(pod_uid)

    def container_name(self, pod_uid: str, container_id: str) -> str:
        """Return the container's name as given, else that of the pod's only container."""
        pod = self._names.get(pod_uid)
        return self._containers.get(container_id) or (pod.only_container if pod else "")

    def uids(self, namespace: str, pod: str) -> tuple[str, ...]:
        """Return the UIDs given for that name, the last one first."""
        return tuple(uid for uid, name in reversed(list(self._names.items())) if name[:2] == (namespace, pod))


class PodLogDirectories:
    """The kubelet's log directories, listed again when the folder has changed. No folder: not a Kubernetes node."""

    def __init__(self, root: Path = Path("/var/log/pods"), container_links: Path = Path("/var/log/containers")) -> None:
        self._folder = ListedFolder(root)
        self._links = ContainerLogLinks(container_links)
        self._directories: dict[str, str] = {}

    def find(self, pod_uid: str) -> PodName | None:
        """Return the pod whose log directory ends in `pod_uid`, or None."""
        try:
            self._refresh()
            directory = self._directories.get(pod_uid)
            if directory is None:
                return None
            namespace, pod, _ = directory.split("_", 2)
            return PodName(namespace, pod, _subdirectories(self._folder.path / directory))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unreadable(error) from error

    def container_name(self, pod_uid: str, container_id: str) -> str:
        """Return the name that the container's log link has, else that of the pod's only container."""
        linked = self._links.name_of(container_id) if container_id else ""
        if linked:
            return linked
        pod = self.find(pod_uid)
        return pod.only_container if pod else ""

    def uids(self, namespace: str, pod: str) -> tuple[str, ...]:
        """Return the UIDs of the pods of that name that have a log directory, the newest first."""
        name = f"{namespace}_{pod}_"
        try:
            self._refresh()
            found = [directory for directory in self._directories.values() if directory.startswith(name)]
            if len(found) > 1:
                found.sort(key=self._changed_ns, reverse=True)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._unreadable(error) from error
        return tuple(directory.removeprefix(name) for directory in found)

    def _refresh(self) -> None:
        names = self._folder.changed_names()
        if names is not None:
            self._directories = parse_directories(names)

    def _changed_ns(self, directory: str) -> int:
        try:
            return (self._folder.path / directory).stat().st_mtime_ns
        except FileNotFoundError:
            return -1  # removed since it was listed

    def _unreadable(self, error: OSError) -> HolderError:
        return HolderError(
            f"the pods' log directories in {self._folder.path} cannot be read: {error.strerror}",
            hint="mount the host's /var/log/pods read-only into the agent and let it list the folder",
        )


def parse_directories(names: Iterable[str]) -> dict[str, str]:
    """Return the directory of each pod UID; names that are not `<namespace>_<pod>_<uid>` are somebody else's."""
    return {name.split("_", 2)[2]: name for name in names if name.count("_") == 2}


def _subdirectories(directory: Path) -> tuple[str, ...]:
    with os.scandir(directory) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir()))
