"""Texts of rules are filled with facts, and stay empty where one is unknown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.identity.templates import Template

FACTS = {"env:A": "a", "label:b/c": "bc", "group": "g"}


def fill(source: str) -> str:
    return Template(source).fill(lambda fact: FACTS.get(fact, ""))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{env:A}", "a"),
        ("x-{env:A}/{label:b/c}", "x-a/bc"),
        ("{env:B}", ""),
        ("{env:A}/{env:B}", ""),
        ("[{env:B}/]{env:A}", "a"),
        ("[{env:A}/]{group}", "a/g"),
        ("{env:A}[/{env:B}][:{group}]", "a:g"),
        ("[{env:A}{env:B}]{group}", "g"),
        ("text", "text"),
        ("", ""),
    ],
)
def test_a_text_is_filled_or_empty(source: str, expected: str) -> None:
    """What stands in brackets is left out as a whole; anything else that is unknown empties the text."""
    assert fill(source) == expected


def test_what_a_text_needs_is_told_from_what_it_names() -> None:
    """A rule depends on the facts outside of brackets alone."""
    template = Template("[{pod:namespace}/]{env:A}[/{env:B}]")
    assert template.required == ("env:A",)
    assert template.facts == ("pod:namespace", "env:A", "env:B")


@pytest.mark.parametrize("source", ["{", "}", "{a", "[", "]", "[[a]]", "a]", "{a{b}}", "{}", "[{a]}"])
def test_braces_and_brackets_must_pair_up(source: str) -> None:
    """A slip in a rule is an error, not a text with braces in it."""
    with pytest.raises(ValueError, match=r"pair up|not closed"):
        Template(source)


@given(st.text(alphabet="{}[]a:", max_size=12))
def test_any_text_is_a_template_or_an_error(source: str) -> None:
    """Parsing always ends in one of the two."""
    try:
        template = Template(source)
    except ValueError:
        return
    assert set(template.required) <= set(template.facts)
