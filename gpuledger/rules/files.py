"""The file that rules are written in: TOML with `[[rule]]` and `[[approvers]]` tables. It is the whole book."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

from gpuledger.accounting.periods import iso, parse_instant, to_us
from gpuledger.errors import ConfigError, RuleBookError
from gpuledger.rules.approving import Requirement, person
from gpuledger.rules.book import Action, Approver, Mode, Rule, RuleBook
from gpuledger.rules.fields import MAX_TEXT, shown
from gpuledger.rules.writing import read_condition, read_filter

EXAMPLE: Final = '[[rule]] with a name and an action: name = "large jobs", filter.gpus = { over = 8 }, action = "hold"'
SETTINGS: Final = ("default", "mode", "zone")
RULE_KEYS: Final = (
    "name", "filter", "when", "action", "because", "approvals", "notify", "mode", "from", "to",
)  # fmt: skip
APPROVER_KEYS: Final = ("name", "roles", "owner")
DEFAULTS: Final = (Action.ALLOW, Action.REFUSE, Action.HOLD)
MAX_RULES: Final = 500
MAX_BYTES: Final = 1_000_000
MAX_COUNT: Final = 10
_E = TypeVar("_E", Action, Mode)


def parse_rule_book(content: bytes, source: str) -> RuleBook:
    """Return the rule book in a file; raises RuleBookError that names the rule and the next step."""
    document = _toml(content, source)
    rules, approvers = document.pop("rule", []), document.pop("approvers", [])
    refuse_unknown(document, (*SETTINGS, "rule", "approvers"), source)
    mode = _choice(document, "mode", Mode, tuple(Mode), source) or Mode.ENFORCE
    default = _choice(document, "default", Action, DEFAULTS, source) or Action.ALLOW
    found = [_rule(f"{source}: rule {at}", each, mode) for at, each in enumerate(_tables(rules, "rule", source), 1)]
    people = [
        _approver(f"{source}: approver {at}", each)
        for at, each in enumerate(_tables(approvers, "approvers", source), 1)
    ]
    if not found and not people:
        raise RuleBookError(f"{source}: no rule in it", hint=EXAMPLE)
    _refuse_same_names(found, source)
    return RuleBook(tuple(found), default, tuple(people), _text(document, "zone", source))


def refuse_unknown(keys: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raise RuleBookError for the first key that is not known, with the nearest that is."""
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f'did you mean "{near[0]}"? ' if near else ""
            raise RuleBookError(
                f'{where}: unknown key "{key[:MAX_TEXT]}"', hint=f"{meant}known keys: {', '.join(known)}"
            )


def warnings_of(book: RuleBook) -> list[str]:
    """Return what in a book can hardly be meant: rules that are never reached, and roles that nobody has."""
    found: list[str] = []
    first = next((place for place, rule in enumerate(book.rules, 1) if _decides_all(rule)), len(book.rules))
    for place, rule in enumerate(book.rules[first:], first + 1):
        if rule.action is not Action.NOTIFY and rule.mode is not Mode.OFF:
            name = book.rules[first - 1].name
            found.append(f'rule {place} "{rule.name}" is never reached: rule {first} "{name}" decides everything')
    held = {role for each in book.approvers for role in each.roles}
    for place, rule in enumerate(book.rules, 1):
        missing = sorted({role for each in rule.approvals for role in each.roles} - held) if held else []
        found += [f'rule {place} "{rule.name}" asks for the role "{role}", which nobody here has' for role in missing]
    return found


def _toml(content: bytes, source: str) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise RuleBookError(f"{source}: over {MAX_BYTES:,} bytes", hint="a rule book is written by people")
    try:
        return tomllib.loads(content.decode("utf-8-sig"), parse_float=Decimal)
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise RuleBookError(f"{source}: line {line}: not UTF-8 text", hint="save the file as UTF-8") from error
    except (ValueError, ArithmeticError, RecursionError) as error:  # also numbers without end, and deep nesting
        raise RuleBookError(f"{source}: not valid TOML: {str(error)[:MAX_TEXT]}", hint=EXAMPLE) from error


