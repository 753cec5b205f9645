"""A part of the ledger as the parameters of a statement: which owners, which holders, which states."""

from __future__ import annotations

from typing import Any

from gpuledger.within import LEVELS, Within


def scope_params(within: Within) -> dict[str, Any]:
    """Return the parameters that narrow a statement to a part of the ledger; None narrows nothing."""
    return {"scope": within.kind, **{level: within.name(level) for level in LEVELS}}
