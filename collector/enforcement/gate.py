"""May this work start? Rules first, then budgets and quotas; what that means for the scheduler is the mode's. Pure.

A rule that decides has the last word, also over a spent budget: an exception is a rule, and rules are on record. In the
mode `shadow` everything is allowed, and the answer says what would not have been.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from collector.enforcement.asks import Ask, in_gpus
from gpuledger.accounting.ownership import Owner


class Mode(StrEnum):
    """Whether refusals act."""

    ENFORCE = "enforce"
    SHADOW = "shadow"
    OFF = "off"


class Result(StrEnum):
    """What is decided, from the mildest to the strictest."""

    ALLOW = "allow"
    HOLD = "hold"  # it may start once somebody has decided, or once there is room again
    REFUSE = "refuse"


_STRICT: Final = list(Result)


class Ruling(NamedTuple):
    """What one instance says, by which rule, and why."""

    result: Result
    rule: str = ""
    reasons: tuple[str, ...] = ()


class Judgement(NamedTuple):
    """What was decided of an ask, for whom, and what would be decided were rules in shadow enforced."""

    ruling: Ruling
    owner: Owner | None
    shadowed: Ruling | None = None


class Answer(NamedTuple):
    """What the scheduler is told: whether to start, hold or refuse, the message to whom it is refused, and warnings."""

    result: Result
    message: str
    warnings: tuple[str, ...]


ALLOWED: Final = Ruling(Result.ALLOW)


def strictest(rulings: Sequence[Ruling]) -> Ruling:
    """Return one ruling for all: the strictest result, with the reasons of those that come to it."""
    worst = max((each.result for each in rulings), key=_STRICT.index, default=Result.ALLOW)
    heard = [each for each in rulings if each.result is worst]
    reasons = dict.fromkeys(reason for each in heard for reason in each.reasons)
    return Ruling(worst, heard[0].rule if heard else "", tuple(reasons))


def strictness(found: Judgement) -> tuple[int, int]:
    """Return an order of judgements: the strictest last, then what rules in shadow would say."""
    shadowed = found.shadowed.result if found.shadowed else Result.ALLOW
    return _STRICT.index(found.ruling.result), _STRICT.index(shadowed)


def combine(by_rules: Ruling | None, by_limits: Ruling) -> Ruling:
    """Return what holds: what a rule decided, else what budgets and quotas say."""
    return by_limits if by_rules is None else by_rules


def answer_in(mode: Mode, ask: Ask, found: Judgement) -> Answer:
    """Return what a scheduler is told in a mode, in words for the person who wanted the GPUs."""
    would, notes = found.ruling, [f"gpuledger: {note}" for note in ask.notes]
    if would.result is Result.ALLOW:
        shadow = found.shadowed
        told = [f"gpuledger (shadow): {_words(ask, found.owner, shadow)}"] if shadow else []
        return Answer(Result.ALLOW, "", (*told, *notes))
    words = _words(ask, found.owner, would)
    if mode is Mode.ENFORCE:
        return Answer(would.result, f"gpuledger: {words}", tuple(notes))
    return Answer(Result.ALLOW, "", (f"gpuledger (shadow, allowed): {words}", *notes))


def _words(ask: Ask, owner: Owner | None, ruling: Ruling) -> str:
    """Return what was refused, why, and what to do."""
    whose = owner_path(owner) or "no known owner"
    why = "; ".join(ruling.reasons) or "no reason is given"
    by = f" (rule {ruling.rule})" if ruling.rule else ""
    wish = f"{ask.what} asks for {in_gpus(ask.parts)} GPUs for {whose}"
    return f"{wish}: {_VERB[ruling.result]}: {why}{by}. {_next(ask, owner)}"


_VERB: Final = {Result.HOLD: "held", Result.REFUSE: "refused", Result.ALLOW: "allowed"}


def _next(ask: Ask, owner: Owner | None) -> str:
    if owner is None:
        return f"An owner rule has to name who pays: gpuledger owner explain shows which match ({ask.what})"
    return 'Ask for more: "gpuledger approval request", or free GPUs of this team'


def owner_path(owner: Owner | None) -> str:
    """Return an owner as rules and approvals write it: `acme/research/vision`, without levels that are not known."""
    return "/".join(filter(None, owner)) if owner else ""


@lru_cache(maxsize=8192)
def payer_of(owner: Owner | None) -> str:
    """Return an owner as far as budgets and quotas go: to the team."""
    return "/".join(filter(None, owner[:3])) if owner else ""
