"""What a rule may ask about: the names of facts, what each is, and how its values are written."""

from __future__ import annotations

import difflib
import re
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple

from gpuledger.accounting.currencies import CODES, nearest
from gpuledger.accounting.money import Money
from gpuledger.errors import RuleBookError

Value = str | Decimal | Money
MAX_TEXT: Final = 256
MAX_NUMBER: Final = Decimal(10**15)
LABEL: Final = "labels."
WORKLOAD: Final = "workload"
REQUESTS: Final = ("budget", "quota", "exception", "price", "budget_book", "quota_book", "dispute", "adjustment")
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NUMBER: Final = re.compile(r"-?\d{1,16}(\.\d{1,9})?", re.ASCII)


class Kind(StrEnum):
    """What a fact is, and so how it is compared."""

    TEXT = "text"
    PATH = "path"  # organisation/department/team/project, from the widest on
    NUMBER = "number"
    MONEY = "money"


class Field(NamedTuple):
    """One fact: what it is, what it means, and its values where there are only some."""

    kind: Kind
    means: str
    values: tuple[str, ...] = ()


FIELDS: Final[dict[str, Field]] = {
    "kind": Field(Kind.TEXT, "what is asked for", (WORKLOAD, *REQUESTS)),
    "owner": Field(Kind.PATH, "who pays: organisation/department/team/project, without levels that are not known"),
    "organisation": Field(Kind.TEXT, "the organisation that pays"),
    "department": Field(Kind.TEXT, "the department that pays"),
    "team": Field(Kind.TEXT, "the team that pays"),
    "project": Field(Kind.TEXT, "the project that pays"),
    "user": Field(Kind.TEXT, "who asks"),
    "cluster": Field(Kind.TEXT, "where it would run"),
    "namespace": Field(Kind.TEXT, "the Kubernetes namespace"),
    "slurm_account": Field(Kind.TEXT, "the Slurm account"),
    "slurm_partition": Field(Kind.TEXT, "the Slurm partition"),
    "pool": Field(Kind.TEXT, "the pool of nodes"),
    "model": Field(Kind.TEXT, "the GPU model"),
    "mig_profile": Field(Kind.TEXT, "the kind of MIG instance"),
    "priority_class": Field(Kind.TEXT, "the priority class of the workload"),
    "gpus": Field(Kind.NUMBER, "how many GPUs are asked for"),
    "gpu_hours": Field(Kind.NUMBER, "how many GPU-hours are asked for"),
    "hours": Field(Kind.NUMBER, "for how many hours at most"),
    "days": Field(Kind.NUMBER, "for how many days the effect would last"),
    "amount": Field(Kind.MONEY, "how much money, whether it is a charge or a credit"),
    "currency": Field(Kind.TEXT, "the currency of the amount"),
    "budget_percent": Field(Kind.NUMBER, "how much of the owner's budget is spent, in percent"),
    "quota_percent": Field(Kind.NUMBER, "how much of the owner's quota is used, in percent"),
    "hour": Field(Kind.NUMBER, "the hour of the day in the zone of the book, 0 to 23"),
    "weekday": Field(Kind.TEXT, "the day of the week in the zone of the book", WEEKDAYS),
}


def find_field(name: str, where: str) -> Field:
    """Return the field of a name. Raises RuleBookError with the nearest known name."""
    if name.startswith(LABEL) and len(name) > len(LABEL):
        return Field(Kind.TEXT, "a label of the workload")
    if name in FIELDS:
        return FIELDS[name]
    near = difflib.get_close_matches(name, [*FIELDS, f"{LABEL}NAME"], n=1)
    meant = f'did you mean "{near[0]}"? ' if near else ""
    raise RuleBookError(
        f'{where}: there is no fact "{name[:MAX_TEXT]}"', hint=f"{meant}facts: {', '.join(FIELDS)}, {LABEL}NAME"
    )


def read_value(field: Field, value: object, where: str) -> Value:
    """Return a value as it is written: text, a number (or one in quotes), money as "12.50 EUR". Raises RuleBookError.

    Numbers are exact: a float is refused.
    """
    if field.kind is Kind.NUMBER:
        return _number(value, where)
    if field.kind is Kind.MONEY:
        return _money(value, where)
    if not isinstance(value, str) or not value or len(value) > MAX_TEXT or not value.isprintable():
        raise RuleBookError(
            f"{where}: {shown(value)} is not a text of one line and at most {MAX_TEXT} characters",
            hint="write it in quotes; a fact that is not there is asked for with has",
        )
    return value


def write_value(value: Value) -> str:
    """Return a value as text that `read_value` reads back."""
    if isinstance(value, Money):
        return f"{plain(value.amount)} {value.currency}"
    return plain(value) if isinstance(value, Decimal) else value


def plain(number: Decimal) -> str:
    """Return a number in digits, without an exponent and without zeros at its end."""
    text = f"{number:f}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def _number(value: object, where: str) -> Decimal:
    if isinstance(value, bool | float) or not isinstance(value, int | Decimal | str):
        raise RuleBookError(f"{where}: {shown(value)} is not an exact number", hint='write 8, or "0.5" in quotes')
    text = value if isinstance(value, str) else _digits(value)
    if not _NUMBER.fullmatch(text) or abs(number := Decimal(text)) > MAX_NUMBER:
        raise RuleBookError(
            f"{where}: {shown(value)} is not a number of at most {MAX_NUMBER:,} with at most nine decimals",
            hint='write digits only, such as 8 or "0.5"',
        )
    return number


def _digits(value: int | Decimal) -> str:
    """Return a number in digits, or nothing where they would be too many to write out."""
    if isinstance(value, Decimal):
        return f"{value:f}" if value.is_finite() and abs(value.adjusted()) < 32 else ""
    return str(value) if abs(value) <= MAX_NUMBER else ""


def _money(value: object, where: str) -> Money:
    amount, _, currency = value.strip().rpartition(" ") if isinstance(value, str) else ("", "", "")
    if not _NUMBER.fullmatch(amount):
        raise RuleBookError(
            f"{where}: {shown(value)} is not an amount with its currency", hint='write it as "1000 EUR"'
        )
    if currency not in CODES:
        near = nearest(currency)
        meant = f'did you mean "{near}"?' if near else 'three capital letters, such as "EUR"'
        raise RuleBookError(f"{where}: {currency!r} is not a currency code of ISO 4217", hint=meant)
    return Money(_number(amount, where), currency)


def shown(value: object) -> str:
    """Return a value of a file as messages show it: briefly, whatever it is."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"  # which may be nested too deep to be written
    if isinstance(value, int) and abs(value) > MAX_NUMBER:
        return "that number"  # which may be too long to be written
    return repr(value)[:MAX_TEXT]
