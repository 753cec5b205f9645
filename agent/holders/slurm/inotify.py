"""Folders that come and go, told by the kernel at the moment (inotify(7), through the C library)."""

from __future__ import annotations

import ctypes
import os
import select
import struct
from typing import Final, NamedTuple

_CREATED: Final = 0x100
_DELETED: Final = 0x200
_ONLY_FOLDER: Final = 0x01000000
_OVERFLOW: Final = 0x4000
_IGNORED: Final = 0x8000
_IS_FOLDER: Final = 0x40000000
_HEAD: Final = struct.Struct("iIII")
_MOST_BYTES: Final = 65_536


class FolderEvent(NamedTuple):
    """A folder in a watched one was made or removed."""

    path: str
    created: bool


class FolderEvents:
    """Watches folders. Raises OSError where the kernel gives no watch."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        self._wake_from, self._wake_to = os.pipe2(os.O_CLOEXEC)
        self._poll = select.poll()
        for descriptor in (self._descriptor, self._wake_from):
            self._poll.register(descriptor, select.POLLIN)
        self._watched: dict[int, str] = {}
        self.overflows = 0  # times that the kernel had more to tell than fits

    def watch(self, path: str) -> bool:
        """Watch a folder from now on; False where there is none, or no more can be watched."""
        number = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _CREATED | _DELETED | _ONLY_FOLDER)
        if number >= 0:
            self._watched[number] = path
        return bool(number >= 0)

    def wait(self, timeout_s: float | None) -> list[FolderEvent]:
        """Return what happened, after waiting for it, for `wake` or for the time to pass."""
        ready = {descriptor for descriptor, _ in self._poll.poll(None if timeout_s is None else timeout_s * 1_000)}
        if self._wake_from in ready:
            os.read(self._wake_from, 512)
        return self._parse(os.read(self._descriptor, _MOST_BYTES)) if self._descriptor in ready else []

    def wake(self) -> None:
        """Let `wait` return, from another thread."""
        os.write(self._wake_to, b"x")

    def close(self) -> None:
        """Release the kernel's watches."""
        for descriptor in (self._descriptor, self._wake_from, self._wake_to):
            os.close(descriptor)

    def _parse(self, content: bytes) -> list[FolderEvent]:
        found: list[FolderEvent] = []
        at = 0
        while at < len(content):
            number, mask, _, length = _HEAD.unpack_from(content, at)
            name = content[at + _HEAD.size : at + _HEAD.size + length].rstrip(b"\0")
            at += _HEAD.size + length
            if mask & _OVERFLOW:
                self.overflows += 1
            elif mask & _IGNORED:
                self._watched.pop(number, None)
            elif mask & _IS_FOLDER and number in self._watched:
                path = f"{self._watched[number]}/{os.fsdecode(name)}"
                found.append(FolderEvent(path, bool(mask & _CREATED)))
        return found