def _tables(value: object, name: str, source: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise RuleBookError(f'{source}: "{name}" is not a list of tables', hint=f"write [[{name}]]")
    if len(value) > MAX_RULES:
        raise RuleBookError(f"{source}: {len(value):,} {name} are over {MAX_RULES}", hint="write patterns, not lists")
    return value


def _rule(where: str, table: dict[str, Any], mode: Mode) -> Rule:
    name = _text(table, "name", where)
    if not name:
        raise RuleBookError(f"{where}: it has no name", hint="decisions name the rule that made them")
    where = f'{where} "{name}"'
    refuse_unknown(table, RULE_KEYS, where)
    action = _choice(table, "action", Action, tuple(Action), where)
    if action is None:
        raise RuleBookError(f"{where}: it has no action", hint=f"action is one of: {', '.join(Action)}")
    approvals, notify = _requirements(table, where), _texts(table, "notify", where)
    if bool(approvals) != (action is Action.APPROVAL):
        raise RuleBookError(
            f"{where}: action {action} {'has' if approvals else 'needs'} approvals",
            hint='action = "approval" says who: approvals = [{ roles = ["finance"], count = 1 }]',
        )
    if action is Action.NOTIFY and not notify:
        raise RuleBookError(f"{where}: it notifies nobody", hint='notify = ["finance"]')
    return Rule(
        name=name,
        action=action,
        filter=read_filter(table.get("filter", {}), f"{where}: filter"),
        when=read_condition(table.get("when", {}), f"{where}: when"),
        mode=_choice(table, "mode", Mode, tuple(Mode), where) or mode,
        because=_text(table, "because", where),
        approvals=approvals,
        notify=notify,
        **_validity(table, where),
    )


def _approver(where: str, table: dict[str, Any]) -> Approver:
    refuse_unknown(table, APPROVER_KEYS, where)
    name, roles = _text(table, "name", where), _texts(table, "roles", where)
    if not person(name) or not roles:
        raise RuleBookError(f"{where}: name and roles are needed", hint='name = "ann", roles = ["finance"]')
    return Approver(name, roles, _text(table, "owner", where))


def _requirements(table: Mapping[str, Any], where: str) -> tuple[Requirement, ...]:
    found = []
    for number, each in enumerate(_tables(table.get("approvals", []), "approvals", where), 1):
        place = f"{where}: approvals {number}"
        refuse_unknown(each, ("roles", "count"), place)
        roles, count = _texts(each, "roles", place), each.get("count", 1)
        if not roles:
            raise RuleBookError(f"{place}: no roles", hint='roles = ["finance"]: who has any of them')
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
            raise RuleBookError(f"{place}: count is not from 1 to {MAX_COUNT}", hint="how many different people")
        found.append(Requirement(roles, count))
    if sum(each.count for each in found) > MAX_COUNT:
        raise RuleBookError(f"{where}: more than {MAX_COUNT} people have to approve", hint="nobody would get it")
    return tuple(found)


def _validity(table: Mapping[str, Any], where: str) -> dict[str, int | None]:
    from_us, end_us = (_instant(table, key, where) for key in ("from", "to"))
    if from_us is not None and end_us is not None and end_us <= from_us:
        raise RuleBookError(
            f"{where}: it ends ({iso(end_us)}) before or where it starts ({iso(from_us)})",
            hint='"to" is the first instant at which it no longer holds',
        )
    return {"from_us": from_us, "to_us": end_us}


def _instant(table: Mapping[str, Any], key: str, where: str) -> int | None:
    value = table.get(key)
    if value is None:
        return None
    if not isinstance(value, datetime | date | str):
        raise RuleBookError(f"{where}: {key} {shown(value)} is not a time", hint="write 2026-01-01T00:00:00Z")
    try:
        return to_us(value) if isinstance(value, datetime) else parse_instant(str(value))
    except ConfigError as error:
        raise RuleBookError(f"{where}: {key}: {error.message}", hint="write 2026-01-01T00:00:00Z") from error


def _choice(table: Mapping[str, Any], key: str, kind: type[_E], known: Sequence[_E], where: str) -> _E | None:
    value = table.get(key)
    if value is None:
        return None
    names = [str(each) for each in known]
    if isinstance(value, str) and value in names:
        return kind(value)
    near = difflib.get_close_matches(value, names, n=1) if isinstance(value, str) else []
    meant = f'did you mean "{near[0]}"? ' if near else ""
    raise RuleBookError(f"{where}: {key} {shown(value)} is not known", hint=f"{meant}one of: {', '.join(names)}")


def _text(table: Mapping[str, Any], key: str, where: str) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or len(value) > MAX_TEXT or not value.isprintable():
        raise RuleBookError(f"{where}: {key} is not one line of text", hint=f"at most {MAX_TEXT} characters, in quotes")
    return value.strip()


def _texts(table: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise RuleBookError(f"{where}: {key} is not a list", hint=f'write {key} = ["finance"]')
    return tuple(dict.fromkeys(_text({key: each}, key, where) for each in value if each != ""))


def _refuse_same_names(rules: Sequence[Rule], source: str) -> None:
    seen: dict[str, int] = {}
    for place, rule in enumerate(rules, 1):
        if rule.name in seen:
            raise RuleBookError(
                f'{source}: rules {seen[rule.name]} and {place} are both called "{rule.name}"',
                hint="decisions name the rule that made them: give each its own",
            )
        seen[rule.name] = place


def _decides_all(rule: Rule) -> bool:
    always = not getattr(rule.filter, "parts", True) and not getattr(rule.when, "parts", True)
    return always and rule.action is not Action.NOTIFY and rule.mode is Mode.ENFORCE and rule.validity == (None, None)
