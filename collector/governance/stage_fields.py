"""What files of budgets and of quotas have in common: whose an entry is, its stages, and that no two hold at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from collector.governance.owners import LEVELS
from collector.pricing.fields import decimal_field, required_text, text_field
from collector.pricing.records import FileKind, Record, refuse_unknown
from gpuledger.accounting.book_entries import Entry
from gpuledger.accounting.budgets import ACTIONS, ACTUAL, EVERYTHING, NOTIFY, Stage, in_order

MAX_PERCENT: Final = 1_000
MAX_STAGES: Final = 20
MAX_TOLD: Final = 20
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def owner_field(record: Record, kind: FileKind) -> str:
    """Return whose the entry is: a path from the organisation on, down to a team; or everything."""
    owner = required_text(record, "owner", kind)
    if owner != EVERYTHING and not all(part.strip() == part and part for part in owner.split("/")):
        raise kind.error(
            f'{record.where}: owner "{owner}" is not a path', hint='write "acme/research/vision"; "*" is everything'
        )
    if owner.count("/") >= len(LEVELS):
        raise kind.error(
            f'{record.where}: owner "{owner}" goes below teams', hint=f"a {kind.name} is of one of: {', '.join(LEVELS)}"
        )
    return owner


def stages_field(
    record: Record, kind: FileKind, called: Callable[[Stage], str], measures: Sequence[str] = ()
) -> tuple[Stage, ...]:
    """Return the stages in their order. `called` tells them apart; `measures` are what they may be of, if anything."""
    given = tables(record.values.get("stages", []), f"{record.where}: stages", "stages = [{ at = 80 }]", kind)
    if len(given) > MAX_STAGES:
        raise kind.error(f"{record.where}: {len(given)} stages", hint=f"{MAX_STAGES} at most")
    where = f"{record.where}: stage"
    stages = in_order(_stage(Record(f"{where} {number}", each), kind, measures) for number, each in enumerate(given, 1))
    keys = [called(each) for each in stages]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise kind.error(f'{record.where}: "{twice[0]}" is there twice', hint="name everybody in one tell = []")
    return tuple(stages)


def name_field(name: object, where: str, kind: FileKind) -> str:
    """Return a name of somebody to tell. What is none is not shown: it may be an address with a password in it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise kind.error(
            f"{where} is not one", hint="a name such as vision-leads; its address is in the collector's settings alone"
        )
    return name


def tables(value: object, where: str, example: str, kind: FileKind) -> list[dict[str, Any]]:
    """Return a list of tables."""
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise kind.error(f"{where} is not a list of tables", hint=example)
    return value


def refuse_two(entries: Iterable[Entry], source: str, kind: FileKind) -> None:
    """Raise the kind's error where two entries of one key hold at once: which was meant is unknown."""
    seen: dict[str, list[tuple[int, Entry]]] = {}
    for number, each in enumerate(entries, 1):
        for before, other in seen.setdefault(each.key, []):
            if each.validity.meets(other.validity):
                raise kind.error(
                    f"{source}: entries {before} and {number} are both the {kind.name} of {each.key}",
                    hint="let the earlier one end where the later one begins: to, from",
                )
        seen[each.key].append((number, each))


def _stage(record: Record, kind: FileKind, measures: Sequence[str]) -> Stage:
    refuse_unknown(record.values, ("at", "of", "do", "tell") if measures else ("at", "do", "tell"), record.where, kind)
    measure = _choice(record, "of", measures, ACTUAL, kind) if measures else ACTUAL
    return Stage(_percent(record, kind), measure, _choice(record, "do", ACTIONS, NOTIFY, kind), _tell(record, kind))


def _percent(record: Record, kind: FileKind) -> int:
    value = record.values.get("at")
    if isinstance(value, int) and not isinstance(value, bool):
        record = record._replace(values={**record.values, "at": str(value)})
    percent = decimal_field(record, "at", 3, kind)
    if percent is None or not 0 < percent <= MAX_PERCENT:
        raise kind.error(
            f"{record.where}: at is not a per cent of the {kind.name}, over 0 and at most {MAX_PERCENT:,}",
            hint="at = 80",
        )
    return int(percent.scaleb(3))


def _tell(record: Record, kind: FileKind) -> tuple[str, ...]:
    names = record.values.get("tell", [])
    if not isinstance(names, list) or len(names) > MAX_TOLD:
        raise kind.error(f"{record.where}: tell is not a list of names", hint='tell = ["vision-leads"]')
    for number, name in enumerate(names, 1):
        name_field(name, f"{record.where}: tell: name {number}", kind)
    return tuple(dict.fromkeys(names))


def _choice(record: Record, key: str, known: Sequence[str], default: str, kind: FileKind) -> str:
    value = text_field(record, key, kind) or default
    if value not in known:
        raise kind.error(f'{record.where}: {key} "{value}" is not known', hint=f"one of: {', '.join(known)}")
    return value
