"""The file that budgets are written in: TOML with `[[budget]]` tables, and `[[quiet]]` for who is not told at night."""

from __future__ import annotations

import re
from datetime import tzinfo
from decimal import Decimal
from typing import Final, NamedTuple

from collector.governance.stage_fields import name_field, owner_field, refuse_two, stages_field, tables
from collector.pricing.fields import currency_code, decimal_field, required_text, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from gpuledger.accounting.budgets import MEASURES, PERIODS, Budget, period_at
from gpuledger.accounting.money import quanta
from gpuledger.accounting.periods import require_hours
from gpuledger.accounting.quiet import QuietHours
from gpuledger.errors import BudgetBookError, ConfigError
from gpuledger.zones import find_zone

KEYS: Final = ("owner", "period", "currency", "amount", "from", "to", "stages")
MAX_AMOUNT: Final = Decimal(1_000_000_000)
_KIND: Final = FileKind(
    "budget",
    "budget",
    BudgetBookError,
    '[[budget]] owner = "acme/research" period = "month" currency = "EUR" amount = "12000" stages = [{ at = 80 }]',
)
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
    refuse_two(budgets, source, _KIND)
    return BudgetBook(budgets, _quiet(document.settings.get("quiet", []), source))


def _budget(record: Record, zone: tzinfo) -> Budget:
    refuse_unknown(record.values, KEYS, record.where, _KIND)
    from_us, to_us = validity_fields(record, _KIND)
    budget = Budget(
        owner=owner_field(record, _KIND),
        period=required_text(record, "period", _KIND),
        currency=currency_code(record.values.get("currency"), f"{record.where}: currency", _KIND),
        limit_quanta=_amount(record),
        stages=stages_field(record, _KIND, lambda each: each.key, MEASURES),
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


def _amount(record: Record) -> int:
    amount = decimal_field(record, "amount", 9, _KIND)
    if amount is None:
        raise BudgetBookError(f"{record.where}: amount is missing", hint=_KIND.example)
    if amount > MAX_AMOUNT:
        raise BudgetBookError(f"{record.where}: amount {amount} is over {MAX_AMOUNT:,}", hint="leave the budget out")
    return quanta(amount)


def _quiet(given: object, source: str) -> dict[str, QuietHours]:
    found: dict[str, QuietHours] = {}
    for number, values in enumerate(tables(given, f"{source}: quiet", '[[quiet]] name = "vision-leads"', _KIND), 1):
        record = Record(f"{source}: quiet {number}", values)
        refuse_unknown(values, ("name", "hours", "zone"), record.where, _KIND)
        name = name_field(values.get("name"), f"{record.where}: name", _KIND)
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
