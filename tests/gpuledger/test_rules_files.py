"""Rule files: what can be written, and what is refused with the rule and the next step named."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gpuledger.accounting.money import Money
from gpuledger.accounting.periods import parse_instant
from gpuledger.errors import RuleBookError
from gpuledger.rules.approving import Requirement
from gpuledger.rules.book import Action, Mode
from gpuledger.rules.conditions import All, Any, Bounds, Has, Not, OneOf, Under
from gpuledger.rules.describing import in_words
from gpuledger.rules.facts import make_facts
from gpuledger.rules.files import parse_rule_book, warnings_of

FULL = """
default = "hold"
zone = "Europe/Berlin"

[[rule]]
name = "large budgets"
filter = { kind = "budget", owner = ["acme/research", "acme/*/vision"] }
action = "approval"
approvals = [{ roles = ["finance", "admin"], count = 2 }, { roles = ["team lead"] }]
because = "over a thousand two of finance agree"
notify = ["head of finance"]
from = 2026-01-01T00:00:00Z

[rule.when]
amount = { over = "1000 EUR", at_most = "50000 EUR" }

[[rule]]
name = "nights"
mode = "shadow"
action = "hold"
filter.kind = "workload"
filter.labels.tier = "batch"
when.any = [{ gpus = 8 }, { not = { hour = { at_least = 6, below = 22 } } }, { has = "mig_profile" }]

