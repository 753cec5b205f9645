"""Verifying a log offline, with its events, a public key and a checkpoint that somebody kept. Pure.

Events are read once and in order, so that a log of any length is verified in the memory of its checkpoints.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from collector.audit.checkpoints import Checkpoint
from collector.audit.events import FIRST_LINK, Link
from collector.audit.merkle import Frontier
from gpuledger.accounting.periods import iso
from gpuledger.errors import AuditError


class Verdict(NamedTuple):
    """What became of a log: how many events hold, and where not, the first bad sequence and what is wrong there."""

    events: int
    root: bytes
    checkpoints: int
    bad_sequence: int | None = None
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Return whether all of it holds."""
        return self.bad_sequence is None


def verify(entries: Iterable[bytes], checkpoints: Sequence[Checkpoint]) -> Verdict:
    """Return whether events follow each other unbroken, and are those that each checkpoint was made of.

    The signatures of the checkpoints have been checked already. Where events are not, those after the last checkpoint
    that holds are suspect: the first of them is named, or the very one that does not fit the chain.
    """
    waiting = sorted(checkpoints, key=lambda each: (each.size, each.at_us))
    tree, previous, at_us, held, good = Frontier(), FIRST_LINK, None, 0, 0
    waiting, wrong = _met(waiting, tree)
    if wrong:
        return Verdict(0, tree.root, 0, 0, wrong)
    good = len(checkpoints) - len(waiting)
    for entry in entries:
        detail, found = _follows(entry, tree.size, previous, at_us)
        if found is None:
            return Verdict(tree.size, tree.root, good, tree.size, detail)
        tree.add(found.leaf)
        previous, at_us = found.hash, found.at_us
        waiting, wrong = _met(waiting, tree)
        if wrong:
            return Verdict(tree.size, tree.root, good, held, wrong)
        if len(checkpoints) - len(waiting) > good:
            good, held = len(checkpoints) - len(waiting), tree.size
    if waiting:
        lost = (
            f"the log ends after {tree.size} events, and a checkpoint of {iso(waiting[0].at_us)} saw {waiting[0].size}"
        )
        return Verdict(tree.size, tree.root, good, tree.size, lost)
    return Verdict(tree.size, tree.root, good)


def _follows(entry: bytes, sequence: int, previous: bytes, at_us: int | None) -> tuple[str, Link | None]:
    """Return the event, or why it is not the one that comes next."""
    try:
        found = Link.parse(entry)
    except AuditError as error:
        return error.message, None
    if found.sequence != sequence:
        return f"event {found.sequence} stands where {sequence} should: removed, added or moved", None
    if found.previous != previous:
        return "it names another event before it than the one that is there", None
    if at_us is not None and found.at_us < at_us:
        return f"its time {iso(found.at_us)} lies before that of the event before it", None
    return "", found


def _met(waiting: list[Checkpoint], tree: Frontier) -> tuple[list[Checkpoint], str]:
    """Return the checkpoints that are still to come, and what is wrong with those of the tree's size."""
    while waiting and waiting[0].size == tree.size:
        if waiting[0].root != tree.root:
            when = iso(waiting[0].at_us)
            return waiting, f"the first {tree.size} events are not those that the checkpoint of {when} was made of"
        waiting = waiting[1:]
    return waiting, ""
