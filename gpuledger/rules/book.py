"""A rule book: which rule decides about something, and what became of every other one.

The order of the file is the order of precedence: the first enforced rule that matches and decides does decide, as in
the owner mapping. Rules that only notify decide nothing: all that match do notify. A rule in shadow is tried at its
place, and what it would have changed is told beside the decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from gpuledger.accounting.periods import iso
from gpuledger.accounting.validity import Validity
from gpuledger.rules.approving import Requirement, person
from gpuledger.rules.conditions import ALWAYS, All, Condition, Truth, Verdict, is_under
from gpuledger.rules.facts import Facts


class Action(StrEnum):
    """What a rule says is done."""

    ALLOW = "allow"
    REFUSE = "refuse"
    HOLD = "hold"  # it waits until somebody decides
    APPROVAL = "approval"  # it waits until those have approved that the rule names
    NOTIFY = "notify"  # somebody is told, and the next rules decide


class Mode(StrEnum):
    """Whether a rule acts."""

    ENFORCE = "enforce"
    SHADOW = "shadow"  # it is recorded what it would have done
    OFF = "off"


class Became(StrEnum):
    """What became of one rule."""

    DECIDES = "decides"
    NOTIFIES = "notifies"
    WOULD = "would decide"  # but is in shadow
    LATER = "comes later"  # it matches, and a rule before it decided
    NO = "does not match"
    UNKNOWN = "unknown"
    OFF = "off"


class Rule(NamedTuple):
    """`action` for all that the filter lets through and the condition holds for, from when until when.

    Both are conditions; the filter says what the rule is about at all, the condition when it acts on that.
    """

    name: str
    action: Action
    filter: Condition = ALWAYS
    when: Condition = ALWAYS
    mode: Mode = Mode.ENFORCE
    because: str = ""
    approvals: tuple[Requirement, ...] = ()
    notify: tuple[str, ...] = ()
    from_us: int | None = None
    to_us: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when it holds."""
        return Validity(self.from_us, self.to_us)

    def judge(self, facts: Facts, at_us: int) -> Verdict:
        """Return whether it matches, by which of its clauses; its mode apart."""
        if self.validity.holds_at(at_us):
            verdict = All((self.filter, self.when)).judge(facts)
            return verdict if verdict.why else verdict._replace(why="it is for everything")
        since, until = self.validity
        spans = (f"from {iso(since)}" if since is not None else "", f"until {iso(until)}" if until is not None else "")
        return Verdict(Truth.FALSE, f"it holds {' '.join(filter(None, spans))}")


class Approver(NamedTuple):
    """Somebody who may approve, in which roles, for which owner and all beneath it; nobody named: all of them."""

    name: str
    roles: tuple[str, ...]
    owner: str = ""


class Outcome(msgspec.Struct, frozen=True):
    """What is done, by which rule (its name, and its place from 1; 0: no rule decides), why, and who is told."""

    action: Action
    rule: str = ""
    place: int = 0
    because: str = ""
    approvals: tuple[Requirement, ...] = ()
    notify: tuple[str, ...] = ()


class Trial(msgspec.Struct, frozen=True):
    """What became of one rule, and by which of its clauses."""

    rule: str
    place: int
    mode: Mode
    action: Action
    became: Became
    why: str


class Decision(msgspec.Struct, frozen=True):
    """What is done, what would be done if the rules in shadow were enforced, and what became of each rule."""

    outcome: Outcome
    shadow: Outcome
    trials: tuple[Trial, ...]

    @property
    def differs(self) -> bool:
        """Return whether rules in shadow would have changed what is done."""
        return (self.outcome.action, self.outcome.approvals) != (self.shadow.action, self.shadow.approvals)


class RuleBook(NamedTuple):
    """Rules in the order of their file, what is done where none decides, who may approve, and whose clocks count."""

    rules: tuple[Rule, ...] = ()
    default: Action = Action.ALLOW
    approvers: tuple[Approver, ...] = ()
    zone: str = ""  # the ledger's

    def decide(self, facts: Facts, at_us: int) -> Decision:
        """Return what is done about something with these facts at an instant. Total: there is always an answer."""
        trials: list[Trial] = []
        enforced, shadowed = _Found(), _Found()
        for place, rule in enumerate(self.rules, 1):
            if rule.mode is Mode.OFF:
                trials.append(Trial(rule.name, place, rule.mode, rule.action, Became.OFF, "it is off"))
                continue
            truth, why = rule.judge(facts, at_us)
            found = [shadowed] if rule.mode is Mode.SHADOW else [enforced, shadowed]
            became = _UNMATCHED.get(truth) or _taken(rule, place, found)
            trials.append(Trial(rule.name, place, rule.mode, rule.action, became, why))
        return Decision(enforced.outcome(self.default), shadowed.outcome(self.default), tuple(trials))

    def roles_of(self, name: str, owner: str) -> frozenset[str]:
        """Return the roles in which somebody may approve what is asked for an owner (nobody: the platform)."""
        mine = [each for each in self.approvers if person(each.name) == person(name)]
        return frozenset(role for each in mine if not each.owner or is_under(owner, each.owner) for role in each.roles)


_UNMATCHED: Final = {Truth.FALSE: Became.NO, Truth.UNKNOWN: Became.UNKNOWN}


class _Found:
    """What was found on the way through the rules."""

    def __init__(self) -> None:
        self.rule: Rule | None = None
        self.place = 0
        self.notify: list[str] = []

    def outcome(self, default: Action) -> Outcome:
        """Return it as what is done."""
        rule = self.rule
        told = tuple(dict.fromkeys([*self.notify, *(rule.notify if rule else ())]))
        if rule is None:
            return Outcome(default, notify=told)
        return Outcome(rule.action, rule.name, self.place, rule.because, rule.approvals, told)


def _taken(rule: Rule, place: int, found: Sequence[_Found]) -> Became:
    """Put a rule that matches to where it counts: in what is decided, in what would be, or nowhere any more."""
    if rule.action is Action.NOTIFY:
        for each in found:
            each.notify += rule.notify
        return Became.NOTIFIES
    free = [each for each in found if each.rule is None]
    for each in free:
        each.rule, each.place = rule, place
    if found[0] not in free:
        return Became.LATER
    return Became.WOULD if rule.mode is Mode.SHADOW else Became.DECIDES
