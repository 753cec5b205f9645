"""What one check found, the next step, and what is lost until it is taken."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

Status = Literal["ok", "warning", "failed", "absent"]
NO_KUBERNETES: Final = "fine, unless this is a Kubernetes node"


class Finding(NamedTuple):
    """The finding of one check.

    `status` is ok; warning (it works with less); failed (the ledger will lack something that it should have); or absent
    (not here, and perhaps not meant to be). `lost` says what is missing until `next_step` is taken.
    """

    check: str
    status: Status
    found: str
    next_step: str = ""
    lost: str = ""
