"""What owner rules may ask about a holder as the ledger stores it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gpuledger.accounting.ownership import LABEL_PREFIX

_HOLDER_COLUMNS: Final = {"user_name": "user"}  # columns that owner rules call by another name


def holder_attributes(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what owner rules may match about a stored holder; `pool` is that of the device it held."""
    attributes = {
        _HOLDER_COLUMNS.get(name, name): value
        for name, value in row.items()
        if name != "labels" and isinstance(value, str)
    }
    labels = msgspec.json.decode(row["labels"], type=dict[str, str])
    return {**attributes, **{f"{LABEL_PREFIX}{name}": value for name, value in labels.items()}}
