"""The folder of an export: its files appear together when all of them are whole, and not at all where one fails."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gpuledger.errors import GpuLedgerError


@contextmanager
def all_or_none(folder: Path) -> Iterator[Path]:
    """Give a folder to write in; at the end its files move into `folder`, in the place of those of the same name."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writing = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield writing
        for path in sorted(writing.iterdir()):
            path.replace(folder / path.name)
    except OSError as error:
        raise _unwritable(folder, error) from error
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def _unwritable(folder: Path, error: OSError) -> GpuLedgerError:
    return GpuLedgerError(f"cannot write to {folder}: {error.strerror}", hint="name a folder that this user may write")
