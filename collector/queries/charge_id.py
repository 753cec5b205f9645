"""What a charge is called: the hour, device, holder, state and reason that make it the only one. Pure.

Where a price turned within the hour, the hour is written with the instant at which the charge's segment begins.

Fields stand between `@`; an `@` or `%` inside of one is written `%40` or `%25`, as in the name of a domain's user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.model import State

SEPARATOR: Final = "@"
HINT: Final = 'copy it from the column charge of "gpuledger export csv", or of GET /v1/charges'
_STATES: Final = {state.label: state for state in State}
_HOUR: Final = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}(:00Z?|:\d{2}:\d{2}(\.\d{6})?Z?)?")


class ChargeId(NamedTuple):
    """One charge. `holder` is empty where nobody held the device; `offset_us` is how far into the hour it begins."""

    hour_us: int
    cluster: str
    node: str
    device: str
    holder: str
    state: State
    reason: str
    offset_us: int = 0

    def __str__(self) -> str:
        """Return the charge's name, such as `2026-11-05T10@lab@n1@GPU-7@pod:u/main@active@`."""
        begins = iso(self.hour_us + self.offset_us)
        hour = begins.removesuffix("Z") if self.offset_us else begins[:13]
        fields = (hour, self.cluster, self.node, self.device, self.holder, self.state.label, self.reason)
        return SEPARATOR.join(field.replace("%", "%25").replace(SEPARATOR, "%40") for field in fields)


def charge_id_of(row: Mapping[str, Any]) -> ChargeId:
    """Return the name of a stored charge."""
    return ChargeId(
        row["hour_us"],
        row["cluster"],
        row["node"],
        row["device"],
        row["holder"] or "",
        State(row["state"]),
        row["reason"],
        row["offset_us"],
    )


def parse_charge_id(text: str) -> ChargeId:
    """Return the charge that is called `text`. Raises ConfigError where that is no name of a charge."""
    fields = text.split(SEPARATOR)
    if len(fields) != len(ChargeId._fields) - 1 or not _HOUR.fullmatch(fields[0]):
        raise ConfigError(f'"{text}" is not the name of a charge', hint=HINT)
    hour, cluster, node, device, holder, state, reason = (
        field.replace("%40", SEPARATOR).replace("%25", "%") for field in fields
    )
    if state not in _STATES:
        raise ConfigError(f'"{state}" is not a state', hint=HINT)
    begins_us = parse_instant(hour)
    offset_us = begins_us % US_PER_HOUR
    return ChargeId(begins_us - offset_us, cluster, node, device, holder, _STATES[state], reason, offset_us)
