"""Events that are told once, and again only after what they tell of had ceased."""

from __future__ import annotations

from gpuledger.model import Event


class Once:
    """Lets an event through when its key was not there at the reading before."""

    def __init__(self) -> None:
        self._before: set[str] = set()
        self._now: set[str] = set()
        self._events: list[Event] = []

    def tell(self, key: str, event: Event) -> None:
        """Tell an event, unless it stands since an earlier reading."""
        if key not in self._before and key not in self._now:
            self._events.append(event)
        self._now.add(key)

    def turn(self) -> tuple[Event, ...]:
        """End a reading: return its new events."""
        events = tuple(self._events)
        self._before, self._now, self._events = self._now, set(), []
        return events
