"""Conditions over facts, in three values: true, false, or unknown where a fact that they need is not there.

Logic is Kleene's: all of several is false where one is, any of several is true where one is, and what depends on
something unknown is unknown. `has` is the one question that is never unknown.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from gpuledger.accounting.globs import is_glob, matches
from gpuledger.accounting.money import Money
from gpuledger.rules.facts import Facts
from gpuledger.rules.fields import Value, write_value

Compared = Decimal | Money
OPERATORS: Final[dict[str, tuple[str, Callable[[Decimal, Decimal], bool]]]] = {
    "over": ("over", operator.gt),
    "at_least": ("at least", operator.ge),
    "below": ("below", operator.lt),
    "at_most": ("at most", operator.le),
}


class Truth(StrEnum):
    """Whether something holds."""

    TRUE = "true"
    FALSE = "false"
    UNKNOWN = "unknown"


class Verdict(NamedTuple):
    """Whether a condition holds, and by which of its clauses."""

    truth: Truth
    why: str


class OneOf(NamedTuple):
    """The fact is one of these; a text with `*` or `?` is a pattern, unless it is meant literally."""

    name: str
    wanted: tuple[Value, ...]
    literal: bool = False

    def judge(self, facts: Facts) -> Verdict:
        """Return whether it is."""
        value = facts.get(self.name)
        if value is None:
            return _not_known(self.name)
        if isinstance(value, Money) and not any(_same_currency(value, each) for each in self.wanted):
            return _other_currency(self.name, value, self.wanted[0])
        if value in self.wanted:
            return Verdict(Truth.TRUE, f"{self.name} is {_shown(value)}")
        met = not self.literal and any(_equal(each, value) for each in self.wanted)
        return _verdict(met, self.name, value, _any_of(self.wanted), "like" if met else "")


class Under(NamedTuple):
    """The owner is one of these, or beneath it: `acme/research` holds for `acme/research/vision`. A part may be `*`."""

    name: str
    wanted: tuple[str, ...]

    def judge(self, facts: Facts) -> Verdict:
        """Return whether it is."""
        value = facts.get(self.name)
        if not isinstance(value, str):
            return _not_known(self.name)
        met = any(is_under(value, each) for each in self.wanted)
        return _verdict(met, self.name, value, _any_of(self.wanted), "in")


class Bounds(NamedTuple):
    """The fact keeps all of these bounds: (operator, number or amount)."""

    name: str
    bounds: tuple[tuple[str, Compared], ...]

    def judge(self, facts: Facts) -> Verdict:
        """Return whether it does; an amount in another currency cannot be compared, which is unknown."""
        value = facts.get(self.name)
        if value is None:
            return _not_known(self.name)
        met: list[str] = []
        for how, bound in self.bounds:
            if isinstance(bound, Money) and isinstance(value, Money) and bound.currency != value.currency:
                return _other_currency(self.name, value, bound)
            words, holds = OPERATORS[how]
            if not holds(_number(value), _number(bound)):
                return _verdict(False, self.name, value, f"{words} {write_value(bound)}")
            met.append(f"{words} {write_value(bound)}")
        return _verdict(True, self.name, value, " and ".join(met))


class Has(NamedTuple):
    """The fact is there."""

    name: str

    def judge(self, facts: Facts) -> Verdict:
        """Return whether it is: never unknown."""
        found = self.name in facts
        return Verdict(Truth.TRUE if found else Truth.FALSE, f"it has {'' if found else 'no '}{self.name}")


class All(NamedTuple):
    """Every part holds; nothing to hold is true."""

    parts: tuple[Condition, ...]

    def judge(self, facts: Facts) -> Verdict:
        """Return the first part that does not hold, else the first that is unknown, else all of them."""
        return _weighed(self.parts, facts, Truth.FALSE, Truth.TRUE)


class Any(NamedTuple):
    """At least one part holds."""

    parts: tuple[Condition, ...]

    def judge(self, facts: Facts) -> Verdict:
        """Return the first part that holds, else the first that is unknown, else all of them."""
        return _weighed(self.parts, facts, Truth.TRUE, Truth.FALSE)


class Not(NamedTuple):
    """The part does not hold."""

    part: Condition

    def judge(self, facts: Facts) -> Verdict:
        """Return the opposite; of unknown that is unknown."""
        truth, why = self.part.judge(facts)
        opposite = {Truth.TRUE: Truth.FALSE, Truth.FALSE: Truth.TRUE}
        return Verdict(opposite.get(truth, Truth.UNKNOWN), why)


Condition = OneOf | Under | Bounds | Has | All | Any | Not
ALWAYS: Final = All(())


def names_in(condition: Condition) -> Iterator[str]:
    """Yield the names of the facts that a condition asks about."""
    if isinstance(condition, All | Any):
        for part in condition.parts:
            yield from names_in(part)
    elif isinstance(condition, Not):
        yield from names_in(condition.part)
    else:
        yield condition.name


def is_under(owner: str, pattern: str) -> bool:
    """Return whether an owner is what a path names, part by part, or beneath it."""
    parts, wanted = owner.split("/"), pattern.split("/")
    return len(parts) >= len(wanted) and all(map(_equal, wanted, parts))


def _equal(wanted: Value, value: Value) -> bool:
    if isinstance(wanted, str) and isinstance(value, str) and is_glob(wanted):
        return matches(wanted, value)
    return wanted == value


def _same_currency(value: Money, wanted: Value) -> bool:
    return isinstance(wanted, Money) and wanted.currency == value.currency


def _number(value: Value) -> Decimal:
    found = value.amount if isinstance(value, Money) else value
    assert isinstance(found, Decimal)
    return found


def _verdict(holds: bool, name: str, value: Value, wanted: str, how: str = "") -> Verdict:  # noqa: FBT001 - as found
    truth = Truth.TRUE if holds else Truth.FALSE
    words = ["is" if holds else "is not", how, wanted]
    return Verdict(truth, f"{name} {_shown(value)} {' '.join(filter(None, words))}")


def _not_known(name: str) -> Verdict:
    return Verdict(Truth.UNKNOWN, f"{name} is not known")


def _other_currency(name: str, value: Money, wanted: Value) -> Verdict:
    words = f"{name} {write_value(value)} cannot be held against {write_value(wanted)}: another currency"
    return Verdict(Truth.UNKNOWN, words)


def _any_of(wanted: Sequence[Value]) -> str:
    return " or ".join(_shown(each) for each in wanted)


def _shown(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else write_value(value)


def _weighed(parts: Sequence[Condition], facts: Facts, settles: Truth, otherwise: Truth) -> Verdict:
    """Return the first verdict that settles it, else the first unknown one, else all of them together."""
    unknown: Verdict | None = None
    whys: list[str] = []
    for part in parts:
        verdict = part.judge(facts)
        if verdict.truth is settles:
            return verdict
        if verdict.truth is Truth.UNKNOWN:
            unknown = unknown or verdict
        elif verdict.why:
            whys.append(verdict.why)
    return unknown or Verdict(otherwise, ", ".join(whys))
