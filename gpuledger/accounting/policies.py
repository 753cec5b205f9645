"""What a rating policy may say: the basis of billing, who pays for time that nobody held, free tiers, fault credits."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

ALLOCATION: Final = "allocation"
USAGE: Final = "usage"
MAX: Final = "max"
BASES: Final = (ALLOCATION, USAGE, MAX)

# Kinds of time that nobody held, each with a payer of its own; each is also the name of the setting that names it.
IDLE: Final = "idle"
STRANDED: Final = "stranded"
UNAVAILABLE: Final = "unavailable"
UNOBSERVED: Final = "unobserved"
UNHELD: Final = (IDLE, STRANDED, UNAVAILABLE, UNOBSERVED)

BASIS: Final = "basis"
FREE: Final = "free"
FAULT_CREDIT: Final = "fault_credit"
SETTINGS: Final = (BASIS, *UNHELD, FREE, FAULT_CREDIT)

# Classes of XIDs (docs/reference/health.md). What an application did is nobody else's to pay.
APPLICATION: Final = "application"
XID_CLASSES: Final = ("memory", "bus", "link", "hardware", "driver", "engine", "unknown")
HARDWARE_XIDS: Final = ("memory", "bus", "link", "hardware")
FAULTS: Final = (
    "gpu_lost",
    "reset_required",
    "reboot_required",
    "drain_required",
    "imex_recovery_required",
    "recovery_required",
    "row_remap_failure",
)
MAX_LOST_MINUTES: Final = 7 * 24 * 60


class FreeTier(msgspec.Struct, frozen=True):
    """What a team has free in a calendar month: GPU time (microseconds x parts of a GPU) or money. One of the two.

    Neither says that there is none.
    """

    part_us: int | None = None
    quanta: int | None = None


class FaultCredit(msgspec.Struct, frozen=True):
    """Which faults give a holder credit, for how many minutes of work before each at most, and what share of its cost.

    `percent_millis` are thousandths of a percent. `minutes` 0 says that there is no credit.
    """

    minutes: int = 0
    percent_millis: int = 100_000
    faults: tuple[str, ...] = FAULTS
    xid_classes: tuple[str, ...] = HARDWARE_XIDS

    @property
    def percent_text(self) -> str:
        """Return the share of the cost in percent, exactly."""
        return f"{Decimal(self.percent_millis).scaleb(-3).normalize():f}"


class Payer(msgspec.Struct, frozen=True):
    """The owner of a queue, who pays for its time that nobody held, whoever else held devices of it."""

    team: str
    department: str = ""
    organisation: str = ""

    @property
    def owner(self) -> tuple[str, str, str]:
        """Return organisation, department and team, as charges have them."""
        return self.organisation, self.department, self.team


class Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one entry of a policy book says; None: it says nothing of that."""

    basis: str | None = None
    idle: str | Payer | None = None
    stranded: str | Payer | None = None
    unavailable: str | Payer | None = None
    unobserved: str | Payer | None = None
    free: FreeTier | None = None
    fault_credit: FaultCredit | None = None

    @property
    def stated(self) -> frozenset[str]:
        """Return the names of what it says something of."""
        return frozenset(name for name in SETTINGS if getattr(self, name) is not None)
