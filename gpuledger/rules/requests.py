"""An approval request over time: what its recorded steps make of it at an instant. Pure.

Nothing is stored of a state. A request is open until enough different people approved it, somebody denied it or took
it back, or its time is over; from the instant at which it is granted its effect holds within its own time. What the
records say of an instant they say for ever.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from gpuledger.accounting.intervals import Interval
from gpuledger.rules.approving import Requirement, open_places, person
from gpuledger.rules.book import Action, Outcome

APPROVING_ROLES: Final = ("approver", "finance", "admin")  # who approves what no rule gives to others


class What(StrEnum):
    """A step of a request."""

    REQUESTED = "requested"
    REFUSED = "refused"  # by a rule, at once
    APPROVED = "approved"
    DENIED = "denied"
    WITHDRAWN = "withdrawn"  # before it was granted
    ENDED = "ended"  # after it was: its effect ends before its time
    EXPIRED = "expired"  # nobody did that: it is on record that time is over, which ends a request by itself


class State(StrEnum):
    """What a request is at an instant."""

    WAITING = "waiting"
    GRANTED = "granted"
    DENIED = "denied"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


_FINAL: Final = {What.REFUSED: State.REFUSED, What.DENIED: State.DENIED, What.WITHDRAWN: State.WITHDRAWN}


class Step(NamedTuple):
    """Something that somebody did about a request; of an approval, the roles that it was given in."""

    what: What
    at_us: int
    by: str
    why: str = ""
    roles: tuple[str, ...] = ()


class Request(NamedTuple):
    """What was asked, as far as its fate depends on it; the steps begin with the one that asks.

    It can be decided before `expires_us`. `[from_us, to_us)` is the time of its effect; without an end it has none of
    its own (it is done once).
    """

    expires_us: int
    requirements: tuple[Requirement, ...]
    steps: tuple[Step, ...]
    from_us: int | None = None
    to_us: int | None = None

    @property
    def requested_by(self) -> str:
        """Return who asked."""
        return self.steps[0].by


class Standing(NamedTuple):
    """What a request is at an instant, since when, who approved it, and what it still needs."""

    state: State
    since_us: int
    approved_by: tuple[str, ...]
    needs: tuple[Requirement, ...]
    effect: Interval | None  # of one that is granted: when its effect holds, cut where it was ended


def demanded(outcome: Outcome, *, four_eyes: bool) -> tuple[Requirement, ...] | None:
    """Return whose approvals a request needs by what rules decide about it; None: it is refused.

    Only a rule that allows it in so many words grants it at once, and never where two people have to look at it.
    """
    if outcome.action is Action.REFUSE:
        return None
    if outcome.action is Action.APPROVAL:
        return outcome.approvals
    if outcome.action is Action.ALLOW and outcome.place and not four_eyes:
        return ()
    return (Requirement(APPROVING_ROLES),)


def standing(request: Request, at_us: int) -> Standing:
    """Return what a request is at an instant, by the steps up to then."""
    approved: dict[str, Step] = {}
    granted_us = request.steps[0].at_us if not request.requirements else None
    ended_us = None
    for step in request.steps:
        if step.at_us > at_us:
            break
        if step.what in _FINAL:
            return _stands(request, _FINAL[step.what], step.at_us, approved)
        if step.what is What.ENDED:
            ended_us = step.at_us
        if step.what is What.APPROVED:
            approved[person(step.by)] = step
            if granted_us is None and not _left(request, approved):
                granted_us = step.at_us
    if granted_us is not None:
        found = _stands(request, State.GRANTED, granted_us, approved)
        return found._replace(effect=_effect(request, granted_us, ended_us))
    if at_us >= request.expires_us:
        return _stands(request, State.EXPIRED, request.expires_us, approved)
    return _stands(request, State.WAITING, request.steps[0].at_us, approved)


def in_force(request: Request, at_us: int) -> bool:
    """Return whether the effect of a request holds at an instant, by what was recorded up to then."""
    effect = standing(request, at_us).effect
    return effect is not None and effect.start_us <= at_us < effect.end_us


def has_approved(request: Request, who: str) -> bool:
    """Return whether somebody approved it already."""
    return any(step.what is What.APPROVED and person(step.by) == person(who) for step in request.steps)


def _stands(request: Request, state: State, since_us: int, approved: dict[str, Step]) -> Standing:
    needs = _left(request, approved) if state is State.WAITING else ()
    return Standing(state, since_us, tuple(step.by for step in approved.values()), needs, None)


def _left(request: Request, approved: dict[str, Step]) -> tuple[Requirement, ...]:
    return open_places(request.requirements, {who: step.roles for who, step in approved.items()})


def _effect(request: Request, granted_us: int, ended_us: int | None) -> Interval | None:
    """Return when the effect holds: never before it was granted, and nothing where it was ended before it began."""
    if request.to_us is None:
        return None
    start_us = max(granted_us, request.from_us or granted_us)
    end_us = request.to_us if ended_us is None else min(ended_us, request.to_us)
    return Interval(start_us, end_us) if start_us < end_us else None
