"""By what figures are grouped, and what a group is called where nobody in particular stands behind it."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Final

from collector.queries.figures import HELD
from gpuledger.errors import ConfigError
from gpuledger.model import State
from gpuledger.within import EVERYTHING, OWNER, Within

BY_HOLDER: Final = (
    "team", "user", "project", "department", "organisation", "workload", "system", "namespace", "slurm_account",
)  # fmt: skip
BY_DEVICE: Final = ("model", "node", "device", "cluster")
BY: Final = (*BY_HOLDER, *BY_DEVICE)
OWNED_ALONE: Final = ("organisation",)  # where an empty name is known to be an owner's in the whole ledger too
VIEWS: Final = ("allocation", "usage")

_NAMES: Final = {
    "unnamed": "",
    "unattributed": "unattributed",
    "held_not_used": "held, not used",
    "idle": "idle capacity",
    "unavailable": "unavailable",
    "unobserved": "unobserved",
}
KINDS: Final = ("owner", "device", *_NAMES)  # in the order in which answers list them
NOBODYS: Final = ("idle", "unavailable", "unobserved")  # kinds of time that nobody held, which a policy may move
_STATE_KINDS: Final = {State.IDLE: "idle", State.UNAVAILABLE: "unavailable", State.UNOBSERVED: "unobserved"}


def choice(name: str, value: str, known: Sequence[str]) -> str:
    """Return `value` where it is one of `known`; raises ConfigError with the nearest one where not."""
    if value in known:
        return value
    near = difflib.get_close_matches(value, known, n=1)
    meant = f'did you mean "{near[0]}"? ' if near else ""
    raise ConfigError(f'{name} "{value}" is not known', hint=f"{meant}one of: {', '.join(known)}")


def group_of(by: str, key: str | None, state: int, within: Within = EVERYTHING) -> tuple[str, str]:
    """Return the kind and the name of the group that time in `state` under `key` belongs to.

    By a property of devices, a group is all the time of those devices. By a property of holders it is what they held;
    the rest of the time has groups of its own. Below an owner, what has no name at a level is `unnamed`: it is that
    owner's all the same, so it is not unattributed.
    """
    if by in BY_DEVICE:
        return "device", key or "unknown"
    if state not in HELD:
        return named(_STATE_KINDS[State(state)])
    if key:
        return "owner", key
    owned = within.kind == OWNER or (by in OWNED_ALONE and key is not None)
    return named("unnamed" if owned else "unattributed")


def named(kind: str) -> tuple[str, str]:
    """Return the one group of a kind that is nobody's."""
    return kind, _NAMES[kind]
