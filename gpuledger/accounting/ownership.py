"""Owner mapping: who pays for a holder, found by dated rules of which the first that matches wins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from gpuledger.accounting.globs import matches
from gpuledger.accounting.validity import Validity

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
        met = ", ".join(f'{attribute} "{value}" matches "{pattern}"' for attribute, pattern, value in self.because)
        return f"rule {self.rule + 1}: {met}"


class OwnerMap:
    """Rules in the order of their file."""

    def __init__(self, rules: Sequence[OwnerRule]) -> None:
        self.rules = tuple(rules)

    def resolve(self, attributes: Mapping[str, str], at_us: int) -> Resolution | None:
        """Return the owner of a holder at `at_us`; None where no rule matches: the time is unattributed."""
        for number, rule in enumerate(self.rules):
            if rule.validity.holds_at(at_us) and meets(rule, attributes):
                because = tuple((name, pattern, attributes[name]) for name, pattern in rule.match)
                return Resolution(_filled(rule.owner, attributes), number, because)
        return None


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
    return all((value := attributes.get(name, "")) and matches(pattern, value) for name, pattern in rule.match)


def _filled(owner: Owner, attributes: Mapping[str, str]) -> Owner:
    if not placeholders(owner):
        return owner
    return Owner(*(_PLACEHOLDER.sub(lambda found: attributes[found[1]], field) for field in owner))
