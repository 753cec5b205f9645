"""Single fields of a price or owner record, each checked on its own."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Final

from collector.pricing.records import FileKind, Record
from gpuledger.accounting.currencies import CODES, nearest
from gpuledger.accounting.money import quanta
from gpuledger.accounting.periods import iso, parse_instant, to_us
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError

MAX_RATE: Final = Decimal(1_000_000)
MAX_CARBON: Final = Decimal(1_000_000)
MAX_TEXT: Final = 256
MAX_MODEL: Final = 128  # NVML names a model in 96; each two patterns are held against each other
_DECIMAL: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_CALENDAR: Final = (to_us(datetime(1970, 1, 1, tzinfo=UTC)), to_us(datetime(9999, 1, 1, tzinfo=UTC)))


def text_field(record: Record, key: str, kind: FileKind, *, most: int = MAX_TEXT) -> str:
    """Return a text of at most `most` characters, empty where it is not given."""
    value = record.values.get(key, "")
    if not isinstance(value, str):
        raise kind.error(f"{record.where}: {key} is not text: {value!r}", hint=f'write it in quotes: {key} = "{value}"')
    text = value.strip()
    if len(text) > most or not text.isprintable():
        raise kind.error(
            f"{record.where}: {key} is not one line of at most {most} characters: {text[:most]!r}",
            hint="names and patterns are short: is a quote missing before it?",
        )
    return text


def required_text(record: Record, key: str, kind: FileKind, *, most: int = MAX_TEXT) -> str:
    """Return a text that has to be there."""
    value = text_field(record, key, kind, most=most)
    if not value:
        raise kind.error(f"{record.where}: {key} is missing", hint=kind.example)
    return value


def currency_code(value: object, where: str, kind: FileKind) -> str:
    """Return an ISO 4217 code; raises `kind.error` with the nearest where it is none."""
    if not isinstance(value, str) or value not in CODES:
        near = nearest(value) if isinstance(value, str) else None
        meant = f'did you mean "{near}"?' if near else 'three capital letters, such as "EUR"'
        raise kind.error(f"{where}: {value!r} is not a currency code of ISO 4217", hint=meant)
    return value


def decimal_field(record: Record, key: str, places: int, kind: FileKind) -> Decimal | None:
    """Return a decimal that is not negative and has at most `places` decimals; None where it is not given."""
    value = record.values.get(key)
    if value is None or value == "":
        return None
    where = f"{record.where}: {key}"
    if not isinstance(value, str):
        raise kind.error(
            f"{where} is {value!r}, a number that need not be exact", hint=f'write it in quotes: {key} = "{value}"'
        )
    if not _DECIMAL.fullmatch(value.strip()):
        raise kind.error(
            f'{where} "{value}" is not a decimal number', hint=f'write digits only, such as {key} = "2.49"'
        )
    number = Decimal(value.strip())
    if number < 0:
        raise kind.error(
            f'{where} "{value}" is negative',
            hint="write zero or more",
        )
    decimals = len(value.strip().partition(".")[2].rstrip("0"))
    if decimals > places:
        raise kind.error(f'{where} "{value}" has {decimals} decimals', hint=f"at most {places} are kept exactly")
    return number


def rate_field(record: Record, key: str, kind: FileKind) -> int:
    """Return an hourly rate in quanta."""
    rate = decimal_field(record, key, 9, kind)
    if rate is None:
        raise kind.error(f"{record.where}: {key} is missing", hint=kind.example)
    if rate > MAX_RATE:
        raise kind.error(f"{record.where}: {key} {rate} is over {MAX_RATE} an hour", hint="rates are per GPU and hour")
    return quanta(rate)


def carbon_field(record: Record, key: str, kind: FileKind) -> Decimal | None:
    """Return grams of carbon dioxide per kilowatt-hour; None where it is not given."""
    carbon = decimal_field(record, key, 6, kind)
    if carbon is not None and carbon > MAX_CARBON:
        raise kind.error(f"{record.where}: {key} {carbon} is over {MAX_CARBON}", hint="grams per kilowatt-hour")
    return carbon


def validity_fields(record: Record, kind: FileKind, step_us: int = US_PER_HOUR) -> tuple[int | None, int | None]:
    """Return `from` and `to` in this order, which stand on the hour, or on a whole second where that is `step_us`."""
    from_us, to_us_ = (_whole(record, key, kind, step_us) for key in ("from", "to"))
    if from_us is not None and to_us_ is not None and to_us_ <= from_us:
        raise kind.error(
            f"{record.where}: it ends ({iso(to_us_)}) before or where it starts ({iso(from_us)})",
            hint='"to" is the first instant at which it no longer holds',
        )
    return from_us, to_us_


def instant_field(record: Record, key: str, kind: FileKind) -> int | None:
    """Return an instant on the calendar; None where it is not given."""
    value = record.values.get(key)
    if value is None or value == "":
        return None
    where = f"{record.where}: {key}"
    if isinstance(value, datetime):
        at_us = to_us(value)
    elif isinstance(value, date):
        at_us = to_us(datetime(value.year, value.month, value.day))  # noqa: DTZ001 - to_us takes it as UTC
    elif isinstance(value, str):
        try:
            at_us = parse_instant(value)
        except ConfigError as error:
            raise kind.error(f"{where}: {error.message}", hint="write 2026-01-01T00:00:00Z") from error
    else:
        raise kind.error(f"{where} is not a time: {value!r}", hint="write 2026-01-01T00:00:00Z")
    if not _CALENDAR[0] <= at_us < _CALENDAR[1]:
        raise kind.error(f"{where} is not between 1970 and 9998", hint=f"leave {key} out where it has no limit")
    return at_us


def _whole(record: Record, key: str, kind: FileKind, step_us: int) -> int | None:
    at_us = instant_field(record, key, kind)
    if at_us is not None and at_us % step_us:
        why = "on the hour, and charges are hourly" if step_us == US_PER_HOUR else "a whole second"
        raise kind.error(
            f"{record.where}: {key} {iso(at_us)} is not {why}", hint=f"write {iso(at_us // step_us * step_us)}"
        )
    return at_us
