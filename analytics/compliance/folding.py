"""Events that come often, as one line for all that are alike: how often, from when to when, and where. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from analytics.compliance.events import Event, Proof, moment

Key = TypeVar("Key", bound=Hashable)


@dataclass
class Fold:
    """Like events: how many there are, how often what they say happened, the first and the last of them."""

    first: Event
    last: Event
    events: int = 0
    times: int = 0

    def ref(self, proof: Proof) -> str:
        """Return where they are in the log."""
        return proof.ref(self.first.sequence, self.last.sequence, self.events)

    @property
    def when(self) -> str:
        """Return when the first was, and the last."""
        begin, end = moment(self.first.at_us), moment(self.last.at_us)
        return begin if begin == end else f"{begin} to {end}"


class Folds(Generic[Key]):
    """Folds by what makes events alike."""

    def __init__(self) -> None:
        self._by_key: dict[Key, Fold] = {}

    def add(self, key: Key, event: Event, times: int = 1) -> None:
        """Put an event to its like."""
        found = self._by_key.setdefault(key, Fold(event, event))
        found.last, found.events, found.times = event, found.events + 1, found.times + times

    def __iter__(self) -> Iterator[tuple[Key, Fold]]:
        return iter(self._by_key.items())

    def __len__(self) -> int:
        return len(self._by_key)

    @property
    def events(self) -> int:
        """Return how many events there are."""
        return sum(fold.events for fold in self._by_key.values())

    @property
    def times(self) -> int:
        """Return how often what they say happened."""
        return sum(fold.times for fold in self._by_key.values())
