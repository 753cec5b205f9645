"""Rules decide: in three values, by the first that matches, always with an answer and a reason for each rule."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.money import Money
from gpuledger.accounting.periods import parse_instant
from gpuledger.errors import RuleBookError
from gpuledger.rules.approving import Requirement, may_fill, open_places, person
from gpuledger.rules.book import Action, Became, Mode, Rule, RuleBook
from gpuledger.rules.conditions import All, Any, Bounds, Condition, Has, Not, OneOf, Truth, Under, is_under
from gpuledger.rules.facts import label_facts, make_facts, read_facts, time_facts, write_facts
from gpuledger.rules.files import parse_rule_book
from gpuledger.zones import find_zone

AT_US = parse_instant("2026-11-05T21:30:00Z")
BOOK = """
[[rule]]
name = "tell"
action = "notify"
notify = ["ops"]
when.gpus = { at_least = 8 }

[[rule]]
name = "stricter"
mode = "shadow"
action = "refuse"
when.gpus = { over = 4 }

[[rule]]
name = "nights are free"
action = "allow"
when.not.hour = { at_least = 8, below = 20 }

[[rule]]
name = "large"
action = "hold"
because = "large jobs wait for the night"
notify = ["lead", "ops"]
when.gpus = { over = 4 }

[[rule]]
name = "old"
mode = "off"
action = "refuse"
"""


def decide(text: str = BOOK, at_us: int = AT_US, **facts: object):
    book = parse_rule_book(text.encode(), "r")
    return book.decide(make_facts(facts), at_us)  # type: ignore[arg-type]


def test_the_first_rule_that_matches_decides() -> None:
    """What became of the others is told, and by which clause."""
    found = decide(gpus=8, hour=10)
    assert (found.outcome.action, found.outcome.rule, found.outcome.place) == (Action.HOLD, "large", 4)
    assert found.outcome.because == "large jobs wait for the night"
    assert found.outcome.notify == ("ops", "lead")
    assert [(each.rule, each.became, each.why) for each in found.trials] == [
        ("tell", Became.NOTIFIES, "gpus 8 is at least 8"),
        ("stricter", Became.WOULD, "gpus 8 is over 4"),
        ("nights are free", Became.NO, "hour 10 is at least 8 and below 20"),
        ("large", Became.DECIDES, "gpus 8 is over 4"),
        ("old", Became.OFF, "it is off"),
    ]


def test_rules_in_shadow_change_nothing_and_say_what_they_would() -> None:
    """The outcome is that of the enforced rules alone."""
    found = decide(gpus=8, hour=22)
    assert (found.outcome.action, found.shadow.action, found.differs) == (Action.ALLOW, Action.REFUSE, True)
    assert found.trials[3].became is Became.LATER
    found = decide(gpus=2, hour=22)
    assert not found.differs


def test_a_fact_that_is_not_there_is_unknown_and_said() -> None:
    """A rule that needs it does not match; where no rule decides, the book's default does."""
    found = decide(hour=10)
    assert (found.outcome.action, found.outcome.rule, found.outcome.place) == (Action.ALLOW, "", 0)
    assert [each.became for each in found.trials][:4] == [Became.UNKNOWN, Became.UNKNOWN, Became.NO, Became.UNKNOWN]
    assert found.trials[3].why == "gpus is not known"
    assert decide('default = "refuse"\n' + BOOK).outcome.action is Action.REFUSE


def test_a_rule_holds_from_when_until_when() -> None:
    """Half-open, and said in words where it does not."""
    text = '[[rule]]\nname = "r"\naction = "refuse"\nfrom = 2026-11-05T21:30:00Z\nto = 2026-11-06T00:00:00Z\n'
    assert decide(text).outcome.action is Action.REFUSE
    early = decide(text, AT_US - 1)
    assert early.outcome.action is Action.ALLOW
    assert early.trials[0].why == "it holds from 2026-11-05T21:30:00Z until 2026-11-06T00:00:00Z"
    assert decide(text, parse_instant("2026-11-06T00:00:00Z")).outcome.action is Action.ALLOW


