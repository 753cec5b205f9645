"""A metric family: what Prometheus is told about a name before its samples."""

from __future__ import annotations

from typing import Final, NamedTuple

GAUGE: Final = "gauge"
COUNTER: Final = "counter"
INFO: Final = "info"

Sample = tuple[str, float]  # the label block as written, `{a="b"}` or nothing, and the value


class Family(NamedTuple):
    """One family. `name` ends in `_total` for our counters and in `_info` for identities."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    unit: str = ""
    additive: bool = False  # the sum over its series means something
    twin: str = ""  # the DCGM field that says the same


Filled = tuple[Family, list[Sample]]  # a family and its samples at one instant
