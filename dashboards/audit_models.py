"""What the Audit page shows: acts in words. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from dashboards import wording
from dashboards.view_models import Line, Table

Document = Mapping[str, Any]
ACT_WORDS: Final = {
    "price.import": "Prices imported",
    "owner.import": "Owner mapping imported",
    "directory.import": "Directory of people imported",
    "carbon.import": "Carbon intensities imported",
    "policy.import": "Policies imported",
    "share.import": "Shares imported",
    "jobs.import": "Jobs imported",
    "budget.import": "Budgets imported",
    "quota.import": "Quotas imported",
    "rules.import": "Rules imported",
    "period.close": "Period closed",
    "access.read": "Figures of other teams read",
    "access.refuse": "Access refused",
    "access.deny": "Access denied",
    "approval.request": "Exception asked for",
    "budget.stage": "Budget reached a stage",
    "quota.stage": "Quota reached a stage",
    "agent.new": "New agent",
    "audit.key": "Signing key used for the first time",
    "clock.back": "The collector's clock went back",
    "dispute.open": "Dispute opened",
    "dispute.resolve": "Dispute decided",
    "dispute.withdraw": "Dispute withdrawn",
    "adjustment.add": "Adjustment entered",
    "adjustment.withdraw": "Adjustment withdrawn",
    "calendar.change": "Calendar changed",
    "adjustment.price": "Closed time priced",
    "rules.allow": "Allowed by a rule",
    "rules.refuse": "Stopped by a rule",
    "approval.approve": "Request approved",
    "approval.deny": "Request denied",
    "approval.withdraw": "Request withdrawn",
    "approval.grant": "Request granted",
    "approval.refuse": "Request refused by a rule",
    "approval.expire": "Request expired",
    "approval.end": "Grant ended early",
    "notice.sent": "Notice sent",
    "notice.failed": "Notice not delivered",
    "notice.suppressed": "Notice not sent",
    "token.create": "Token made",
    "token.revoke": "Token revoked",
    "agent.enrol": "Agent enrolled",
    "drift.keep": "Comparison kept",
    "advice.keep": "Advice kept",
    "admission.hold": "Work not let start",
    "admission.refuse": "Work refused",
    "admission.unsure": "Work let through undecided",
    "admission.not_allowed": "Work would not have started",
    "admission.lost": "Answers about work lost",
}
READ: Final = "access.read"  # somebody by name read what is of other teams
EVENT: Final = "event."
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def act(name: str) -> str:
    """Return an act in words."""
    if name.startswith(EVENT):
        return f"Event: {name.removeprefix(EVENT).replace('_', ' ')}"
    return ACT_WORDS.get(name, name.replace(".", ": ").replace("_", " ").capitalize())


def finding(rows: Sequence[Document], known: int) -> str:
    """Return the headline: how much is on record (`known`), and what of `rows` came last."""
    if not rows:
        return "Nothing has been recorded yet"
    last = rows[0]
    return f"{known:,} acts are on record; the last: {act(last['act'])[:1].lower()}{act(last['act'])[1:]}"


def lead(checkpoints: int) -> str:
    """Return the sentence below it: whether heads of the log are signed."""
    if checkpoints:
        return f"{checkpoints:,} signed checkpoints seal the log: whoever kept one can prove that nothing was changed."
    return "Nothing is signed yet: make a key with gpuledger audit key DIR and name it in the collector's settings."


def table(rows: Sequence[Document]) -> Table:
    """Return acts, the newest first."""
    lines = [
        Line("owner", (act(row["act"]), row["subject"], row["actor"], wording.instant(row["at"])), _details(row))
        for row in rows
    ]
    return Table(("What", "On", "By", "When"), tuple(lines), 4)


def _details(row: Document) -> str:
    """Return what else is on record; a digest by its beginning."""
    shown = {name: value for name, value in row["details"].items() if value not in ("", None)}
    return ", ".join(f"{name.replace('_', ' ')} {_short(str(value))}" for name, value in shown.items())


def _short(text: str) -> str:
    return f"{text[:12]}…" if _DIGEST.fullmatch(text) else text
