"""The directory of people: which team and department each user belongs to, and since when."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final, NamedTuple

from gpuledger.accounting.validity import Validity
from gpuledger.errors import OwnerMappingError

DIRECTORY_PREFIX: Final = "directory."
DIRECTORY_ATTRIBUTES: Final = ("directory.team", "directory.department")


class Membership(NamedTuple):
    """One user's place from one instant until another; who moves has several."""

    user: str
    team: str
    department: str = ""
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the user is there."""
        return Validity(self.from_us, self.to_us)


class Directory:
    """All memberships. Raises OwnerMappingError where a user would be in two places at once."""

    def __init__(self, memberships: Sequence[Membership] = ()) -> None:
        self.memberships = tuple(memberships)
        self._by_user: defaultdict[str, list[Membership]] = defaultdict(list)
        for number, membership in enumerate(self.memberships, 1):
            mine = self._by_user[membership.user]
            if any(membership.validity.meets(other.validity) for other in mine):
                raise OwnerMappingError(
                    f'entry {number}: user "{membership.user}" is in two teams at the same time',
                    hint='end the earlier one with "to" where this one starts with "from"',
                )
            mine.append(membership)

    def of(self, user: str) -> Sequence[Membership]:
        """Return the places of a user over time."""
        return self._by_user.get(user, ())

    def attributes(self, user: str, at_us: int) -> dict[str, str]:
        """Return what owner rules may match about a user at an instant; nothing for one who is in no place then."""
        for place in self.of(user):
            if place.validity.holds_at(at_us):
                found = {"directory.team": place.team, "directory.department": place.department}
                return {name: value for name, value in found.items() if value}
        return {}
