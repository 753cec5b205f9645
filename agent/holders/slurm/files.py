"""Small files of the node, read with a bound and without following a link; the unreadable is named."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import NamedTuple

from gpuledger.errors import HolderError


class Signature(NamedTuple):
    """What tells whether a file has changed."""

    inode: int
    modified_ns: int
    size: int


def signature(path: Path) -> Signature | None:
    """Return the file's signature, or None where there is none. Raises HolderError where it may not be seen."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    return Signature(found.st_ino, found.st_mtime_ns, found.st_size)


def read_bounded(path: Path, most: int, *, owners: frozenset[int] | None = None) -> bytes:
    """Return a regular file's content, up to one byte more than `most`.

    Raises OSError as `open` does, and ValueError where it is no regular file or not owned by one of `owners`.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("it is not a regular file")
        if owners is not None and found.st_uid not in owners:
            raise ValueError(f"it belongs to uid {found.st_uid}, not to root")
        content = b""
        while len(content) <= most and (chunk := os.read(descriptor, most + 1 - len(content))):
            content += chunk
        return content
    finally:
        os.close(descriptor)


def unreadable(path: Path, error: OSError) -> HolderError:
    """Return the error that says which path of Slurm's cannot be read."""
    return HolderError(
        f"{path} cannot be read: {error.strerror}", hint="run the agent as root, or mount it into the agent"
    )
