"""Container ids into container names, from the names of the log links `<pod>_<namespace>_<container>-<id>.log`.

The kubelet keeps them in one folder, /var/log/containers. A process's cgroup has the id, a grant has the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from agent.holders.folder import ListedFolder
from gpuledger.errors import HolderError

_LINK: Final = re.compile(r"[^_/]+_[^_/]+_(?P<container>[^_/]+)-(?P<id>[0-9a-f]{64})\.log")


class ContainerLogLinks:
    """The kubelet's log links, listed again when the folder has changed. No folder: no names."""

    def __init__(self, root: Path = Path("/var/log/containers")) -> None:
        self._folder = ListedFolder(root)
        self._names: dict[str, str] = {}

    def name_of(self, container_id: str) -> str:
        """Return the container's name, or an empty string. Raises HolderError where the folder cannot be read."""
        try:
            names = self._folder.changed_names()
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise HolderError(
                f"the containers' log links in {self._folder.path} cannot be read: {error.strerror}",
                hint="mount the host's /var/log/containers read-only into the agent and let it list the folder",
            ) from error
        if names is not None:
            self._names = parse_links(names)
        return self._names.get(container_id, "")


def parse_links(names: Iterable[str]) -> dict[str, str]:
    """Return the name of each container id; what is no log link is somebody else's."""
    return {found["id"]: found["container"] for name in names if (found := _LINK.fullmatch(name))}
