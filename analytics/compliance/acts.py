"""Every act that an audit log can hold, and the section of the report that shows it; others are named. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final


class Part(Enum):
    """A section of the report."""

    ACCESS = "Who had access"
    CHANGES = "What changed"
    APPROVALS = "Who approved what"
    REFUSED = "What was refused"
    BILLS = "Closes, corrections and disputes"
    READS = "Who read what is of all teams"
    LIMITS = "Limits reached, and who was told"
    FLEET = "Agents and devices"
    LOG = "The log itself"
    UNKNOWN = "Not known to this version"


ACTS: Final[dict[str, Part]] = {
    **dict.fromkeys(("token.create", "token.revoke", "agent.enrol"), Part.ACCESS),
    **dict.fromkeys(
        (
            "price.import", "owner.import", "directory.import", "share.import", "policy.import", "carbon.import",
            "budget.import", "quota.import", "rules.import", "calendar.change", "jobs.import", "drift.keep",
            "advice.keep", "rules.allow",
        ),
        Part.CHANGES,
    ),
    **dict.fromkeys(
        (
            "approval.request", "approval.approve", "approval.deny", "approval.withdraw", "approval.grant",
            "approval.refuse", "approval.expire", "approval.end",
        ),
        Part.APPROVALS,
    ),
    **dict.fromkeys(
        (
            "access.deny", "access.refuse", "rules.refuse", "admission.hold", "admission.refuse", "admission.unsure",
            "admission.not_allowed", "admission.lost",
        ),
        Part.REFUSED,
    ),
    **dict.fromkeys(
        (
            "period.close", "adjustment.add", "adjustment.price", "adjustment.withdraw", "dispute.open",
            "dispute.resolve", "dispute.withdraw",
        ),
        Part.BILLS,
    ),
    "access.read": Part.READS,
    **dict.fromkeys(("budget.stage", "quota.stage", "notice.sent", "notice.failed", "notice.suppressed"), Part.LIMITS),
    "agent.new": Part.FLEET,
    **dict.fromkeys(("audit.key", "clock.back"), Part.LOG),
}  # fmt: skip
_EVENT: Final = "event."  # of a device; their kinds are the agents' to name


def part_of(act: str) -> Part:
    """Return the section that shows an act."""
    return Part.FLEET if act.startswith(_EVENT) else ACTS.get(act, Part.UNKNOWN)
