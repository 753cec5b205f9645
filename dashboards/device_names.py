"""What devices are called: by node and slot, which people know, in the place of a UUID. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

Document = Mapping[str, Any]
_DOMAIN: Final = re.compile(r"^0+:")


def device_names(rows: Iterable[Document]) -> dict[str, str]:
    """Return a name for each device of `/v1/devices`; several slices of one kind on a card are numbered."""
    known = list(rows)
    slots = {row["key"]: _slot(row) for row in known}
    names = {row["key"]: _name(row, slots) for row in known}
    total, seen = Counter(names.values()), Counter[str]()
    for key, name in names.items():
        seen[name] += 1
        if total[name] > 1:
            names[key] = f"{name} ({seen[name]})"
    return names


def _slot(row: Document) -> str:
    return _DOMAIN.sub("", row["pci_bus_id"]).removesuffix(":00.0") or f"…{row['key'][-4:]}"


def _name(row: Document, slots: Mapping[str, str]) -> str:
    if row["kind"] == "pool":
        return f"pool {row['pool'] or row['key'].rpartition('/')[2]}"
    slot = slots.get(row["board"] or row["key"], "")
    what = {"mig": f" {row['mig_profile']}", "remainder": " left over by MIG"}.get(row["kind"], "")
    return f"{row['node']}, GPU {slot}{what}" if slot else f"{row['node']}{what}"
