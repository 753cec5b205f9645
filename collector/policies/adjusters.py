"""The adjusters of the policy book, in the order in which they have to come.

Basis, free tier, fault credit, and last the share of what nobody held: each works on what those before it left. A free
tier is of what a team would pay by its basis; a credit gives back no more than what is left to pay; what goes to the
platform by the first is idle capacity for the last, and what goes there by the others stays there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.ledger.database import Session
from collector.policies.stored import newest_policies
from gpuledger.accounting.adjustments import BASIS, FAULT_CREDIT, FREE_TIER, IDLE_SHARE, Adjustment
from gpuledger.accounting.basis import Shift, basis_moves, shifts
from gpuledger.accounting.fault_credit import Fault, HeldPiece, HolderHour, Struck, credit_moves, without_applications
from gpuledger.accounting.free_tier import free_moves
from gpuledger.accounting.held import Sums, Team
from gpuledger.accounting.idle_share import share_moves
from gpuledger.accounting.moves import lines_of
from gpuledger.accounting.periods import Period
from gpuledger.accounting.policies import MAX
from gpuledger.accounting.policybook import PolicyBook, PolicyScope
from gpuledger.accounting.units import US_PER_MINUTE
from gpuledger.accounting.validity import segments

SPELLS: Final = pa.schema([("start_us", pa.int64()), ("end_us", pa.int64())])
_HARMLESS: Final = frozenset({"none", "inspect"})  # actions that leave what runs running
SPANS: Final = pa.schema([("device_id", pa.int64()), ("start_us", pa.int64()), ("end_us", pa.int64())])


class Rated(NamedTuple):
    """What policies decide on: the book, the sums of a period's charges, and what the basis changes of them."""

    version: int
    book: PolicyBook
    sums: list[Sums]
    shifted: list[Shift]

    @property
    def reference(self) -> str:
        """Return what an adjustment names as its cause."""
        return f"policy {self.version}"


def own_time(session: Session, period: Period, before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return what bases, free tiers and credits for faults change of what teams pay for their own time."""
    rated = _rated(session, period, "basis", "free", "fault_credit")
    if rated is None:
        return []
    found = lines_of(basis_moves(rated.shifted, period.interval), BASIS, rated.reference)
    found += lines_of(free_moves(rated.sums, rated.shifted, rated.book, period), FREE_TIER, rated.reference)
    if not _says(rated.book, "fault_credit"):
        return found
    struck = _struck(session, period, rated.book)
    moves = credit_moves(struck, rated.book, _left(rated.sums, [*before, *found]), period.start_us)
    return found + lines_of(moves, FAULT_CREDIT, rated.reference)


def idle_share(session: Session, period: Period, before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return teams' shares of time that nobody held, and of what the basis left with the platform."""
    rated = _rated(session, period, "idle", "stranded", "unavailable", "unobserved")
    if rated is None:
        return []
    shifted = rated.shifted if any(each.kind == BASIS for each in before) else []
    return lines_of(share_moves(rated.sums, shifted, rated.book, period.interval), IDLE_SHARE, rated.reference)


def sums_of(session: Session, period: Period, book: PolicyBook) -> list[Sums]:
    """Return the sums of a period's charges, cut where an entry of `book` begins or ends."""
    spells = [each._asdict() for each in segments(period.interval, book.entries)]
    by_larger = any(entry.settings.basis == MAX for entry in book.entries)
    bounds = {"from_us": period.start_us, "to_us": period.end_us, "by_larger": by_larger}
    staged = {"policy_spells": pa.Table.from_pylist(spells, schema=SPELLS)}
    rows = session.execute("policy_sums", bounds, staged).to_pylist()
    big = [name for name in Sums._fields if name.endswith("part_us")]  # which come as decimals
    return [Sums(**{**row, **{name: int(row[name]) for name in big}}) for row in rows]


def _rated(session: Session, period: Period, *settings: str) -> Rated | None:
    """Return what adjusters of any of `settings` work on; None where no policy speaks of them."""
    stored = newest_policies(session)
    if stored is None or not _says(stored.book, *settings):
        return None
    sums = sums_of(session, period, stored.book)
    return Rated(stored.version.number, stored.book, sums, shifts(sums, stored.book))


def _says(book: PolicyBook, *settings: str) -> bool:
    """Tell whether any entry says anything of `settings`."""
    return any(entry.settings.stated & set(settings) for entry in book.entries)


def _left(sums: Sequence[Sums], before: Sequence[Adjustment]) -> dict[Team, int]:
    """Return what each team pays for its own time after the adjustments so far."""
    left: defaultdict[Team, int] = defaultdict(int)
    for row in sums:
        left[row.owner] += row.cost_quanta
    for each in before:
        left[each.owner] += each.cost_quanta
    return dict(left)


def _struck(session: Session, period: Period, book: PolicyBook) -> Struck:
    """Return the faults of a period, and who had what of the devices before them."""
    bounds = {"from_us": period.start_us, "to_us": period.end_us}
    faults = [_fault(row) for row in session.execute("fault_events", bounds).to_pylist()]
    policies = [entry.settings.fault_credit for entry in book.entries if entry.settings.fault_credit]
    longest_us = max(each.minutes for each in policies) * US_PER_MINUTE
    counted = [each for each in without_applications(faults) if any(each.counts(policy) for policy in policies)]
    if not counted or not longest_us:
        return Struck((), (), {})
    spans = [
        {"device_id": each.device, "start_us": max(period.start_us, each.at_us - longest_us), "end_us": each.at_us}
        for each in counted
    ]
    staged = {"fault_spans": pa.Table.from_pylist(spans, schema=SPANS)}
    pieces = [HeldPiece(**row) for row in session.execute("fault_held", tables=staged).to_pylist()]
    hours: dict[tuple[int, int, int], HolderHour] = {}
    for row in session.execute("fault_hours", bounds, staged).to_pylist():
        key = (row.pop("device_id"), row.pop("holder_id"), row.pop("start_us"))
        scope = PolicyScope(*(row.pop(name) for name in PolicyScope._fields))
        hours[key] = HolderHour(scope, **row)
    return Struck(faults, pieces, hours)


def _fault(row: dict[str, object]) -> Fault:
    details = msgspec.json.decode(str(row["details"]) or "{}", type=dict[str, str])
    xid = details.get("xid", "?") if row["kind"] == "xid" else ""
    return Fault(
        device=int(str(row["device_id"])),
        at_us=int(str(row["at_us"])),
        name=str(row["device"]),
        reason=details.get("reason", "") if not xid else "",
        xid=xid,
        xid_class=details.get("class", "unknown") if xid else "",
        harmless=bool(xid) and details.get("class") != "unknown" and details.get("action") in _HARMLESS,
    )
