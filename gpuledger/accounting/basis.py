"""The basis that held time is billed by: what was held, what was used, or the larger of the two.

Charges are what was held (`allocation`). By `usage` a holder pays for its active time, and what it held and did not
use goes to the platform; held time whose activity nobody observed stays charged as held, for unknown is not idle. By
`max` a holder that was active for more than its share of a shared device pays, hour by hour, for what it used.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from gpuledger.accounting.held import Sums, Team
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.moves import Move, in_hours, unpriced_note
from gpuledger.accounting.policies import MAX, USAGE
from gpuledger.accounting.policybook import PolicyBook


class Shift(NamedTuple):
    """What the basis adds to the cost of one row of sums, and by which entry; below zero it takes away."""

    sums: Sums
    entry: int
    basis: str
    quanta: int


def shifts(sums: Iterable[Sums], book: PolicyBook) -> list[Shift]:
    """Return what other bases than allocation change, row by row."""
    found = []
    for row in sums:
        if not row.owned or not row.held:
            continue
        entry, basis = book.basis(row.scope, row.spell_us)
        if basis == USAGE and row.state and (row.unused_quanta or row.unpriced_part_us):
            found.append(Shift(row, entry, basis, -row.unused_quanta))
        elif basis == MAX and row.excess_quanta:
            found.append(Shift(row, entry, basis, row.excess_quanta))
    return found


def basis_moves(shifted: Iterable[Shift], during: Interval) -> list[Move]:
    """Return the moves of shifts: one for each owner, kind of device and state."""
    groups: defaultdict[tuple[Team, str, str, str, int, str], list[Shift]] = defaultdict(list)
    for shift in shifted:
        row = shift.sums
        groups[row.owner, row.project, row.model, row.mig_profile, row.state, shift.basis].append(shift)
    return [_move(groups[key], during) for key in sorted(groups)]


def _move(group: list[Shift], during: Interval) -> Move:
    first = group[0].sums
    part_us = sum(each.sums.part_us for each in group)
    active_us = sum(each.sums.active_part_us for each in group)
    unseen_us = sum(each.sums.unseen_part_us for each in group)
    unpriced_us = sum(each.sums.unpriced_part_us for each in group)
    note = unpriced_note(unpriced_us)
    if group[0].basis == USAGE:
        seen = f" and {in_hours(unseen_us)} not observed" if unseen_us else ""
        because = f"billed by usage: {in_hours(active_us)} active{seen} of {in_hours(part_us)} held"
        shared = "held and not used by teams that are billed by usage"
        about_us = max(0, part_us - unpriced_us - active_us - unseen_us)
    else:
        because = "billed by the larger of held and used: used more than its share of shared devices"
        shared = "used beyond its share by teams that are billed by the larger of held and used"
        about_us = 0
    return Move(
        owner=first.owner,
        project=first.project,
        model=first.model,
        mig_profile=first.mig_profile,
        state=first.state,
        part_us=about_us,
        quanta=sum(each.quanta for each in group),
        because=because + note,
        shared=shared + note,
        during=during,
    )
