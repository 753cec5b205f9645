"""Grants: which devices a scheduler has given to whom. The seam between schedulers and the rest of the agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from agent.devices.base import NodeReading
from gpuledger.model import Confidence, Event, Holder


class Grant(NamedTuple):
    """A device, or some of its replicas, that a scheduler has given to a holder.

    `since_us` and `until_us` are given where the scheduler tells them exactly; a grant with `until_us` has ended.
    """

    device: str  # its key: GPU-<uuid>, MIG-<uuid>
    holder: Holder
    method: str  # by which source: Evidence.holder
    replicas: int = 1
    since_us: int | None = None
    until_us: int | None = None
    confidence: Confidence = Confidence.MEASURED  # a claim of the holder itself is ESTIMATED


class Granted(NamedTuple):
    """Everything that one scheduler says at one instant."""

    grants: tuple[Grant, ...] = ()  # those that stand, and those that ended since the previous reading
    managed: frozenset[str] = frozenset()  # devices that are this scheduler's to give: use without a grant is ungranted
    replicas: Mapping[str, int] = {}  # into how many a device is shared out, where that is more than one
    events: tuple[Event, ...] = ()
    excused: tuple[Grant, ...] = ()  # of tenancies that have ended, or whose devices are not known: see `occupy`


NOTHING_GRANTED = Granted()


class GrantSource(Protocol):
    """A scheduler, or a trace that it leaves on the node."""

    name: str

    def read(self, at_us: int, reading: NodeReading, /) -> Granted:
        """Return what is granted now. `reading` holds the devices that there are.

        A scheduler that does not run on this node grants nothing and manages nothing. Raises HolderError where it
        runs and cannot be asked.
        """
        ...

    def close(self) -> None:
        """Let go of connections and threads."""
        ...


class InMemoryGrants:
    """Grants that are given, for simulations and tests."""

    def __init__(self, granted: Granted = NOTHING_GRANTED, *, name: str = "given") -> None:
        self.name = name
        self.granted = granted

    def read(self, _at_us: int, _reading: NodeReading, /) -> Granted:
        """Return what was given."""
        return self.granted

    def close(self) -> None:
        """Do nothing."""
