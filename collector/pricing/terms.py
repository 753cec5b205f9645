"""The rate of a price record: stated or built up from costs, with its discount and exchange rate."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final, NamedTuple

from collector.pricing.fields import MAX_RATE, currency_code, decimal_field, rate_field, text_field
from collector.pricing.records import FileKind, Record
from gpuledger.accounting.terms import RateTerms

CAPITAL: Final = ("capital_cost", "depreciation_months")
ENERGY: Final = ("energy_price_per_kwh", "pue", "power_w")
OVERHEAD: Final = ("overhead_per_hour", "overhead_percent")
EXCHANGE: Final = ("exchange_rate", "exchange_source", "exchange_date")
RATE_KEYS: Final = ("rate", *CAPITAL, *ENERGY, *OVERHEAD, "discount_percent", "currency", *EXCHANGE)
MAX_AMOUNT: Final = Decimal(100_000_000)
MAX_MONTHS: Final = 600


class Exchange(NamedTuple):
    """An entry's own currency, and what of the book's one unit of it is; all empty where it has none."""

    currency: str = ""
    rate: Decimal | None = None
    source: str = ""
    day: str = ""


class StatedRate(NamedTuple):
    """What an entry charges, its list rate where that is another, and the terms that both follow from."""

    rate_quanta: int
    list_rate_quanta: int | None = None
    terms: RateTerms | None = None


def stated_rate(record: Record, book_currency: str, kind: FileKind) -> StatedRate:
    """Return the rate of a record.

    Raises `kind.error` on half a component, on a rate beside components, and on an exchange that is not fully stated.
    """
    exchange = _exchange(record, book_currency, kind)
    terms = RateTerms(
        stated_rate=_amount(record, "rate", kind),
        capital_cost=_amount(record, "capital_cost", kind),
        depreciation_months=_months(record, kind),
        energy_price_per_kwh=_amount(record, "energy_price_per_kwh", kind),
        pue=_amount(record, "pue", kind),
        power_w=_amount(record, "power_w", kind),
        overhead_per_hour=_amount(record, "overhead_per_hour", kind),
        overhead_percent=_amount(record, "overhead_percent", kind),
        discount_percent=_discount(record, kind),
        currency=exchange.currency,
        exchange_rate=exchange.rate,
        exchange_source=exchange.source,
        exchange_date=exchange.day,
    )
    _refuse_halves(record, kind)
    built = [name for name in (*CAPITAL, *ENERGY, *OVERHEAD) if record.values.get(name)]
    if built and terms.stated_rate is not None:
        raise kind.error(
            f"{record.where}: rate beside {built[0]}: it is either stated or built up",
            hint="leave rate out, or the components",
        )
    if terms.stated_rate is None and not built:
        raise kind.error(f"{record.where}: rate is missing", hint=kind.example)
    if terms == RateTerms(terms.stated_rate):
        return StatedRate(rate_field(record, "rate", kind))
    if terms.list_quanta > MAX_RATE.scaleb(9):
        raise kind.error(f"{record.where}: the rate is over {MAX_RATE} an hour", hint="rates are per GPU and hour")
    if not terms.list_quanta and built:
        raise kind.error(
            f"{record.where}: the costs add up to a rate of nothing", hint='is that meant? then write rate = "0"'
        )
    return StatedRate(terms.rate_quanta, terms.list_quanta, terms)


def _amount(record: Record, key: str, kind: FileKind) -> Decimal | None:
    amount = decimal_field(record, key, 9, kind)
    if amount is not None and amount > MAX_AMOUNT:
        raise kind.error(f"{record.where}: {key} {amount} is over {MAX_AMOUNT}", hint="amounts are per GPU")
    if key == "pue" and amount is not None and amount < 1:
        raise kind.error(
            f'{record.where}: pue "{amount}" is under 1',
            hint="it is all the energy of the building over that of the machines; 1 adds nothing",
        )
    return amount


def _months(record: Record, kind: FileKind) -> int | None:
    key = "depreciation_months"
    value = record.values.get(key)
    if value is None or value == "":
        return None
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_MONTHS))) or not (
        1 <= int(text) <= MAX_MONTHS
    ):
        raise kind.error(
            f"{record.where}: {key} {value!r} is not a whole number of months from 1 to {MAX_MONTHS}",
            hint=f"write {key} = 48",
        )
    return int(text)


def _discount(record: Record, kind: FileKind) -> Decimal | None:
    percent = decimal_field(record, "discount_percent", 9, kind)
    if percent is not None and percent > 100:
        raise kind.error(
            f"{record.where}: discount_percent {percent} is over 100",
            hint="a rate is zero or more; credits are not prices",
        )
    return percent


def _refuse_halves(record: Record, kind: FileKind) -> None:
    for group in (CAPITAL, ENERGY):
        missing = [name for name in group if not record.values.get(name)]
        if missing and len(missing) < len(group):
            given = next(name for name in group if name not in missing)
            raise kind.error(
                f"{record.where}: {given} without {' and '.join(missing)}",
                hint=f"{' and '.join(group)} make one component: none is guessed",
            )
    if record.values.get("overhead_percent") and not any(
        record.values.get(name)
        for name in (*CAPITAL, *ENERGY, "overhead_per_hour", "rate")  # rate: refused as such
    ):
        raise kind.error(
            f"{record.where}: overhead_percent of nothing", hint="it is on top of capital, energy and overhead_per_hour"
        )


def _exchange(record: Record, book_currency: str, kind: FileKind) -> Exchange:
    """Return the record's own currency with its exchange rate; nothing where the book's currency is its own."""
    given = [name for name in EXCHANGE if record.values.get(name)]
    own = record.values.get("currency")
    code = book_currency if own is None or own == "" else currency_code(own, f"{record.where}: currency", kind)
    if code == book_currency:
        if given:
            raise kind.error(
                f"{record.where}: {given[0]}, and the entry is in {code} as the book is",
                hint=f"say which currency the entry is in, or leave {given[0]} out",
            )
        return Exchange()
    missing = [name for name in EXCHANGE if name not in given]
    if missing:
        raise kind.error(
            f"{record.where}: currency {code} beside {book_currency} without {' and '.join(missing)}",
            hint=f"exchange_rate is {book_currency} for 1 {code}; say whose it is and of which day:"
            ' exchange_rate = "0.92", exchange_source = "ECB", exchange_date = "2026-07-01"',
        )
    rate = decimal_field(record, "exchange_rate", 12, kind)
    if not rate or rate > MAX_AMOUNT:
        raise kind.error(
            f"{record.where}: exchange_rate {rate} cannot be",
            hint=f"it is {book_currency} for 1 {code}, more than zero",
        )
    return Exchange(code, rate, text_field(record, "exchange_source", kind), _day(record, kind))


def _day(record: Record, kind: FileKind) -> str:
    value = record.values.get("exchange_date")
    try:
        return (value if isinstance(value, date) else date.fromisoformat(str(value))).isoformat()
    except ValueError as error:
        raise kind.error(
            f"{record.where}: exchange_date {value!r} is not a day", hint='write exchange_date = "2026-07-01"'
        ) from error