[[approvers]]
name = "ann"
roles = ["finance"]
owner = "acme/research"
"""


def parse(text: str) -> None:
    parse_rule_book(text.encode(), "rules.toml")


def one(rest: str) -> str:
    return f'[[rule]]\nname = "r"\naction = "hold"\n{rest}\n'


def test_everything_that_can_be_written() -> None:
    """Each key becomes what it says; several facts of a table have to hold together."""
    book = parse_rule_book(FULL.encode(), "rules.toml")
    large, nights = book.rules
    assert (book.default, book.zone, large.action, large.mode) == (
        Action.HOLD,
        "Europe/Berlin",
        Action.APPROVAL,
        Mode.ENFORCE,
    )
    assert large.filter == All((OneOf("kind", ("budget",)), Under("owner", ("acme/research", "acme/*/vision"))))
    bounds = (("over", Money(Decimal(1000), "EUR")), ("at_most", Money(Decimal(50000), "EUR")))
    assert large.when == Bounds("amount", bounds)
    assert large.approvals == (Requirement(("finance", "admin"), 2), Requirement(("team lead",), 1))
    assert large.from_us == parse_instant("2026-01-01T00:00:00Z")
    assert nights.mode is Mode.SHADOW
    assert nights.filter == All((OneOf("kind", ("workload",)), OneOf("labels.tier", ("batch",))))
    night = Not(Bounds("hour", (("at_least", Decimal(6)), ("below", Decimal(22)))))
    assert nights.when == Any((OneOf("gpus", (Decimal(8),)), night, Has("mig_profile")))
    assert book.approvers[0].roles == ("finance",)


def test_numbers_are_exact_however_they_are_written() -> None:
    """A decimal without quotes is read as it stands, not as the nearest binary number."""
    for written in ("0.1", '"0.1"'):
        book = parse_rule_book(one(f"when.gpus = {{ over = {written} }}").encode(), "r")
        assert book.rules[0].when == Bounds("gpus", (("over", Decimal("0.1")),))


@pytest.mark.parametrize(
    ("text", "words", "hint"),
    [
        ("", "no rule in it", "[[rule]]"),
        ("rule = 3", "not a list of tables", "[[rule]]"),
        ("[[rules]]\nname = 'x'", 'unknown key "rules"', 'did you mean "rule"'),
        ("[[rule]]\naction = 'hold'", "no name", "name the rule"),
        ("[[rule]]\nname = 'x'", "no action", "allow"),
        ("[[rule]]\nname = 'x'\naction = 'deny'", "'deny' is not known", "refuse"),
        (one("if.gpus = 8"), 'unknown key "if"', "filter"),
        (one("filter.nmaespace = 'x'"), 'no fact "nmaespace"', 'did you mean "namespace"'),
        (one("filter.label.team = 'x'"), 'no fact "label"', "labels.NAME"),
        (one("filter.kind = 'bugdet'"), '"bugdet" is none', 'did you mean "budget"'),
        (one("filter.any = [{ gpus = 8 }]"), "not for filters", "when.any"),
        (one("when.gpus = { more = 8 }"), '"more" is no comparison', "over"),
        (one("when.gpus = {}"), "nothing is compared", "over"),
        (one("when.user = { over = 8 }"), "text, which is not compared", "pattern"),
        (one("when.gpus = true"), "not an exact number", "0.5"),
        (one("when.gpus = nan"), "not a number", "digits only"),
        (one("when.gpus = 1e400"), "not a number", "digits only"),
        (one("when.gpus = 99999999999999999999"), "that number is not a number of at most", "digits only"),
        (one("when.gpus = '8 GPUs'"), "not a number", "digits only"),
        (one("when.gpus = '٣'"), "not a number", "digits only"),
        (one("when.amount = { over = 1000 }"), "not an amount with its currency", "1000 EUR"),
        (one("when.amount = { over = '1000 EURO' }"), "not a currency code", 'did you mean "EUR"'),
        (one("when.amount = { over = '1 EUR', below = '9 USD' }"), "bounds in two currencies", "own currency"),
        (one("when.any = []"), "not a list of 1 to", "any = ["),
        (one("when.any = [{}]"), "it asks nothing", "leave it out"),
        (one("when.not = {}"), "it asks nothing", "leave it out"),
        (one("when.has = []"), "names no fact", 'has = "amount"'),
        (one("when.has = 'gpu'"), 'no fact "gpu"', 'did you mean "gpus"'),
        (one("when = 'gpus over 8'"), "not a table of facts", "{ gpus"),
        (one("when.labels.'app'.kubernetes = 'x'"), "table of names and texts", "in quotes"),
        (one("when.user = []"), "not 1 to", '["x", "y"]'),
        (one("when.user = ''"), "not a text of one line", "has"),
        (one("when." + "not." * 9 + "user = 'x'"), "nested deeper", "several rules"),
        (one("approvals = [{ roles = ['finance'] }]"), "action hold has approvals", 'action = "approval"'),
        (one("").replace("hold", "approval"), "action approval needs approvals", "roles"),
        (one("").replace("hold", "notify"), "notifies nobody", "notify ="),
        (one("approvals = [{ roles = [] }]").replace("hold", "approval"), "no roles", "roles ="),
        (
            one("approvals = [{ roles = ['a'], count = 0 }]").replace("hold", "approval"),
            "count is not from 1",
            "people",
        ),
        (one("approvals = [{ roles = ['a'], count = true }]").replace("hold", "approval"), "count is not", "people"),
        (one("approvals = [{ role = ['a'] }]").replace("hold", "approval"), 'unknown key "role"', 'mean "roles"'),
        (one("from = 2026-02-01T00:00:00Z\nto = 2026-01-01T00:00:00Z"), "it ends", "no longer holds"),
        (one("from = 'soon'"), "not an ISO 8601", "2026-01-01"),
        (one("") + one(""), 'both called "r"', "its own"),
        (one('because = "a\\nb"'), "not one line of text", "quotes"),
        ("mode = 'dry'\n" + one(""), "'dry' is not known", "shadow"),
        ("default = 'approval'\n" + one(""), "'approval' is not known", "allow"),
        ("[[approvers]]\nname = 'ann'", "name and roles are needed", "roles ="),
        (one("when.gpus = 8\nwhen.gpus = 9"), "not valid TOML", "[[rule]]"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str, hint: str) -> None:
    """The message has the rule and what is wrong in it, the hint what to write."""
    with pytest.raises(RuleBookError) as caught:
        parse(text)
    assert words in caught.value.message
    assert hint in caught.value.hint
    if text.startswith('[[rule]]\nname = "r"') and "not valid TOML" not in words and "both called" not in words:
        assert 'rule 1 "r"' in caught.value.message


@pytest.mark.parametrize(
    "key", ["mode", "because", "when.user", "when.user.is", "when.not", "from", "filter.labels", "x"]
)
@pytest.mark.parametrize(
    "deep", [".a" * 2_000 + " = 1", " = " + "[" * 200 + "]" * 200, " = " + "[" * 2_000 + "]" * 2_000]
)
def test_what_is_nested_without_end_is_refused(key: str, deep: str) -> None:
    """Wherever it stands, as any other value that is none."""
    with pytest.raises(RuleBookError):
        parse(one(key + deep))


def test_bytes_that_are_no_text_are_refused() -> None:
    """Neither other encodings nor a file that nobody wrote by hand."""
    with pytest.raises(RuleBookError, match="line 2: not UTF-8"):
        parse_rule_book(b"# x\n\xff\xfe", "r")
    with pytest.raises(RuleBookError, match="over 1,000,000 bytes"):
        parse_rule_book(b"#" * 1_000_001, "r")


def test_what_can_hardly_be_meant_is_a_warning() -> None:
    """A rule behind one that decides everything, and a role that nobody has."""
    book = parse_rule_book(
        (one("") + one("when.gpus = 8").replace('"r"', '"s"') + FULL[FULL.index("[[rule") :]).encode(), "r"
    )
    warned = warnings_of(book)
    assert warned[0] == 'rule 2 "s" is never reached: rule 1 "r" decides everything'
    assert any('asks for the role "team lead", which nobody here has' in each for each in warned)
    assert not any('"finance"' in each for each in warned)


@given(
    st.integers(0, len(FULL)),
    st.integers(0, 40),
    st.text(max_size=20) | st.sampled_from(["1e9999", "inf", "''", "{}", "[]", "\n[[rule]]\n", "not.", '"' * 3]),
)
@settings(max_examples=300, deadline=None)
def test_any_file_is_read_or_refused(start: int, length: int, instead: str) -> None:
    """Whatever somebody does to a file, it is a book that decides, or an error that says what is wrong."""
    text = FULL[:start] + instead + FULL[start + length :]
    try:
        book = parse_rule_book(text.encode("utf-8", "surrogatepass"), "rules.toml")
    except RuleBookError:
        return
    decision = book.decide(make_facts({"kind": "budget", "amount": "5000 EUR", "gpus": 8}), 0)
    assert len(decision.trials) == len(book.rules)
    assert all(isinstance(in_words(rule.when), str) for rule in book.rules)
    warnings_of(book)
