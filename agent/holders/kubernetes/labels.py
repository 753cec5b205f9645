"""Which labels and annotations of a pod go with its holder: those that are allowed, bounded in number and length."""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

from agent.holders.kubernetes.metadata import PodMetadata

MAX_LABELS: Final = 64
MAX_LENGTH: Final = 256

_MAX_KEPT: Final = 1_024


class LabelFilter:
    """Patterns of names (`app.kubernetes.io/*`). What a pod has is looked through once, until it changes."""

    def __init__(self, patterns: Iterable[str]) -> None:
        names = [translate(pattern) for pattern in dict.fromkeys(patterns)]
        self._allowed = re.compile("|".join(names)) if names else None
        self._kept: dict[str, tuple[PodMetadata, dict[str, str]]] = {}

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
