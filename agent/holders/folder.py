"""The names in a folder, listed again only when the folder has changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

_SETTLED_NS: Final = 1_000_000_000  # a folder that changed this recently may change again within the same timestamp


class ListedFolder:
    """A folder whose names are asked for again and again. Raises OSError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listed_at_ns = -1

    def changed_names(self) -> list[str] | None:
        """Return the names in the folder, or None where they are those of the last call."""
        changed_at_ns = self.path.stat().st_mtime_ns
        if changed_at_ns == self._listed_at_ns:
            return None
        names = [entry.name for entry in self.path.iterdir()]
        settled = time.time_ns() - changed_at_ns > _SETTLED_NS
        self._listed_at_ns = changed_at_ns if settled else -1
        return names
