"""Pod UIDs into names, from the log directories `<namespace>_<pod>_<uid>` that the kubelet keeps for its pods.

They exist before a container starts, need no permission of the API server, and hold a subdirectory for each container.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from gpuledger.errors import HolderError

_SETTLED_NS: Final = 1_000_000_000  # a folder that changed this recently may change again within the same timestamp


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


class InMemoryPods:
    """Names that are given, for simulations and tests."""

    def __init__(self, names: Mapping[str, PodName]) -> None:
        self._names = names

    def find(self, pod_uid: str) -> PodName | None:
        """Return the pod as given."""
        return self._names.get(pod_uid)


class PodLogDirectories:
    """The kubelet's log directories, listed again when the folder has changed. No folder: not a Kubernetes node."""

    def __init__(self, root: Path = Path("/var/log/pods")) -> None:
        self._root = root
        self._listed_at_ns = -1
        self._directories: dict[str, str] = {}

    def find(self, pod_uid: str) -> PodName | None:
        """Return the pod whose log directory ends in `pod_uid`, or None."""
        try:
            self._refresh()
            directory = self._directories.get(pod_uid)
            if directory is None:
                return None
            namespace, pod, _ = directory.split("_", 2)
            return PodName(namespace, pod, _subdirectories(self._root / directory))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HolderError(
                f"the pods' log directories in {self._root} cannot be read: {error.strerror}",
                hint="mount the host's /var/log/pods read-only into the agent and let it list the folder",
            ) from error

    def _refresh(self) -> None:
        changed_at_ns = self._root.stat().st_mtime_ns
        if changed_at_ns != self._listed_at_ns:
            self._directories = parse_directories([path.name for path in self._root.iterdir()])
            settled = time.time_ns() - changed_at_ns > _SETTLED_NS
            self._listed_at_ns = changed_at_ns if settled else -1


def parse_directories(names: list[str]) -> dict[str, str]:
    """Return the directory of each pod UID; names that are not `<namespace>_<pod>_<uid>` are somebody else's."""
    return {name.split("_", 2)[2]: name for name in names if name.count("_") == 2}


def _subdirectories(directory: Path) -> tuple[str, ...]:
    with os.scandir(directory) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir()))
