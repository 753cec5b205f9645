"""Conditions in words, as a list of rules shows them."""

from __future__ import annotations

from collections.abc import Sequence

from gpuledger.rules.conditions import OPERATORS, All, Any, Bounds, Condition, Has, Not, OneOf, Under
from gpuledger.rules.fields import Value, write_value


def in_words(condition: Condition) -> str:
    """Return a condition in words; nothing for one that always holds."""
    if isinstance(condition, OneOf):
        return f"{condition.name} is {_either(condition.wanted)}"
    if isinstance(condition, Under):
        return f"{condition.name} is in {_either(condition.wanted)}"
    if isinstance(condition, Bounds):
        bounds = " and ".join(f"{OPERATORS[how][0]} {write_value(bound)}" for how, bound in condition.bounds)
        return f"{condition.name} is {bounds}"
    if isinstance(condition, Has):
        return f"it has {condition.name}"
    if isinstance(condition, Not):
        return f"not ({in_words(condition.part)})"
    return _joined(condition)


def _joined(condition: All | Any) -> str:
    word = " and " if isinstance(condition, All) else " or "
    inner = [(part, in_words(part)) for part in condition.parts]
    return word.join(f"({text})" if isinstance(part, All | Any) and text else text for part, text in inner if text)


def _either(wanted: Sequence[Value]) -> str:
    return " or ".join(f'"{each}"' if isinstance(each, str) else write_value(each) for each in wanted)
