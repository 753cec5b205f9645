"""The file that policies are written in: TOML with `[[policy]]` tables. A file is the whole book, not a change to it.

A table names whom it is for (nobody named: everybody), from when until when, and one or more settings.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from collector.pricing.fields import MAX_MODEL, decimal_field, required_text, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from gpuledger.accounting.idle_policy import POLICIES as PAYERS
from gpuledger.accounting.money import quanta
from gpuledger.accounting.policies import (
    APPLICATION,
    BASES,
    FAULTS,
    HARDWARE_XIDS,
    MAX_LOST_MINUTES,
    SETTINGS,
    UNHELD,
    XID_CLASSES,
    FaultCredit,
    FreeTier,
    Payer,
    Settings,
)
from gpuledger.accounting.policybook import OWNER_SCOPE, PolicyBook, PolicyEntry
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import PolicyBookError

SCOPE_KEYS: Final = (*OWNER_SCOPE, "pool", "model")
KEYS: Final = (*SCOPE_KEYS, *SETTINGS, "from", "to")
DEFAULT_MINUTES: Final = 60
MAX_FREE: Final = Decimal(1_000_000_000)
_PERCENT_PLACES: Final = 3
_KIND: Final = FileKind(
    "policy", "policy", PolicyBookError, 'a policy says something: [[policy]] idle = "proportional"'
)


def parse_policy_book(content: bytes, as_format: FileFormat, source: str) -> PolicyBook:
    """Return the policy book in a file; raises PolicyBookError that names the entry and the next step."""
    if as_format != "toml":
        raise PolicyBookError(f"{source}: a policy book is TOML", hint=_KIND.example)
    document = read_document(content, as_format, source, _KIND)
    refuse_unknown(document.settings, ("policy",), source, _KIND)
    entries = [_entry(record) for record in document.records]
    try:
        return PolicyBook(entries)
    except PolicyBookError as error:
        raise PolicyBookError(f"{source}: {error.message}", hint=error.hint) from error


def _entry(record: Record) -> PolicyEntry:
    refuse_unknown(record.values, KEYS, record.where, _KIND)
    from_us, to_us = validity_fields(record, _KIND)
    scope = {name: text_field(record, name, _KIND) for name in (*OWNER_SCOPE, "pool")}
    model = text_field(record, "model", _KIND, most=MAX_MODEL)
    settings = Settings(
        basis=_choice(record, "basis", BASES),
        **{name: _payer(record, name) for name in UNHELD},
        free=_free(record),
        fault_credit=_fault_credit(record),
    )
    if not settings.stated:
        raise PolicyBookError(f"{record.where}: it says nothing", hint=f"settings: {', '.join(SETTINGS)}")
    owned = [name for name in OWNER_SCOPE if scope[name]]
    unheld = [name for name in UNHELD if name in settings.stated]
    if owned and unheld:
        raise PolicyBookError(
            f"{record.where}: {unheld[0]} is time that nobody held, so it cannot be for one {owned[0]}",
            hint=f'name a pool or a model, or nobody, and who pays for it: {unheld[0]} = {{ team = "vision" }}',
        )
    return PolicyEntry(settings, **scope, model=model, from_us=from_us, to_us=to_us)


def _choice(record: Record, key: str, known: Sequence[str]) -> str | None:
    value = record.values.get(key)
    return None if value is None else _one_of(value, known, f"{record.where}: {key}")


def _payer(record: Record, key: str) -> str | Payer | None:
    """Return who pays for one kind of time that nobody held: a way to share it, or one owner."""
    value = record.values.get(key)
    if not isinstance(value, dict):
        return _choice(record, key, PAYERS)
    inner = _table(record, key, value, OWNER_SCOPE, f'{key} = {{ team = "vision" }}')
    required_text(inner, "team", _KIND)
    return Payer(**{name: text_field(inner, name, _KIND) for name in OWNER_SCOPE})


def _one_of(value: object, known: Sequence[str], where: str) -> str:
    if isinstance(value, str) and value in known:
        return value
    near = difflib.get_close_matches(value, known, n=1) if isinstance(value, str) else []
    meant = f'did you mean "{near[0]}"? ' if near else ""
    raise PolicyBookError(f"{where} {value!r} is not known", hint=f"{meant}one of: {', '.join(known)}")


def _free(record: Record) -> FreeTier | None:
    value = record.values.get("free")
    if value is None:
        return None
    if value is False:
        return FreeTier()
    inner = _table(record, "free", value, ("gpu_hours", "amount"), 'free = { gpu_hours = "100" }')
    if len(inner.values) != 1:
        raise PolicyBookError(f"{inner.where}: gpu_hours or amount, one of them", hint="money and time are not added")
    hours, amount = (decimal_field(inner, name, 9, _KIND) for name in ("gpu_hours", "amount"))
    for number in (hours, amount):
        if number is not None and number > MAX_FREE:
            raise PolicyBookError(f"{inner.where}: {number} is over {MAX_FREE:,} a month", hint="leave it out, or less")
    if hours is not None:
        return FreeTier(part_us=int(hours * US_PER_HOUR * GPU_PARTS))
    return FreeTier(quanta=None if amount is None else quanta(amount))


def _fault_credit(record: Record) -> FaultCredit | None:
    value = record.values.get("fault_credit")
    if value is None:
        return None
    if isinstance(value, bool):
        return FaultCredit(minutes=DEFAULT_MINUTES if value else 0)
    known = ("minutes", "percent", "faults", "xid_classes")
    inner = _table(record, "fault_credit", value, known, "fault_credit = true, or { minutes = 60 }")
    return FaultCredit(
        minutes=_minutes(inner),
        percent_millis=_percent(inner),
        faults=_several(inner, "faults", FAULTS, FAULTS),
        xid_classes=_several(inner, "xid_classes", XID_CLASSES, HARDWARE_XIDS),
    )


def _table(record: Record, key: str, value: object, known: Sequence[str], example: str) -> Record:
    where = f"{record.where}: {key}"
    if not isinstance(value, dict):
        raise PolicyBookError(f"{where} is {value!r}", hint=f"write {example}; false: none")
    refuse_unknown(value, known, where, _KIND)
    return Record(where, value)


def _minutes(inner: Record) -> int:
    value: Any = inner.values.get("minutes", DEFAULT_MINUTES)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= MAX_LOST_MINUTES:
        raise PolicyBookError(
            f"{inner.where}: minutes {value!r} is not a whole number from 1 to {MAX_LOST_MINUTES}",
            hint="how old a checkpoint is at most; fault_credit = false gives none",
        )
    return value


def _percent(inner: Record) -> int:
    percent = decimal_field(inner, "percent", _PERCENT_PLACES, _KIND)
    if percent is None:
        return 100_000
    if percent > 100:
        raise PolicyBookError(f"{inner.where}: percent {percent} is over 100", hint="no more than what was billed")
    return int(percent.scaleb(_PERCENT_PLACES))


def _several(inner: Record, key: str, known: Sequence[str], default: tuple[str, ...]) -> tuple[str, ...]:
    value = inner.values.get(key)
    if value is None:
        return default
    where = f"{inner.where}: {key}"
    if not isinstance(value, list):
        raise PolicyBookError(f"{where} is not a list: {value!r}", hint=f'write {key} = ["{known[0]}"]')
    if APPLICATION in value:
        raise PolicyBookError(
            f"{where}: what an application did to itself is not credited", hint=f"of: {', '.join(known)}"
        )
    return tuple(_one_of(each, known, where) for each in value)
