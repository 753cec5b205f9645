"""How failures reach the person at the terminal: two lines on stderr and an exit code, never a traceback."""

from __future__ import annotations

import sys
from typing import Final

from gpuledger.errors import ConfigError, GpuLedgerError

DONE: Final = 0
FAILED: Final = 1
BAD_USAGE: Final = 2
VIOLATION: Final = 3
INTERRUPTED: Final = 130


def report(error: GpuLedgerError) -> int:
    """Print `error: ...` and `hint: ...` on stderr; return the exit code that the error stands for."""
    sys.stderr.write(f"error: {error.message}\n")
    if error.hint:
        sys.stderr.write(f"hint: {error.hint}\n")
    return BAD_USAGE if isinstance(error, ConfigError) else FAILED
