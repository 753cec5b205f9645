"""Owner mapping: who pays for a holder, found by dated rules of which the first that matches wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gpuledger.accounting.directory import DIRECTORY_ATTRIBUTES, Directory
from gpuledger.accounting.globs import matches
from gpuledger.accounting.periods import iso
from gpuledger.accounting.validity import Dated, Validity

ATTRIBUTES: Final = (
    "namespace",
    "pod",
    "slurm_account",
    "slurm_partition",
    "user",
    "workload_system",
    "workload_name",
    "team_claim",
    "cluster",
    "pool",
    "kind",
    *DIRECTORY_ATTRIBUTES,
)
LABEL_PREFIX: Final = "label."
OWNER_FIELDS: Final = ("organisation", "department", "team", "project")
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")


class Owner(NamedTuple):
    """Who pays, from the widest to the narrowest; a level that is not known is empty."""

    organisation: str = ""
    department: str = ""
    team: str = ""
    project: str = ""


class OwnerRule(NamedTuple):
    """`owner` pays for every holder whose attributes match all of `match` (attribute and glob) while it is valid.

    A field of the owner may name attributes that the rule itself matches: `team = "{team_claim}"` takes the team that
    the holder claims, and says so. A pattern never matches an attribute that the holder does not have.
    """

    owner: Owner
    match: tuple[tuple[str, str], ...]
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the rule applies."""
        return Validity(self.from_us, self.to_us)


class Resolution(NamedTuple):
    """Which rule (by its place, from 0) named the owner, and the values that its patterns met."""

    owner: Owner
    rule: int
    because: tuple[tuple[str, str, str], ...]  # attribute, pattern, value

    def explain(self) -> str:
        """Return the reason in words."""
        met = ", ".join(_met({name: value}, name, pattern) for name, pattern, value in self.because)
        return f"rule {self.rule + 1}: {met}"


class Trial(NamedTuple):
    """What became of one rule (by its place, from 0) for a holder at an instant, and why."""

    rule: int
    applies: bool
    why: str


class OwnerMap:
    """Rules in the order of their file, and the directory that they may ask about a holder's user."""

    def __init__(self, rules: Sequence[OwnerRule], directory: Directory | None = None) -> None:
        self.rules = tuple(rules)
        self.directory = directory or Directory()

    def resolve(self, attributes: Mapping[str, str], at_us: int) -> Resolution | None:
        """Return the owner of a holder at `at_us`; None where no rule matches: the time is unattributed."""
        known = self.known(attributes, at_us)
        for number, rule in enumerate(self.rules):
            if rule.validity.holds_at(at_us) and meets(rule, known):
                because = tuple((name, pattern, known[name]) for name, pattern in rule.match)
                return Resolution(_filled(rule.owner, known), number, because)
        return None

    def known(self, attributes: Mapping[str, str], at_us: int) -> Mapping[str, str]:
        """Return all that rules may match about a holder at `at_us`: its attributes and its user's place."""
        place = self.directory.attributes(attributes.get("user", ""), at_us)
        return {**attributes, **place} if place else attributes

    def dated(self, attributes: Mapping[str, str]) -> list[Dated]:
        """Return all that can change who owns a holder over time: the rules, and the places of its user."""
        return [*self.rules, *self.directory.of(attributes.get("user", ""))]

    def trials(self, attributes: Mapping[str, str], at_us: int) -> list[Trial]:
        """Return what became of every rule for a holder at `at_us`: which decides, and why the others do not."""
        found = self.resolve(attributes, at_us)
        known = self.known(attributes, at_us)
        return [self._trial(number, known, at_us, found) for number in range(len(self.rules))]

    def _trial(self, number: int, known: Mapping[str, str], at_us: int, found: Resolution | None) -> Trial:
        rule = self.rules[number]
        if found is not None and found.rule == number:
            return Trial(number, applies=True, why=", ".join(_met(known, *pair) for pair in rule.match))
        if not rule.validity.holds_at(at_us):
            since, until = rule.validity
            words = [
                f"from {iso(since)}" if since is not None else "",
                f"until {iso(until)}" if until is not None else "",
            ]
            return Trial(number, applies=False, why=f"it holds {' '.join(filter(None, words))}")
        unmet = [_unmet(known, *pair) for pair in rule.match if not _pattern_met(known, *pair)]
        if not unmet and found is not None:
            return Trial(number, applies=False, why=f"it would match, but rule {found.rule + 1} comes before it")
        return Trial(number, applies=False, why=", ".join(unmet))


def known_attribute(name: str) -> bool:
    """Return whether a rule may match on `name`."""
    return name in ATTRIBUTES or (name.startswith(LABEL_PREFIX) and len(name) > len(LABEL_PREFIX))


def placeholders(owner: Owner) -> set[str]:
    """Return the attributes that the owner's fields name in braces."""
    return {name for field in owner for name in _PLACEHOLDER.findall(field)}


def attributes_used(rules: Iterable[OwnerRule]) -> set[str]:
    """Return the attributes that any of `rules` looks at."""
    return {name for rule in rules for name, _ in rule.match}


def meets(rule: OwnerRule, attributes: Mapping[str, str]) -> bool:
    """Return whether a holder has all that `rule` asks for, validity apart."""
    return all(_pattern_met(attributes, name, pattern) for name, pattern in rule.match)


def _pattern_met(attributes: Mapping[str, str], name: str, pattern: str) -> bool:
    value = attributes.get(name, "")
    return bool(value) and matches(pattern, value)


def _met(attributes: Mapping[str, str], name: str, pattern: str) -> str:
    return f'{name} "{attributes[name]}" matches "{pattern}"'


def _unmet(attributes: Mapping[str, str], name: str, pattern: str) -> str:
    value = attributes.get(name, "")
    return f'{name} "{value}" does not match "{pattern}"' if value else f"it has no {name}"


def _filled(owner: Owner, attributes: Mapping[str, str]) -> Owner:
    if not placeholders(owner):
        return owner
    return Owner(*(_PLACEHOLDER.sub(lambda found: attributes[found[1]], field) for field in owner))
