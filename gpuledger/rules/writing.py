"""How filters and conditions are written: TOML tables of facts, with all, any, not and has between them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from gpuledger.accounting.money import Money
from gpuledger.errors import RuleBookError
from gpuledger.rules import conditions
from gpuledger.rules.conditions import OPERATORS, All, Bounds, Condition, Has, Not, OneOf, Under
from gpuledger.rules.fields import LABEL, Field, Kind, find_field, read_value

MAX_DEPTH: Final = 8
MAX_PARTS: Final = 100
EXACTLY: Final = "is"
_LABELS: Final = LABEL.removesuffix(".")
_LOGIC: Final = ("all", "any", "not", "has")


def read_filter(table: object, where: str) -> Condition:
    """Return a filter: all facts of a table, without logic between them. Raises RuleBookError."""
    if isinstance(table, Mapping) and (found := [each for each in _LOGIC if each in table]):
        raise RuleBookError(f"{where}: {found[0]} is not for filters", hint=f"write it in when: when.{found[0]} = ...")
    return read_condition(table, where)


def read_condition(table: object, where: str, depth: int = MAX_DEPTH) -> Condition:
    """Return what a table says; several keys: all of them hold. Raises RuleBookError that names what is wrong."""
    if not isinstance(table, Mapping):
        raise RuleBookError(f"{where}: not a table of facts", hint='write { gpus = { over = 8 }, user = "ann" }')
    if not depth:
        raise RuleBookError(f"{where}: nested deeper than {MAX_DEPTH}", hint="write several rules")
    parts: list[Condition] = []
    for key, value in table.items():
        if key in ("all", "any"):
            parts.append(_several(key, value, f"{where}.{key}", depth))
        elif key == "not":
            parts.append(Not(_needed(value, f"{where}.not", depth)))
        elif key == "has":
            parts.append(_has(value, where))
        elif key == _LABELS:
            parts += [_clause(LABEL + name, each, where) for name, each in _labels(value, where)]
        else:
            parts.append(_clause(key, value, where))
    if len(parts) > MAX_PARTS:
        raise RuleBookError(f"{where}: more than {MAX_PARTS} parts", hint="write several rules, or patterns")
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _several(key: str, value: object, where: str, depth: int) -> Condition:
    if not isinstance(value, list) or not value or len(value) > MAX_PARTS:
        raise RuleBookError(
            f"{where}: not a list of 1 to {MAX_PARTS} conditions", hint=f'write {key} = [{{ user = "ann" }}, {{ ... }}]'
        )
    parts = tuple(_needed(each, f"{where}[{number}]", depth) for number, each in enumerate(value, 1))
    return All(parts) if key == "all" else conditions.Any(parts)


def _needed(value: object, where: str, depth: int) -> Condition:
    if value == {}:
        raise RuleBookError(f"{where}: it asks nothing", hint="leave it out, or name a fact")
    return read_condition(value, where, depth - 1)


def _has(value: object, where: str) -> Condition:
    given = value if isinstance(value, list) else [value]
    names = [each for each in given if isinstance(each, str)]
    if not names or names != given:
        raise RuleBookError(f"{where}: has names no fact", hint='write has = "amount"')
    for each in names:
        find_field(each, where)
    return Has(names[0]) if len(names) == 1 else All(tuple(Has(each) for each in names))


def _labels(value: object, where: str) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping) or any(isinstance(each, Mapping) for each in value.values()):
        raise RuleBookError(
            f"{where}: {_LABELS} is not a table of names and texts",
            hint='write labels.team = "vision"; a name with dots in quotes: labels."app.kubernetes.io/name"',
        )
    return list(value.items())


def _clause(name: str, value: object, where: str) -> Condition:
    field, place = find_field(name, where), f"{where}: {name}"
    if isinstance(value, Mapping):
        return _compared(name, field, value, place)
    values = _values(field, value, place)
    if field.kind is Kind.PATH:
        return Under(name, tuple(map(str, values)))
    return OneOf(name, values)


def _compared(name: str, field: Field, table: Mapping[str, object], where: str) -> Condition:
    if set(table) == {EXACTLY}:
        return OneOf(name, _values(field, table[EXACTLY], where), literal=True)
    if field.kind not in (Kind.NUMBER, Kind.MONEY):
        raise RuleBookError(
            f"{where} is {field.kind}, which is not compared", hint='write "x", ["x", "y"], a pattern, or { is = "x" }'
        )
    unknown = [each for each in table if each not in OPERATORS]
    if unknown or not table:
        said = f'"{unknown[0][:40]}" is no comparison' if unknown else "nothing is compared"
        raise RuleBookError(f"{where}: {said}", hint=f"one or two of: {', '.join(OPERATORS)}; or {EXACTLY}")
    bounds = [(how, read_value(field, each, where)) for how, each in table.items()]
    if len({each.currency for _, each in bounds if isinstance(each, Money)}) > 1:
        raise RuleBookError(f"{where}: bounds in two currencies", hint="an amount is compared with its own currency")
    return Bounds(name, tuple((how, each) for how, each in bounds if isinstance(each, Decimal | Money)))


def _values(field: Field, value: object, where: str) -> tuple[Any, ...]:
    several = value if isinstance(value, list) else [value]
    if not several or len(several) > MAX_PARTS:
        raise RuleBookError(f"{where}: not 1 to {MAX_PARTS} values", hint='write "x", or ["x", "y"]')
    found = tuple(read_value(field, each, where) for each in several)
    for each in found if field.values else ():
        _known(str(each), field, where)
    return found


def _known(value: str, field: Field, where: str) -> None:
    if value not in field.values:
        near = difflib.get_close_matches(value, field.values, n=1)
        meant = f'did you mean "{near[0]}"? ' if near else ""
        raise RuleBookError(f'{where}: "{value}" is none', hint=f"{meant}one of: {', '.join(field.values)}")