@pytest.mark.parametrize(
    ("condition", "facts", "truth"),
    [
        (OneOf("user", ("ann", "b*")), {"user": "bob"}, Truth.TRUE),
        (OneOf("user", ("b*",), literal=True), {"user": "bob"}, Truth.FALSE),
        (OneOf("gpus", (Decimal(8),)), {"gpus": "8.0"}, Truth.TRUE),
        (OneOf("amount", (Money(Decimal(5), "EUR"),)), {"amount": "5.00 EUR"}, Truth.TRUE),
        (OneOf("amount", (Money(Decimal(5), "EUR"),)), {"amount": "5 USD"}, Truth.UNKNOWN),
        (Under("owner", ("acme/research",)), {"owner": "acme/research/vision"}, Truth.TRUE),
        (Under("owner", ("acme/research",)), {"owner": "acme/research-2"}, Truth.FALSE),
        (Under("owner", ("acme/*/vision",)), {"owner": "acme/ml/vision/p"}, Truth.TRUE),
        (Under("owner", ("acme/*/vision",)), {"owner": "acme/a/b/vision"}, Truth.FALSE),
        (Bounds("amount", (("over", Money(Decimal(1000), "EUR")),)), {"amount": "1000.000000001 EUR"}, Truth.TRUE),
        (Bounds("amount", (("over", Money(Decimal(1000), "EUR")),)), {"amount": "150000 JPY"}, Truth.UNKNOWN),
        (Bounds("gpus", (("at_least", Decimal(2)), ("below", Decimal(4)))), {"gpus": 4}, Truth.FALSE),
        (Has("amount"), {}, Truth.FALSE),
        (Has("labels.team"), {"labels.team": ""}, Truth.TRUE),
        (Not(Has("amount")), {}, Truth.TRUE),
        (Not(OneOf("user", ("ann",))), {}, Truth.UNKNOWN),
        (All(()), {}, Truth.TRUE),
        (Any(()), {}, Truth.FALSE),
    ],
)
def test_clauses(condition: Condition, facts: dict[str, object], truth: Truth) -> None:
    """Equality, patterns, paths, bounds, presence; other currencies cannot be compared."""
    verdict = condition.judge(make_facts(facts))  # type: ignore[arg-type]
    assert verdict.truth is truth, verdict.why


LEAVES = st.sampled_from(["user", "team", "pool", "model"]).map(lambda name: OneOf(name, ("x",)))
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        inner.map(Not),
        st.lists(inner, max_size=3).map(lambda parts: All(tuple(parts))),
        st.lists(inner, max_size=3).map(lambda parts: Any(tuple(parts))),
    ),
    max_leaves=8,
)
FACTS = st.dictionaries(st.sampled_from(["user", "team", "pool", "model"]), st.sampled_from(["x", "y"]))


def worlds(facts: dict[str, str]) -> list[dict[str, str]]:
    """Return all ways in which what is not known could be."""
    found = [facts]
    for name in ("user", "team", "pool", "model"):
        if name not in facts:
            found = [{**each, name: value} for each in found for value in "xy"]
    return found


@given(TREES, FACTS)
def test_what_is_known_holds_however_the_rest_is(condition: Condition, facts: dict[str, str]) -> None:
    """True and false with facts missing stay so whatever those are; the opposite of a condition is the opposite."""
    truth = condition.judge(facts).truth
    if truth is not Truth.UNKNOWN:
        assert {condition.judge(world).truth for world in worlds(facts)} == {truth}
    assert Not(Not(condition)).judge(facts).truth is truth
    assert All((condition,)).judge(facts).truth is truth


RULES = st.lists(st.tuples(st.sampled_from(Action), TREES, st.sampled_from(Mode)), max_size=5).map(
    lambda made: tuple(
        Rule(f"r{at}", action, when=when, mode=mode, notify=(f"n{at}",)) for at, (action, when, mode) in enumerate(made)
    )
)


