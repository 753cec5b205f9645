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
    "period.close": "Period closed",
    "agent.new": "New agent",
    "audit.key": "Signing key used for the first time",
    "clock.back": "The collector's clock went back",
    "dispute.open": "Dispute opened",
    "dispute.resolve": "Dispute decided",
    "dispute.withdraw": "Dispute withdrawn",
    "adjustment.add": "Adjustment entered",
    "adjustment.withdraw": "Adjustment withdrawn",
}
EVENT: Final = "event."
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


def act(name: str) -> str:
    """Return an act in words."""
    if name.startswith(EVENT):
        return f"Event: {name.removeprefix(EVENT).replace('_', ' ')}"
    return ACT_WORDS.get(name, name.replace(".", ": ").replace("_", " ").capitalize())


def finding(rows: Sequence[Document], known: int) -> str:
    """Return the headline: how much is on record, and what came last."""
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
