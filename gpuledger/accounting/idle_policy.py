"""Who pays for time that nobody held: a named policy that moves its cost to owners and leaves the sum as it is.

- `platform`: nobody else; it stays where it is (the default).
- `proportional`: every owner in proportion to what its own time cost; where nobody's cost anything, evenly.
- `even`: every owner the same.

Shares are whole quanta by largest remainder; ties go to the owner whose name comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from gpuledger.accounting.split import split_exactly

PLATFORM: Final = "platform"
PROPORTIONAL: Final = "proportional"
EVEN: Final = "even"
POLICIES: Final = (PLATFORM, PROPORTIONAL, EVEN)


_Owner = TypeVar("_Owner", str, tuple[str, str, str])  # a name, or all levels of one: whatever sorts


def idle_shares(own_quanta: Mapping[_Owner, int], idle_quanta: int, policy: str) -> dict[_Owner, int]:
    """Return what of `idle_quanta` each owner pays beside its own cost; nothing by `platform`, or without owners.

    The shares of the other policies sum to `idle_quanta` exactly. Raises ValueError on a policy that is none.
    """
    if policy not in POLICIES:
        raise ValueError(f"no policy {policy!r}")
    names = sorted(own_quanta)
    if policy == PLATFORM or not names:
        return {}
    weights = [own_quanta[name] if policy == PROPORTIONAL else 1 for name in names]
    return dict(zip(names, split_exactly(idle_quanta, weights), strict=True))
