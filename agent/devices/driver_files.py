"""Which driver a process has loaded, by its files: whether the library or the kernel module was replaced since."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, NamedTuple

LIBRARY: Final = "libnvidia-ml.so.1"
_STEM: Final = "libnvidia-ml.so"
_MAPS: Final = Path("/proc/self/maps")
_VERSION: Final = Path("/sys/module/nvidia/version")


class _Identity(NamedTuple):
    device: int
    inode: int


_GONE: Final = _Identity(0, 0)  # replaced before anybody looked


class DriverFiles:
    """Remembers the library that this process has loaded, and the module's version; tells when they have changed.

    A process keeps the library that it loaded for as long as it lives, so after an upgrade it must be another.
    `library` is the path that the settings name, if they do.
    """

    def __init__(self, library: Path | None = None, *, maps: Path = _MAPS, version: Path = _VERSION) -> None:
        self._library = library
        self._maps = maps
        self._version_path = str(version)
        self._loaded: dict[str, _Identity] = {}
        self._version = ""

    def changed(self) -> str:
        """Return what was replaced since the library was loaded, in words; empty: nothing, or none is loaded."""
        if not self._loaded:
            self._remember()
            return ""
        for path, identity in self._loaded.items():
            if _identity(path) != identity:
                return f"the driver library {path} was replaced"
        version = _text(self._version_path)
        if version and self._version and version != self._version:
            return f"the driver's module went from {self._version} to {version}"
        self._version = version or self._version
        return ""

    def _remember(self) -> None:
        loaded = str(self._library) if self._library else loaded_library(self._maps)
        if not loaded:
            return
        self._loaded = {loaded: _identity(loaded) or _GONE}
        link = str(Path(loaded).with_name(LIBRARY))
        found = _identity(link)
        if found is not None and self._library is None:
            self._loaded[link] = found
        self._version = _text(self._version_path)


def loaded_library(maps: Path = _MAPS) -> str:
    """Return the path of the driver library that this process has mapped, or an empty string."""
    try:
        lines = maps.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    for line in lines:
        path = line.partition("/")[2]
        if path.rpartition("/")[2].startswith(_STEM):
            return "/" + path
    return ""


def _identity(path: str) -> _Identity | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - asked at every reading
    except OSError:
        return None
    return _Identity(found.st_dev, found.st_ino)


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - asked at every reading
            return file.read(64).decode("ascii", "replace").strip()
    except OSError:
        return ""
