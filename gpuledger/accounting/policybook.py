"""The policy book: dated entries, of which for each setting the most specific that applies decides.

Settings are looked up one by one: a team's entry that speaks of its basis alone leaves its free tier to another entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from gpuledger.accounting.globs import is_glob, literal_characters, matches, may_both_match
from gpuledger.accounting.idle_policy import PLATFORM
from gpuledger.accounting.policies import ALLOCATION, FaultCredit, FreeTier, Payer, Settings
from gpuledger.accounting.validity import Validity
from gpuledger.errors import PolicyBookError

OWNER_SCOPE: Final = ("organisation", "department", "team")


class PolicyScope(NamedTuple):
    """Whose time on which devices a policy is asked about; without an owner, time that nobody held."""

    organisation: str = ""
    department: str = ""
    team: str = ""
    pool: str = ""
    model: str = ""


class PolicyEntry(NamedTuple):
    """`settings` hold for all that match what it names, from when until when; an empty field is for all.

    `model` may be a pattern with `*` and `?`.
    """

    settings: Settings
    organisation: str = ""
    department: str = ""
    team: str = ""
    pool: str = ""
    model: str = ""
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the entry holds."""
        return Validity(self.from_us, self.to_us)

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, bool, int]:
        """Return how specific it is: of two that apply, the one with the larger rank decides."""
        exact = bool(self.model) and not is_glob(self.model)
        owner = (bool(self.team), bool(self.department), bool(self.organisation))
        return (*owner, bool(self.pool), exact, literal_characters(self.model))

    def applies(self, scope: PolicyScope) -> bool:
        """Tell whether it speaks of `scope`, validity apart."""
        named = all(not getattr(self, name) or getattr(self, name) == getattr(scope, name) for name in _EXACT)
        return named and (not self.model or matches(self.model, scope.model))

    def describe(self) -> str:
        """Return whom it is for, in words."""
        named = [f'{name} "{getattr(self, name)}"' for name in (*_EXACT, "model") if getattr(self, name)]
        return ", ".join(named) or "everybody"


class Found(NamedTuple):
    """What decides a setting: the entry by its place from 1 in the book (0: the default), and what it says."""

    entry: int
    value: str | Payer | FreeTier | FaultCredit


_EXACT: Final = (*OWNER_SCOPE, "pool")
_NOBODY_PAYS: Final = Found(0, PLATFORM)
_DEFAULTS: Final[dict[str, Found]] = {
    "basis": Found(0, ALLOCATION),
    "idle": _NOBODY_PAYS,
    "stranded": _NOBODY_PAYS,
    "unavailable": _NOBODY_PAYS,
    "unobserved": _NOBODY_PAYS,
    "free": Found(0, FreeTier()),
    "fault_credit": Found(0, FaultCredit()),
}


class PolicyBook:
    """Entries in the order of their file. Raises PolicyBookError where two could decide the same thing."""

    def __init__(self, entries: Sequence[PolicyEntry] = ()) -> None:
        self.entries = tuple(entries)
        self._found: dict[tuple[str, PolicyScope, int], Found] = {}
        for later in range(len(self.entries)):
            for earlier in range(later):
                _refuse_tie(self.entries, earlier, later)

    def find(self, setting: str, scope: PolicyScope, at_us: int) -> Found:
        """Return what decides `setting` for `scope` at `at_us`; the default where no entry speaks of it."""
        asked = (setting, scope, at_us)
        if asked not in self._found:
            self._found[asked] = self._search(setting, scope, at_us)
        return self._found[asked]

    def basis(self, scope: PolicyScope, at_us: int) -> tuple[int, str]:
        """Return by which basis the time of an owner is billed, and by which entry."""
        found = self.find("basis", scope, at_us)
        assert isinstance(found.value, str)
        return found.entry, found.value

    def payer(self, kind: str, scope: PolicyScope, at_us: int) -> tuple[int, str | Payer]:
        """Return who pays for time that nobody held, and by which entry; `scope` names no owner."""
        found = self.find(kind, scope, at_us)
        assert isinstance(found.value, str | Payer)
        return found.entry, found.value

    def free_tier(self, scope: PolicyScope, at_us: int) -> tuple[int, FreeTier]:
        """Return what an owner has free of the time that `scope` describes, and by which entry."""
        found = self.find("free", scope, at_us)
        assert isinstance(found.value, FreeTier)
        return found.entry, found.value

    def fault_credit(self, scope: PolicyScope, at_us: int) -> tuple[int, FaultCredit]:
        """Return which credit a fault gives to an owner, and by which entry."""
        found = self.find("fault_credit", scope, at_us)
        assert isinstance(found.value, FaultCredit)
        return found.entry, found.value

    def _search(self, setting: str, scope: PolicyScope, at_us: int) -> Found:
        applying = [
            (entry.rank, number)
            for number, entry in enumerate(self.entries, 1)
            if setting in entry.settings.stated and entry.validity.holds_at(at_us) and entry.applies(scope)
        ]
        if not applying:
            return _DEFAULTS[setting]
        _, number = max(applying)
        return Found(number, getattr(self.entries[number - 1].settings, setting))


def _refuse_tie(entries: Sequence[PolicyEntry], earlier: int, later: int) -> None:
    one, other = entries[earlier], entries[later]
    both = sorted(one.settings.stated & other.settings.stated)
    if not both or one.rank != other.rank or not one.validity.meets(other.validity) or not _may_meet(one, other):
        return
    raise PolicyBookError(
        f"entries {earlier + 1} and {later + 1} both say {both[0]} for {other.describe()} at the same time",
        hint='let one end ("to") where the other starts ("from"), or make one more specific',
    )


def _may_meet(one: PolicyEntry, other: PolicyEntry) -> bool:
    """Tell whether some owner and device could be meant by both: of equal rank, both name the same things."""
    if any(getattr(one, name) != getattr(other, name) for name in _EXACT):
        return False
    return may_both_match(one.model or "*", other.model or "*")
