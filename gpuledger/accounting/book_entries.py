"""Entries of books that say what an owner may have: those of one key follow each other in time, and stop by stages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from gpuledger.accounting.budgets import ACTIONS, NOTIFY, Stage
from gpuledger.accounting.validity import Validity


class Entry(Protocol):
    """A budget or a quota: `key` is the same in all entries of which one follows another."""

    @property
    def key(self) -> str:
        """Return what stays the same when the amount is another."""
        ...

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return its stages."""
        ...

    @property
    def validity(self) -> Validity:
        """Return when it holds."""
        ...


E = TypeVar("E", bound=Entry)


def by_key(entries: Iterable[E]) -> dict[str, list[E]]:
    """Return entries by their key, in their order."""
    found: dict[str, list[E]] = {}
    for each in entries:
        found.setdefault(each.key, []).append(each)
    return found


def turns(entries: Iterable[Entry], at_us: int) -> list[int]:
    """Return the instants from `at_us` on from which another entry may hold."""
    bounds = {edge_us for each in entries for edge_us in each.validity if edge_us is not None}
    return sorted({at_us, *(each for each in bounds if each > at_us)})


def holding(entries: Sequence[E], at_us: int) -> E | None:
    """Return the entry that holds at an instant; of one key there is no more than one."""
    return next((each for each in entries if each.validity.holds_at(at_us)), None)


def stops_less(old: Entry, new: Entry) -> bool:
    """Return whether something that stopped work is not stopped as early and as strictly by any stage of the other."""
    return any(
        not any(
            other.measure == stage.measure
            and ACTIONS.index(other.action) >= ACTIONS.index(stage.action)
            and other.percent_millis <= stage.percent_millis
            for other in new.stages
        )
        for stage in old.stages
        if stage.action != NOTIFY
    )
