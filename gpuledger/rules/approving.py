"""Whose approvals a decision needs, and whether those that were given are enough. Pure.

One person counts once: who has two roles fills one of two places, so that what needs two people gets two.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec


class Requirement(msgspec.Struct, frozen=True):
    """`count` different people, each with at least one of `roles`."""

    roles: tuple[str, ...]
    count: int = 1

    @property
    def words(self) -> str:
        """Return it in words: `2 of finance or approver`."""
        return f"{self.count} of {' or '.join(self.roles)}"


def person(name: str) -> str:
    """Return what is the same for all ways to write one name: spaces, case, and how its letters are encoded."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def open_places(
    requirements: Sequence[Requirement], approvals: Mapping[str, Collection[str]]
) -> tuple[Requirement, ...]:
    """Return what is still needed beside the approvals that were given: by whom, and which roles they have.

    People are put to places so that as many as can be are filled, whatever the order in which they approved.
    """
    places = [each.roles for each in requirements for _ in range(each.count)]
    seated: dict[int, str] = {}
    for who in sorted(approvals):
        _seat(who, places, approvals, seated, set())
    left = Counter(roles for number, roles in enumerate(places) if number not in seated)
    return tuple(Requirement(roles, count) for roles, count in left.items())


def may_fill(requirements: Sequence[Requirement], roles: Collection[str]) -> bool:
    """Return whether somebody with these roles counts for any of the requirements."""
    return any(not set(each.roles).isdisjoint(roles) for each in requirements)


def people(requirements: Sequence[Requirement]) -> int:
    """Return how many people requirements ask for."""
    return sum(each.count for each in requirements)


def in_words(requirements: Sequence[Requirement]) -> str:
    """Return requirements in words: `2 of finance and 1 of team lead`."""
    return " and ".join(each.words for each in requirements) or "nobody"


def _seat(
    who: str,
    places: Sequence[Sequence[str]],
    approvals: Mapping[str, Collection[str]],
    seated: dict[int, str],
    tried: set[int],
) -> bool:
    """Find a place for somebody, where needed by moving others to places that suit them as well."""
    for number, roles in enumerate(places):
        if number in tried or set(roles).isdisjoint(approvals[who]):
            continue
        tried.add(number)
        if number not in seated or _seat(seated[number], places, approvals, seated, tried):
            seated[number] = who
            return True
    return False
