"""Whose the pods of a namespace are, as far as the owner mapping says so by the namespace's name alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from collector.enforcement.gate import payer_of
from gpuledger.accounting.globs import is_glob, matches
from gpuledger.accounting.ownership import OwnerMap


class Namespaces(NamedTuple):
    """Owners (paths to the team) by the names of namespaces, and what could not be said of a namespace."""

    owners: dict[str, str]
    notes: tuple[str, ...]


def namespaces_of(owners: OwnerMap, seen: Iterable[str], cluster: str, at_us: int) -> Namespaces:
    """Return the owners of all namespaces that a rule names in so many words, and of those that pods were seen in.

    `cluster` as agents name it; empty: rules that ask for one do not match.
    """
    valid = [(number, rule) for number, rule in enumerate(owners.rules, 1) if rule.validity.holds_at(at_us)]
    named = [
        pattern for _, rule in valid for name, pattern in rule.match if name == "namespace" and not is_glob(pattern)
    ]
    found: dict[str, str] = {}
    notes = []
    for namespace in sorted({*named, *seen}):
        whole = owners.resolve({"kind": "pod", "namespace": namespace, "cluster": cluster}, at_us)
        others = [
            f"{number}"
            for number, rule in valid
            if (whole is None or number <= whole.rule)
            and any(name == "namespace" and matches(pattern, namespace) for name, pattern in rule.match)
        ]
        if whole:
            found[namespace] = payer_of(whole.owner)
        if others:
            notes.append(f"namespace {namespace}: by owner rule {', '.join(others)} whose it is depends on more")
    return Namespaces(found, tuple(notes))
