"""The file that budgets are written in: TOML with `[[budget]]` tables, and `[[quiet]]` for who is not told at night."""

from __future__ import annotations

import re
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final, NamedTuple

from collector.governance.owners import LEVELS
from collector.pricing.fields import currency_code, decimal_field, required_text, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from gpuledger.accounting.budgets import (
    ACTIONS,
    ACTUAL,
    EVERYTHING,
    MEASURES,
    NOTIFY,
    PERIODS,
    Budget,
    Stage,
    in_order,
    period_at,
)
from gpuledger.accounting.money import quanta
from gpuledger.accounting.periods import require_hours
from gpuledger.accounting.quiet import QuietHours
from gpuledger.errors import BudgetBookError, ConfigError
from gpuledger.zones import find_zone

KEYS: Final = ("owner", "period", "currency", "amount", "from", "to", "stages")
MAX_AMOUNT: Final = Decimal(1_000_000_000)
MAX_PERCENT: Final = 1_000
MAX_STAGES: Final = 20
MAX_TOLD: Final = 20
_KIND: Final = FileKind(
    "budget",
    "budget",
    BudgetBookError,
    '[[budget]] owner = "acme/research" period = "month" currency = "EUR" amount = "12000" stages = [{ at = 80 }]',
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)\.\.([01]\d|2[0-3]):([0-5]\d)")


class BudgetBook(NamedTuple):
    """All budgets in the order of the file, and the quiet hours of those who are told."""

    budgets: tuple[Budget, ...] = ()
    quiet: dict[str, QuietHours] = {}  # noqa: RUF012 - never changed

    def at(self, at_us: int) -> list[Budget]:
        """Return the entries that hold at an instant."""
        return [each for each in self.budgets if each.validity.holds_at(at_us)]


def parse_budget_book(content: bytes, as_format: FileFormat, source: str, zone: tzinfo) -> BudgetBook:
    """Return the budget book in a file; raises BudgetBookError that names the entry and the next step.

    Periods mean the days of `zone`.
    """
    if as_format != "toml":
        raise BudgetBookError(f"{source}: a budget book is TOML", hint=_KIND.example)
    document = read_document(content, as_format, source, _KIND)
    refuse_unknown(document.settings, ("budget", "quiet"), source, _KIND)
    budgets = tuple(_budget(record, zone) for record in document.records)
    _refuse_two(budgets, source)
    return BudgetBook(budgets, _quiet(document.settings.get("quiet", []), source))


def _budget(record: Record, zone: tzinfo) -> Budget:
    refuse_unknown(record.values, KEYS, record.where, _KIND)
    from_us, to_us = validity_fields(record, _KIND)
    owner = _owner(record)
    budget = Budget(
        owner=owner,
        period=required_text(record, "period", _KIND),
        currency=currency_code(record.values.get("currency"), f"{record.where}: currency", _KIND),
        limit_quanta=_amount(record),
        stages=_stages(record),
        from_us=from_us,
        to_us=to_us,
    )
    try:
        require_hours(period_at(budget, 0, zone))
    except ConfigError as error:
        raise BudgetBookError(
            f"{record.where}: period: {error.message}", hint=f"one of {', '.join(PERIODS)}, or FROM..TO"
        ) from error
    return budget


def _owner(record: Record) -> str:
    owner = required_text(record, "owner", _KIND)
    if owner != EVERYTHING and not all(part.strip() == part and part for part in owner.split("/")):
        raise BudgetBookError(
            f'{record.where}: owner "{owner}" is not a path', hint='write "acme/research/vision"; "*" is everything'
        )
    if owner.count("/") >= len(LEVELS):
        raise BudgetBookError(
            f'{record.where}: owner "{owner}" goes below teams', hint=f"a budget is of one of: {', '.join(LEVELS)}"
        )
    return owner


def _amount(record: Record) -> int:
    amount = decimal_field(record, "amount", 9, _KIND)
    if amount is None:
        raise BudgetBookError(f"{record.where}: amount is missing", hint=_KIND.example)
    if amount > MAX_AMOUNT:
        raise BudgetBookError(f"{record.where}: amount {amount} is over {MAX_AMOUNT:,}", hint="leave the budget out")
    return quanta(amount)