@given(RULES, FACTS)
def test_a_decision_is_that_of_the_first_enforced_match(rules: tuple[Rule, ...], facts: dict[str, str]) -> None:
    """By the words of the promise: nothing that is in shadow, off, unknown or later has any part in it."""
    found = RuleBook(rules).decide(facts, AT_US)
    matching = [rule for rule in rules if rule.when.judge(facts).truth is Truth.TRUE and rule.mode is not Mode.OFF]
    deciding = [rule for rule in matching if rule.action is not Action.NOTIFY]
    enforced = [rule for rule in deciding if rule.mode is Mode.ENFORCE]
    assert found.outcome.rule == (enforced[0].name if enforced else "")
    assert found.shadow.rule == (deciding[0].name if deciding else "")
    assert len(found.trials) == len(rules)
    assert [each.rule for each in found.trials if each.became is Became.DECIDES] == [each.name for each in enforced[:1]]
    assert RuleBook(rules).decide(facts, AT_US) == found


def test_facts_survive_being_kept() -> None:
    """What is recorded of a decision decides the same later; facts that exist no more are unknown."""
    zone = find_zone("Europe/Berlin")
    facts = make_facts({
        "kind": "budget", "owner": "acme/research/vision", "amount": Money(Decimal("-12.500000001"), "EUR"), "gpus": 8,
        **label_facts({"app.kubernetes.io/name": "träin", "empty": ""}), **time_facts(AT_US, zone),
    })  # fmt: skip
    assert read_facts(write_facts(facts)) == facts
    assert (facts["team"], facts["currency"], facts["hour"], facts["weekday"]) == ("vision", "EUR", 22, "thu")
    assert "project" not in facts
    assert read_facts('{"colour":"red","gpus":"8"}') == {"gpus": Decimal(8)}


@pytest.mark.parametrize("facts", [{"colour": "red"}, {"gpus": 1.5}, {"gpus": True}, {"user": 8}, {"kind": "beer"}])
def test_facts_that_are_none_are_refused(facts: dict[str, object]) -> None:
    """A misspelt name would be unknown for ever, and a float is not what was asked for."""
    with pytest.raises(RuleBookError):
        make_facts(facts)  # type: ignore[arg-type]


def test_two_places_need_two_people() -> None:
    """Who has both roles fills one of them, and the one that leaves the other to the other person."""
    needed = (Requirement(("finance",)), Requirement(("lead", "finance")))
    assert open_places(needed, {"ann": {"finance", "lead"}}) != ()
    assert open_places(needed, {"ann": {"finance", "lead"}, "bob": {"lead"}}) == ()
    assert open_places(needed, {"ann": {"lead"}, "bob": {"lead"}}) == (Requirement(("finance",)),)
    assert open_places((Requirement(("finance",), 3),), {"ann": {"finance"}})[0].words == "2 of finance"
    assert may_fill(needed, {"lead"})
    assert not may_fill(needed, {"viewer"})


PEOPLE = st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from(["f", "l", "o"])), max_size=5)
NEEDED = st.lists(
    st.builds(Requirement, st.sets(st.sampled_from(["f", "l", "o"]), min_size=1).map(lambda each: tuple(sorted(each))), st.integers(1, 2)),
    max_size=3,
)  # fmt: skip


@given(NEEDED, PEOPLE)
def test_as_many_places_are_filled_as_can_be(needed: list[Requirement], people: dict[str, set[str]]) -> None:
    """Compared with trying every way to seat everybody."""
    places = [each.roles for each in needed for _ in range(each.count)]

    def most(at: int, left: frozenset[str]) -> int:
        if at == len(places):
            return 0
        seats = [1 + most(at + 1, left - {who}) for who in left if set(places[at]) & people[who]]
        return max([most(at + 1, left), *seats])

    left = open_places(needed, people)
    assert sum(each.count for each in left) == len(places) - most(0, frozenset(people))


def test_one_person_however_written() -> None:
    """Case, spaces and composed letters make no second person."""
    assert person(" Zoë  Bee ") == person("ZOE\u0308 bee")
    assert person("ann") != person("anne")
    assert RuleBook(
        approvers=parse_rule_book(b"[[approvers]]\nname='Ann'\nroles=['f']\nowner='a/b'", "r").approvers
    ).roles_of("ANN", "a/b/c") == {"f"}
    assert is_under("a", "a")
    assert not is_under("a", "a/b")
