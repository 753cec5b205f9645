"""Where a client finds its token: a file, the environment, or what a collector on this machine left for its own user.

A collector writes a note into a folder that only its user can enter: its process, and where its token files are.
Whoever runs as that user finds them by the port; a note of a process that is gone counts for nothing, since anybody may
listen where it listened.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from gpuledger.errors import ConfigError

TOKEN: Final = "GPULEDGER_TOKEN"  # noqa: S105 - the name of a variable
TOKEN_FILE: Final = "GPULEDGER_TOKEN_FILE"  # noqa: S105 - the name of a variable
ADMIN: Final = "admin"
JOIN: Final = "join"
SUFFIX: Final = ".token"
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Note(msgspec.Struct, frozen=True):
    """What a running collector says of itself to its own user."""

    process: int
    directory: str  # of its token files


def find_token(url: str, *, file: Path | None = None, env: Mapping[str, str] = os.environ) -> str | None:
    """Return the token to ask the collector at `url` with; None where there is none to be found.

    First `file`, then GPULEDGER_TOKEN and GPULEDGER_TOKEN_FILE, then the admin token of a collector that this user runs
    on this machine. Raises ConfigError where a file that is named cannot be read.
    """
    if file:
        return read_token(file)
    if env.get(TOKEN):
        return env[TOKEN].strip()
    if env.get(TOKEN_FILE):
        return read_token(Path(env[TOKEN_FILE]))
    return left_here(url, ADMIN)


def left_here(url: str, name: str) -> str | None:
    """Return the token called `name` of a collector that this user runs on this machine and that listens at `url`."""
    with contextlib.suppress(ConfigError, OSError, ValueError, msgspec.MsgspecError):
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        if not _is_here(parts.hostname or ""):
            return None
        note = msgspec.json.decode(_path(_folder(), port).read_bytes(), type=Note)
        if Path(f"/proc/{note.process}").stat().st_uid == os.getuid():
            return read_token(Path(note.directory) / f"{name}{SUFFIX}")
    return None


def read_token(path: Path) -> str:
    """Return the token in a file. Raises ConfigError where it cannot be read or is empty."""
    try:
        token = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the token file {path} cannot be read: {error}", hint="make it readable, for you only"
        ) from error
    if not token:
        raise ConfigError(f"the token file {path} is empty", hint="put the token into it, on one line")
    return token


def write_token(path: Path, token: str) -> None:
    """Write a token into a file that only this user can read; never readable in between."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
        file.write(f"{token}\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


@contextmanager
def noted(url: str, directory: Path) -> Iterator[None]:
    """Leave a note for this user about the collector that listens at `url`, for as long as it does."""
    port = urlsplit(url).port or 0
    path: Path | None = None
    with contextlib.suppress(OSError, ConfigError):  # a system without such a folder: tokens have to be named then
        path = _path(_folder(), port)
        path.write_bytes(msgspec.json.encode(Note(os.getpid(), str(directory.absolute()))))
    try:
        yield
    finally:
        if path:
            with contextlib.suppress(OSError):
                path.unlink()


def _folder() -> Path:
    """Return the folder of notes. Raises ConfigError where another could write there: it might lead us astray."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    path = Path(runtime) / "gpuledger" if runtime else Path(tempfile.gettempdir()) / f"gpuledger-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077 or path.is_symlink():
        raise ConfigError(f"{path} belongs to others too", hint="remove it")
    return path


def _path(folder: Path, port: int) -> Path:
    return folder / f"collector-{port}.json"


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
