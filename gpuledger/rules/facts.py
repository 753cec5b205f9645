"""Facts about one thing that somebody wants: typed values by name, as rules ask for them and as records keep them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import Final

from gpuledger.accounting.money import Money
from gpuledger.accounting.periods import from_us
from gpuledger.errors import RuleBookError
from gpuledger.rules.fields import LABEL, WEEKDAYS, Kind, Value, find_field, read_value, write_value

_LEVELS: Final = ("organisation", "department", "team", "project")

Facts = Mapping[str, Value]


def make_facts(given: Mapping[str, str | int | Decimal | Money]) -> Facts:
    """Return facts for rules, and what follows from them: the levels of the owner (unless any is given), the currency.

    What is not given is not known, which is not the same as empty or zero. Raises RuleBookError on a name that is no
    fact, and on a value that is not what that fact is.
    """
    facts: dict[str, Value] = {name: _value(name, value) for name, value in given.items()}
    owner, amount = facts.get("owner"), facts.get("amount")
    if isinstance(owner, str) and facts.keys().isdisjoint(_LEVELS):
        facts |= {level: part for level, part in zip(_LEVELS, owner.split("/"), strict=False) if part}
    if isinstance(amount, Money):
        facts["currency"] = amount.currency
    return facts


def label_facts(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of a workload under the names that rules have for them."""
    return {LABEL + name: value for name, value in labels.items() if name}


def time_facts(at_us: int, zone: tzinfo) -> dict[str, str | int]:
    """Return the hour and the weekday that clocks of a zone show at an instant."""
    shown = from_us(at_us).astimezone(zone)
    return {"hour": shown.hour, "weekday": WEEKDAYS[shown.weekday()]}


def write_facts(facts: Facts) -> str:
    """Return facts as a JSON object of texts, names in order: the same facts are the same text."""
    return json.dumps({name: write_value(facts[name]) for name in sorted(facts)}, ensure_ascii=False)


def read_facts(text: str) -> Facts:
    """Return the facts of such a text. A name that is a fact no more is left out: it is not known then."""
    found: dict[str, Value] = {}
    for name, value in json.loads(text).items():
        try:
            found[name] = _value(name, value)
        except RuleBookError:
            continue
    return found


def _value(name: str, value: str | int | Decimal | Money) -> Value:
    field = find_field(name, "facts")
    if isinstance(value, Money):
        if field.kind is not Kind.MONEY:
            raise RuleBookError(f"facts: {name} is no amount", hint="give a text or a number")
        return value
    if field.values and value not in field.values:
        raise RuleBookError(f"facts: {name} {value!r} is none", hint=f"one of: {', '.join(field.values)}")
    if field.kind in (Kind.TEXT, Kind.PATH) and isinstance(value, str):
        return value  # whatever somebody called it, empty too
    return read_value(field, value, f"facts: {name}")