def _stages(record: Record) -> tuple[Stage, ...]:
    given = _tables(record.values.get("stages", []), f"{record.where}: stages", "stages = [{ at = 80 }]")
    if len(given) > MAX_STAGES:
        raise BudgetBookError(f"{record.where}: {len(given)} stages", hint=f"{MAX_STAGES} at most")
    stages = in_order(_stage(Record(f"{record.where}: stage {number}", each)) for number, each in enumerate(given, 1))
    keys = [each.key for each in stages]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise BudgetBookError(f'{record.where}: "{twice[0]}" is there twice', hint="name everybody in one tell = []")
    return tuple(stages)


def _stage(record: Record) -> Stage:
    refuse_unknown(record.values, ("at", "of", "do", "tell"), record.where, _KIND)
    measure = _choice(record, "of", MEASURES, ACTUAL)
    return Stage(_percent(record), measure, _choice(record, "do", ACTIONS, NOTIFY), _tell(record))


def _percent(record: Record) -> int:
    value = record.values.get("at")
    if isinstance(value, int) and not isinstance(value, bool):
        record = record._replace(values={**record.values, "at": str(value)})
    percent = decimal_field(record, "at", 3, _KIND)
    if percent is None or not 0 < percent <= MAX_PERCENT:
        raise BudgetBookError(
            f"{record.where}: at is not a per cent of the limit, over 0 and at most {MAX_PERCENT:,}", hint="at = 80"
        )
    return int(percent.scaleb(3))


def _tell(record: Record) -> tuple[str, ...]:
    names = record.values.get("tell", [])
    if not isinstance(names, list) or len(names) > MAX_TOLD:
        raise BudgetBookError(f"{record.where}: tell is not a list of names", hint='tell = ["vision-leads"]')
    for number, name in enumerate(names, 1):
        _name(name, f"{record.where}: tell: name {number}")
    return tuple(dict.fromkeys(names))


def _name(name: object, where: str) -> str:
    """Return a name of somebody to tell. What is none is not shown: it may be an address with a password in it."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise BudgetBookError(
            f"{where} is not one", hint="a name such as vision-leads; its address is in the collector's settings alone"
        )
    return name


def _choice(record: Record, key: str, known: tuple[str, ...], default: str) -> str:
    value = text_field(record, key, _KIND) or default
    if value not in known:
        raise BudgetBookError(f'{record.where}: {key} "{value}" is not known', hint=f"one of: {', '.join(known)}")
    return value


def _quiet(tables: object, source: str) -> dict[str, QuietHours]:
    found: dict[str, QuietHours] = {}
    for number, values in enumerate(_tables(tables, f"{source}: quiet", '[[quiet]] name = "vision-leads"'), 1):
        record = Record(f"{source}: quiet {number}", values)
        refuse_unknown(values, ("name", "hours", "zone"), record.where, _KIND)
        name = _name(values.get("name"), f"{record.where}: name")
        hours = _HOURS.fullmatch(text_field(record, "hours", _KIND))
        if not hours or hours[1] + hours[2] == hours[3] + hours[4]:
            raise BudgetBookError(f"{record.where}: hours are not two times", hint='hours = "20:00..07:00"')
        if name in found:
            raise BudgetBookError(f'{record.where}: "{name}" has quiet hours already', hint="one table each")
        zone = text_field(record, "zone", _KIND) or "UTC"
        try:
            find_zone(zone)
        except ConfigError as error:
            raise BudgetBookError(f"{record.where}: zone: {error.message}", hint=error.hint) from error
        first, last = int(hours[1]) * 60 + int(hours[2]), int(hours[3]) * 60 + int(hours[4])
        found[name] = QuietHours(first, last, zone)
    return found


def _tables(value: object, where: str, example: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BudgetBookError(f"{where} is not a list of tables", hint=example)
    return value


def _refuse_two(budgets: tuple[Budget, ...], source: str) -> None:
    """Raise BudgetBookError where two entries of one budget hold at once: which was meant is unknown."""
    seen: dict[str, list[tuple[int, Budget]]] = {}
    for number, each in enumerate(budgets, 1):
        for before, other in seen.setdefault(each.key, []):
            if each.validity.meets(other.validity):
                raise BudgetBookError(
                    f"{source}: entries {before} and {number} are both the budget of {each.key}",
                    hint="let the earlier one end where the later one begins: to, from",
                )
        seen[each.key].append((number, each))
