"""Which labels and annotations of a pod go with its holder: those that are allowed, bounded in number and length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from typing import Final

from agent.identity.facts import PodMetadata

MAX_LABELS: Final = 64
MAX_LENGTH: Final = 256

_MAX_KEPT: Final = 1_024


class LabelFilter:
    """Patterns of names (`app.kubernetes.io/*`). What a pod has is looked through once, until it changes."""

    def __init__(self, patterns: Iterable[str], more: Callable[[], frozenset[str]] = frozenset) -> None:
        """Allow these names, and those of `more`, which may change (rules are read again)."""
        self._patterns = tuple(patterns)
        self._more = more
        self._named = more()
        self._allowed = _compiled((*self._patterns, *self._named))
        self._kept: dict[str, tuple[PodMetadata, dict[str, str]]] = {}

    def refresh(self) -> None:
        """See whether other names are allowed now."""
        named = self._more()
        if named != self._named:
            self._named, self._allowed = named, _compiled((*self._patterns, *named))
            self._kept.clear()

    def select(self, pod: PodMetadata) -> dict[str, str]:
        """Return what is allowed; a label comes before an annotation of its name."""
        kept = self._kept.get(pod.uid)
        if kept is not None and kept[0].labels is pod.labels and kept[0].annotations is pod.annotations:
            return kept[1]
        found = self._look_through(pod)
        if len(self._kept) >= _MAX_KEPT:
            self._kept.clear()
        self._kept[pod.uid] = (pod, found)
        return found

    def _look_through(self, pod: PodMetadata) -> dict[str, str]:
        found: dict[str, str] = {}
        for values in (pod.labels, pod.annotations):
            for name in sorted(values):
                if len(found) < MAX_LABELS and self._allowed and self._allowed.match(name):
                    found.setdefault(name, values[name][:MAX_LENGTH])
        return found


def _compiled(patterns: Iterable[str]) -> re.Pattern[str] | None:
    expressions = [translate(pattern) for pattern in sorted(set(patterns))]
    return re.compile("|".join(expressions)) if expressions else None
