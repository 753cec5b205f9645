"""How long the demo's history takes: 40 GPUs x 30 days at a minute a sample, driver to ledger, against 60 seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DAYS = 30
GOAL_S = 60.0


def run(days: int = DAYS) -> dict[str, float]:
    """Play a demo of `days` days into a folder of its own; return seconds (wall and CPU) and usage rows."""
    with tempfile.TemporaryDirectory() as folder:
        before, started = os.times(), time.monotonic()
        subprocess.run(
            [sys.executable, "-m", "gpuledger.cli", "demo", "--once", "--days", str(days), "--data-dir", folder],
            check=True,
            capture_output=True,
        )
        wall_s, after = time.monotonic() - started, os.times()
        rows = _rows(Path(folder))
    cpu_s = after.children_user - before.children_user + after.children_system - before.children_system
    return {"days": days, "wall_s": wall_s, "cpu_s": cpu_s, "rows": rows}


def _rows(folder: Path) -> int:
    from collector.ledger.store import Ledger  # noqa: PLC0415 - not part of what is measured
    from collector.queries.status import status  # noqa: PLC0415

    with Ledger.open(folder, read_only=True) as ledger:
        return status(ledger).usage_rows


def main() -> int:
    """Print the figures."""
    found = run()
    snapshots = 40 * found["days"] * 1_440
    print(
        f"{found['days']:.0f} days of 40 GPUs: {found['wall_s']:.0f} s wall, {found['cpu_s']:.0f} s CPU,"
        f" {found['rows']:,.0f} usage rows; {found['cpu_s'] / snapshots * 1e6:.0f} us of CPU a GPU and minute"
    )
    print(f"ratio to the goal of {GOAL_S:.0f} s: {found['wall_s'] / GOAL_S:.2f} (everything: start, books, rating)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
