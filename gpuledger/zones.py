"""Time zones by name: whose midnight begins a billing month."""

from __future__ import annotations

import difflib
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from gpuledger.errors import ConfigError

_OF_THE_MACHINE: Final = frozenset({"localtime", "posixrules"})  # whatever its administrator chose
_HOUR_S: Final = 3_600
_HINT: Final = "give a name of the IANA time zone database, such as Europe/Berlin or UTC"


@cache
def find_zone(name: str) -> tzinfo:
    """Return the zone of a name of the IANA database; raises ConfigError where there is none such."""
    if name == "UTC":
        return UTC
    try:
        if name in _OF_THE_MACHINE:
            raise ValueError(name)  # noqa: TRY301 - refused like all others
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # not in the database, no name at all, or a part of one
        known = sorted(available_timezones() - _OF_THE_MACHINE)
        if not known:
            raise ConfigError("there is no time zone database here", hint="pip install tzdata") from error
        close = difflib.get_close_matches(name, known, 1, 0.6)
        hint = f'did you mean "{close[0]}"?' if close else _HINT
        raise ConfigError(f'there is no time zone "{name}"', hint=hint) from error


def require_whole_hours(name: str, at: datetime) -> tzinfo:
    """Return a zone that is whole hours from UTC at an instant; raises ConfigError where not: charges are hourly."""
    zone = find_zone(name)
    offset = at.astimezone(zone).utcoffset()
    if offset and offset.total_seconds() % _HOUR_S:
        raise ConfigError(
            f"clocks in {name} are {offset} from UTC: a month there begins within an hour, and charges are hourly",
            hint="bill in a zone that is whole hours from UTC, such as UTC itself",
        )
    return zone
