"""The kubelet's own record of which pod UID has which device ids: `kubelet_internal_checkpoint`.

It is no interface that Kubernetes promises: it tells two pods of one name apart, and nothing is lost without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

_MAX_BYTES: Final = 64 * 2**20


class CheckpointEntry(NamedTuple):
    """Devices of one resource that the kubelet has noted for one container of a pod."""

    pod_uid: str
    container: str
    resource: str
    ids: frozenset[str]


class _Entry(msgspec.Struct, frozen=True, rename="pascal"):
    pod_uid: str = msgspec.field(default="", name="PodUID")
    container_name: str = ""
    resource_name: str = ""
    device_ids: Mapping[str, list[str]] | list[str] | None = msgspec.field(default=None, name="DeviceIDs")


class _Data(msgspec.Struct, frozen=True, rename="pascal"):
    pod_device_entries: list[_Entry] | None = None


class _File(msgspec.Struct, frozen=True, rename="pascal"):
    data: _Data = _Data()


_DECODER: Final = msgspec.json.Decoder(_File)


class KubeletCheckpoint:
    """The checkpoint, read again when it was written again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written: tuple[int, int, int] | None = None
        self._entries: tuple[CheckpointEntry, ...] = ()
        self.problem = ""  # why it cannot be used; empty: it can, or there is none

    def uids_of(self, container: str, resource: str, ids: frozenset[str]) -> tuple[str, ...]:
        """Return the UIDs of the pods that are noted with at least one of these devices for that container."""
        self._refresh()
        return tuple(
            dict.fromkeys(
                entry.pod_uid
                for entry in self._entries
                if entry.container == container and entry.resource == resource and entry.ids & ids
            )
        )

    def _refresh(self) -> None:
        try:
            stat = self._path.stat()
            written = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if written == self._written:
                return
            self._written = written
            self._entries = parse_checkpoint(self._read(stat.st_size))
            self.problem = ""
        except FileNotFoundError:
            self._entries, self._written, self.problem = (), None, ""
        except (OSError, msgspec.DecodeError) as error:
            self._entries, self.problem = (), f"{self._path} cannot be read: {error}"

    def _read(self, size: int) -> bytes:
        if size > _MAX_BYTES:
            raise msgspec.DecodeError(f"{size} bytes are too many")
        return self._path.read_bytes()


def parse_checkpoint(text: bytes) -> tuple[CheckpointEntry, ...]:
    """Return the entries of a checkpoint; ids stand in one list, or (since 1.20) in one per NUMA node.

    Raises msgspec.DecodeError where it is none.
    """
    return tuple(
        CheckpointEntry(entry.pod_uid, entry.container_name, entry.resource_name, _ids(entry.device_ids))
        for entry in _DECODER.decode(text).data.pod_device_entries or ()
        if entry.pod_uid
    )


def _ids(device_ids: Mapping[str, list[str]] | list[str] | None) -> frozenset[str]:
    if isinstance(device_ids, Mapping):
        return frozenset(one for ids in device_ids.values() for one in ids)
    return frozenset(device_ids or ())
