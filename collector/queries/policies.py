"""The policy book that bills of open periods follow."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.policies.stored import newest_policies
from collector.queries.figures import hours, instant, money
from gpuledger.accounting.periods import iso
from gpuledger.accounting.policies import FaultCredit, FreeTier, Payer, Settings
from gpuledger.accounting.policybook import PolicyEntry


class PolicyRow(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """One entry, numbered from 1 as in its file: whom it is for, and each of its settings in words."""

    entry: int
    organisation: str
    department: str
    team: str
    pool: str
    model: str
    settings: dict[str, str]
    from_: str | None
    to: str | None


class Policies(msgspec.Struct, frozen=True):
    """The newest policy book; without one, no version and no rows."""

    version: int | None
    imported_at: str | None
    source: str | None
    rows: list[PolicyRow]


def policies(ledger: Ledger) -> Policies:
    """Return the newest policy book."""
    with ledger.snapshot() as session:
        stored = newest_policies(session)
    if stored is None:
        return Policies(None, None, None, [])
    version = stored.version
    rows = [_row(number, entry) for number, entry in enumerate(stored.book.entries, 1)]
    return Policies(version.number, iso(version.imported_us), version.source, rows)


def _row(number: int, entry: PolicyEntry) -> PolicyRow:
    return PolicyRow(
        entry=number,
        organisation=entry.organisation,
        department=entry.department,
        team=entry.team,
        pool=entry.pool,
        model=entry.model,
        settings=_in_words(entry.settings),
        from_=instant(entry.from_us),
        to=instant(entry.to_us),
    )


def _in_words(settings: Settings) -> dict[str, str]:
    said: dict[str, str] = {}
    for name, value in msgspec.structs.asdict(settings).items():
        if isinstance(value, FreeTier):
            said[name] = _free(value)
        elif isinstance(value, FaultCredit):
            said[name] = _credit(value)
        elif isinstance(value, Payer):
            said[name] = " > ".join(filter(None, value.owner))
        elif value is not None:
            said[name] = value
    return said


def _free(tier: FreeTier) -> str:
    if tier.part_us is not None:
        return f"{hours(tier.part_us):,} GPU-hours a month"
    return "nothing" if tier.quanta is None else f"{money(tier.quanta)} a month"


def _credit(credit: FaultCredit) -> str:
    if not credit.minutes:
        return "none"
    return (
        f"{credit.percent_text} % of up to {credit.minutes} minutes before {', '.join(credit.faults)}"
        f" and XIDs of {', '.join(credit.xid_classes)}"
    )
