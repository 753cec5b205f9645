"""The agent as a program: what `gpuledger agent` becomes, so that the command line's modules stay out of its memory."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from agent.devices.child_early import EarlyReader, fork_reader

BAD_CONFIGURATION: Final = 2
FAILED: Final = 1


def main() -> int:
    """Run the agent with the settings of the file that is named, if one is; return its exit code."""
    return run(fork_reader())


def run(reader: EarlyReader) -> int:
    """Run the agent with this process as the reader of its driver."""
    from agent import app  # noqa: PLC0415 - after the fork: the reader needs none of it
    from agent.config import AgentSettings  # noqa: PLC0415
    from gpuledger.config import load_config  # noqa: PLC0415
    from gpuledger.errors import ConfigError, GpuLedgerError  # noqa: PLC0415

    try:
        settings = load_config(AgentSettings, Path(sys.argv[1]) if sys.argv[1:] else None, os.environ)
        if settings.simulation.scenario or not settings.nvml.child:
            reader.leave()
        return app.run(settings, reader=reader)
    except GpuLedgerError as error:
        sys.stderr.write(f"error: {error}\n")
        return BAD_CONFIGURATION if isinstance(error, ConfigError) else FAILED


if __name__ == "__main__":
    sys.exit(main())
