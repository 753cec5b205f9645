"""How large a number of a usage row may be: far beyond any real one, and far from where sums overflow."""

from __future__ import annotations

from typing import Final

from gpuledger.errors import WireError
from gpuledger.wire import Columns

LIMITS: Final = {
    "held_us": 2**50,  # 300,000 GPUs for an hour
    "active_us": 2**50,
    "energy_mj": 2**43,  # two megawatts for an hour
    "memory_mean_bytes": 2**53,
    "memory_max_bytes": 2**53,
}


def check_sizes(columns: Columns) -> None:
    """Raise WireError (`malformed`) where a number is beyond what the ledger adds up."""
    found = {"held_us": columns.required["held_us"]} | {name: column for name, (column, _) in columns.nullable.items()}
    for name, values in found.items():
        if values and max(values) > LIMITS[name]:
            raise WireError(
                "malformed",
                f"{name} is {max(values)} in one row, beyond {LIMITS[name]}",
                hint="this is a fault of the agent: keep its log and report it",
            )
