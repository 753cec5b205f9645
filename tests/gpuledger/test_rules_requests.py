"""A request at an instant follows from its steps alone: granted by enough people, ended by anything that ends it."""

from __future__ import annotations

import pytest

from gpuledger.accounting.intervals import Interval
from gpuledger.rules.approving import Requirement
from gpuledger.rules.book import Action, Outcome
from gpuledger.rules.requests import (
    APPROVING_ROLES,
    Request,
    State,
    Step,
    What,
    demanded,
    has_approved,
    in_force,
    standing,
)

FINANCE = Requirement(("finance",))
ASKED = Step(What.REQUESTED, 100, "ann", "why")


def approved(at_us: int, by: str = "bob", *roles: str) -> Step:
    return Step(What.APPROVED, at_us, by, roles=roles or ("finance",))


def request(*steps: Step, needs: tuple[Requirement, ...] = (FINANCE,), **times: int) -> Request:
    return Request(times.pop("expires_us", 1_000), needs, (ASKED, *steps), **{"from_us": None, "to_us": 5_000, **times})


def test_it_is_granted_by_the_approval_that_fills_the_last_place() -> None:
    """Before that it waits, and says for whom; both stay true of their instants."""
    found = request(approved(200), approved(300, "eve", "lead"), needs=(FINANCE, Requirement(("lead",))))
    assert standing(found, 199).state is State.WAITING
    assert standing(found, 299).needs == (Requirement(("lead",)),)
    granted = standing(found, 300)
    assert (granted.state, granted.since_us, granted.approved_by) == (State.GRANTED, 300, ("bob", "eve"))
    assert granted.effect == Interval(300, 5_000)
    assert has_approved(found, "BOB ")
    assert not has_approved(found, "ann")


def test_expiry_wins_at_its_instant() -> None:
    """The last instant before it is still in time; nothing of a request that nobody decided holds."""
    assert standing(request(), 999).state is State.WAITING
    expired = standing(request(), 1_000)
    assert (expired.state, expired.since_us, expired.effect) == (State.EXPIRED, 1_000, None)
    noted = request(Step(What.EXPIRED, 1_400, ""))
    assert standing(noted, 1_500) == expired
    assert standing(request(approved(200)), 1_000).state is State.GRANTED


@pytest.mark.parametrize(
    ("what", "state"),
    [(What.DENIED, State.DENIED), (What.WITHDRAWN, State.WITHDRAWN), (What.REFUSED, State.REFUSED)],
)
def test_what_ends_it_ends_it(what: What, state: State) -> None:
    """From its instant on, for ever."""
    found = request(Step(what, 200, "bob"))
    assert standing(found, 199).state is State.WAITING
    assert standing(found, 5_000).state is state
    assert standing(found, 5_000).effect is None


def test_an_effect_holds_within_its_time_and_never_before_it_was_granted() -> None:
    """Half-open; an effect that is ended early ends then, and one that is over was never longer."""
    found = request(approved(200), from_us=150)
    assert [at for at in (150, 199, 200, 4_999, 5_000) if in_force(found, at)] == [200, 4_999]
    later = request(approved(200), from_us=400)
    assert [at for at in (200, 399, 400) if in_force(later, at)] == [400]
    ended = request(approved(200), Step(What.ENDED, 700, "ann"))
    assert [at for at in (200, 699, 700) if in_force(ended, at)] == [200, 699]
    assert standing(ended, 699).effect == Interval(200, 5_000), "what was known then"
    assert standing(ended, 800).effect == Interval(200, 700)
    assert standing(request(approved(200), Step(What.ENDED, 300, "ann"), from_us=400), 500).effect is None
    done_once = request(approved(200))._replace(to_us=None)
    assert standing(done_once, 300).effect is None


def test_what_needs_nobody_is_granted_when_it_is_asked() -> None:
    """A rule that allows it is enough."""
    assert standing(request(needs=()), 100).state is State.GRANTED


def test_only_words_of_a_rule_grant_at_once() -> None:
    """No default does, and nothing does where two people have to look."""
    anybody = (Requirement(APPROVING_ROLES),)
    allowed = Outcome(Action.ALLOW, "r", 1)
    assert demanded(allowed, four_eyes=False) == ()
    assert demanded(allowed, four_eyes=True) == anybody
    assert demanded(Outcome(Action.ALLOW), four_eyes=False) == anybody
    assert demanded(Outcome(Action.HOLD, "r", 1), four_eyes=False) == anybody
    assert demanded(Outcome(Action.REFUSE), four_eyes=False) is None
    assert demanded(Outcome(Action.APPROVAL, "r", 1, approvals=(FINANCE,)), four_eyes=True) == (FINANCE,)
