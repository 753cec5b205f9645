"""The billing calendar: by which zone's days a ledger is billed, and how long it waits for late data.

A ledger keeps its calendar, so that everybody who opens it means the same month. What is closed stays as it was closed.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final, NamedTuple

from collector.audit.log import record
from collector.ledger.database import Session
from gpuledger.accounting.periods import from_us
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.zones import find_zone, require_whole_hours

MAX_GRACE_HOURS: Final = 8_784  # a year


class Calendar(NamedTuple):
    """A zone of the IANA database, and the hours after its end for which a period is not closed."""

    zone: str = "UTC"
    grace_hours: int = 0

    @property
    def days(self) -> tzinfo:
        """Return the zone whose midnight begins a day."""
        return find_zone(self.zone)

    @property
    def grace_us(self) -> int:
        """Return how long late data is waited for."""
        return self.grace_hours * US_PER_HOUR


class CalendarChange(NamedTuple):
    """What somebody wants of the calendar; None: as it is."""

    zone: str | None = None
    grace_hours: int | None = None


def stored_calendar(session: Session) -> Calendar:
    """Return the ledger's calendar: UTC and no grace where nobody said otherwise."""
    found = session.execute("calendar_newest").to_pylist()
    return Calendar(**found[0]) if found else Calendar()


def apply_change(session: Session, change: CalendarChange, now_us: int) -> Calendar:
    """Store what a change makes of the calendar, and return it.

    Raises ConfigError where the zone is not known or not whole hours from UTC now, or the grace is out of reason.
    """
    kept = stored_calendar(session)
    wanted = kept._replace(**{name: value for name, value in change._asdict().items() if value is not None})
    if not 0 <= wanted.grace_hours <= MAX_GRACE_HOURS:
        raise ConfigError(
            f"late data cannot be waited for {wanted.grace_hours} hours", hint=f"give 0 to {MAX_GRACE_HOURS}"
        )
    if wanted != kept:
        require_whole_hours(wanted.zone, from_us(now_us))
        session.execute("calendar_insert", {"at_us": now_us, **wanted._asdict()})
        record(session, now_us, "calendar.change", wanted.zone, wanted._asdict())
    return wanted
