"""Any sequence of requests, decisions, new rules and time: nothing holds that the rules of its instant did not grant."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from collector.governance.effects import Effect, effects_at
from collector.governance.requests import approve, deny, note_expired, request_approval, withdraw
from collector.governance.rulebooks import import_rules
from collector.governance.wanted import Asked
from collector.ledger.store import Ledger
from collector.queries.approvals import approvals
from collector.queries.audit import audit
from collector.queries.entered import entered
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import GpuLedgerError
from tests.collector.ask import ask
from tests.collector.fleet import owners, prices
from tests.collector.governed import OWNERS, PRICES, Clock

PEOPLE = ("ann", "bob", "eve", "kim")
ROLES = {"ann": {"finance"}, "bob": {"finance"}, "eve": {"finance", "lead"}, "kim": {"lead"}}
APPROVERS = "".join(f'[[approvers]]\nname = "{who}"\nroles = {sorted(roles)}\n' for who, roles in ROLES.items())
NEEDS: dict[str, list[set[str]]] = {  # the places of each book's requests, by its own words
    "one": [{"finance"}],
    "two": [{"finance"}, {"finance"}],
    "both": [{"finance"}, {"lead"}],
}
BOOKS = {
    name: '[[rule]]\nname = "r"\naction = "approval"\napprovals = ['
    + ", ".join(f"{{ roles = {sorted(place)} }}" for place in places)
    + f"]\n{APPROVERS}"
    for name, places in NEEDS.items()
}


class Expected:
    """What the model knows of a request."""

    def __init__(self, by: str, places: list[set[str]], *, money: bool, now_us: int, days: int) -> None:
        self.by, self.places, self.money = by, places, money
        self.expires_us = now_us + days * US_PER_DAY
        self.to_us = now_us + 20 * US_PER_DAY
        self.approved: list[str] = []
        self.state = "waiting"

    def at(self, now_us: int) -> str:
        return "expired" if self.state == "waiting" and now_us >= self.expires_us else self.state

    def enough(self, people: Sequence[str]) -> bool:
        """Tell by trying every order whether people fill all places."""
        return any(
            all(ROLES[who] & place for who, place in zip(seated, self.places, strict=True))
            for seated in itertools.permutations(people, len(self.places))
        )


class Requests(RuleBasedStateMachine):
    """Everything that people may do about requests, in any order, on a real ledger."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.clock = Clock()
        self.ledger = Ledger.open(self.directory, clock=self.clock)
        self.known: dict[int, Expected] = {}
        self.history: list[Any] = []
        self.answers: dict[int, list[Effect]] = {}
        self.book = "one"

    def teardown(self) -> None:
        self.ledger.close()
        shutil.rmtree(self.directory)

    @initialize()
    def begin(self) -> None:
        prices(self.ledger, PRICES)
        owners(self.ledger, OWNERS)
        self.use("one")

    @rule(book=st.sampled_from(sorted(BOOKS)))
    def other_rules(self, book: str) -> None:
        self.use(book)

    def use(self, book: str) -> None:
        import_rules(self.ledger, BOOKS[book].encode(), "toml", source="r", imported_us=self.clock.us)
        self.book = book

    @rule(hours=st.sampled_from([1, 24, 24 * 5, 24 * 14]))
    def time_passes(self, hours: int) -> None:
        with self.ledger.snapshot() as session:
            self.answers[self.clock.us] = effects_at(session, self.clock.us)
        self.clock.us += hours * US_PER_DAY // 24

    @rule(by=st.sampled_from(PEOPLE), money=st.booleans(), days=st.integers(1, 9))
    def request(self, by: str, *, money: bool, days: int) -> None:
        wanted = (
            {"amount": "50", "currency": "EUR"} if money else {"gpus": "4", "to": iso(self.clock.us + 20 * US_PER_DAY)}
        )
        expires = iso(self.clock.us + days * US_PER_DAY)
        kind = "adjustment" if money else "quota"
        asked = Asked(kind=kind, by=by, why="w", owner="vision", expires=expires, **wanted)
        number = request_approval(self.ledger, asked)
        self.known[number] = Expected(by, NEEDS[self.book], money=money, now_us=self.clock.us, days=days)

    @precondition(lambda self: self.known)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE), write=st.sampled_from([str.upper, str.title, str.lower]))
    def approve(self, data: st.DataObject, who: str, write: Callable[[str], str]) -> None:
        number, expected = self.choose(data)
        if self.does(lambda: approve(self.ledger, number, by=write(who))):
            assert expected.at(self.clock.us) == "waiting"
            assert who not in {expected.by, *expected.approved}
            assert any(ROLES[who] & place for place in expected.places)
            expected.approved.append(who)
            expected.state = "granted" if expected.enough(expected.approved) else "waiting"
        elif expected.at(self.clock.us) == "waiting" and who not in {expected.by, *expected.approved}:
            assert not self.helps(expected, who), "who was needed was turned away"

    def helps(self, expected: Expected, who: str) -> bool:
        """Tell whether one more place can be filled with somebody than without."""

        def most(people: list[str]) -> int:
            return max(
                len(chosen)
                for count in range(len(people) + 1)
                for chosen in itertools.combinations(people, count)
                if count <= len(expected.places) and self.seats(expected, chosen)
            )

        return most([*expected.approved, who]) > most(expected.approved)

    def seats(self, expected: Expected, people: Sequence[str]) -> bool:
        return any(
            all(ROLES[who] & place for who, place in zip(people, places, strict=True))
            for places in itertools.permutations(expected.places, len(people))
        )

    @precondition(lambda self: self.known)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def deny(self, data: st.DataObject, who: str) -> None:
        number, expected = self.choose(data)
        if self.does(lambda: deny(self.ledger, number, by=who, why="no")):
            assert expected.at(self.clock.us) == "waiting"
            assert who != expected.by
            assert any(ROLES[who] & place for place in expected.places)
            expected.state = "denied"

    @precondition(lambda self: self.known)
    @rule(data=st.data(), who=st.sampled_from(PEOPLE))
    def withdraw(self, data: st.DataObject, who: str) -> None:
        number, expected = self.choose(data)
        before = expected.at(self.clock.us)
        if self.does(lambda: withdraw(self.ledger, number, by=who, why="no")):
            assert before == "granted" or (before == "waiting" and who == expected.by)
            if before == "waiting":
                expected.state = "withdrawn"
            else:
                assert not expected.money, "what is on a bill is not taken back here"
                expected.to_us = self.clock.us

    @rule()
    def expire(self) -> None:
        with self.ledger.transaction() as session:
            note_expired(session, self.clock.us)

    def choose(self, data: st.DataObject) -> tuple[int, Expected]:
        number = data.draw(st.sampled_from(sorted(self.known)))
        return number, self.known[number]

    def does(self, act: Any) -> bool:
        try:
            act()
        except GpuLedgerError:
            return False
        return True

    @invariant()
    def the_ledger_says_what_the_model_says(self) -> None:
        now_us = self.clock.us
        for row in approvals(self.ledger).rows:
            expected = self.known[row.approval]
            assert row.state == expected.at(now_us)
            holds = expected.state == "granted" and not expected.money and now_us < expected.to_us
            assert row.in_force == holds
            if row.state == "granted":
                assert expected.enough([who.lower() for who in row.approved_by.split(", ")])
                assert expected.by not in row.approved_by.lower().split(", ")
            assert bool(row.made) == (expected.money and expected.state == "granted")
        made = sum(each.money and each.state == "granted" for each in self.known.values())
        assert len(entered(self.ledger).rows) == made

    @invariant()
    def history_only_grows(self) -> None:
        found = [
            *ask(self.ledger, "SELECT 0, * FROM approval_requests ORDER BY approval_id"),
            *ask(self.ledger, "SELECT 1, * FROM approval_steps ORDER BY approval_id, step"),
            *ask(self.ledger, "SELECT 2, * FROM rule_decisions ORDER BY decision_id"),
        ]
        assert [row for row in self.history if row not in found] == []
        self.history = found
        with self.ledger.snapshot() as session:
            for at_us, answer in self.answers.items():
                assert effects_at(session, at_us) == answer, "what held then held then"

    @invariant()
    def every_step_has_its_event(self) -> None:
        acts = [row.act for row in audit(self.ledger, None, act="", actor="", limit=100_000).rows]
        steps = [what for (what,) in ask(self.ledger, "SELECT what FROM approval_steps")]
        names = {
            "requested": "approval.request", "approved": "approval.approve", "denied": "approval.deny",
            "withdrawn": "approval.withdraw", "ended": "approval.end", "expired": "approval.expire",
        }  # fmt: skip
        for what, act in names.items():
            assert acts.count(act) == steps.count(what)


TestRequests = Requests.TestCase
TestRequests.settings = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
