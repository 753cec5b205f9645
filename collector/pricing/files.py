"""The two files that people write: the price book and the owner mapping, as TOML or CSV.

A price file holds `currency`, `[[price]]` tables and, where GPUs are leased, `[[contract]]` tables; as CSV, one line an
entry with a `currency` column, in which lines with an exchange rate have a currency of their own, and no contracts. An
owner file holds `[[owner]]` tables with `match.*` keys; as CSV, the same keys are columns. A file is the whole book,
not a change to it.
"""

from __future__ import annotations

from typing import Any, Final

from collector.pricing.contracts import parse_contracts
from collector.pricing.fields import (
    MAX_MODEL,
    carbon_field,
    currency_code,
    required_text,
    text_field,
    validity_fields,
)
from collector.pricing.records import Document, FileFormat, FileKind, Record, read_document, refuse_unknown
from collector.pricing.terms import RATE_KEYS, stated_rate
from gpuledger.accounting.directory import DIRECTORY_PREFIX
from gpuledger.accounting.ownership import (
    ATTRIBUTES,
    LABEL_PREFIX,
    OWNER_FIELDS,
    Owner,
    OwnerMap,
    OwnerRule,
    known_attribute,
    placeholders,
)
from gpuledger.accounting.pricebook import PriceBook, PriceEntry
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import OwnerMappingError, PriceBookError

CARBON_KEYS: Final = ("carbon_g_per_kwh", "carbon_region")
SCOPE_KEYS: Final = ("model", "mig_profile", "pool", "cluster", *OWNER_FIELDS, "contract")
PRICE_KEYS: Final = (*SCOPE_KEYS, *RATE_KEYS, *CARBON_KEYS, "from", "to")
OWNER_KEYS: Final = (*OWNER_FIELDS, "from", "to")
MATCH_PREFIX: Final = "match."
_PRICES: Final = FileKind(
    "price",
    "price",
    PriceBookError,
    'an entry needs a model and a rate (or costs): [[price]] model = "NVIDIA H100 80GB HBM3", rate = "2.49"',
)
_OWNERS: Final = FileKind(
    "owner rule",
    "owner",
    OwnerMappingError,
    'a rule needs a team and a match: [[owner]] team = "vision", match.namespace = "vision-*"',
)


def parse_price_book(content: bytes, as_format: FileFormat, source: str) -> PriceBook:
    """Return the price book in a file; raises PriceBookError that names the line or entry and the next step."""
    document = read_document(content, as_format, source, _PRICES)
    currency = _csv_currency(document, source) if as_format == "csv" else _toml_currency(document, source)
    entries = [_price_entry(record, currency) for record in document.records]
    contracts = parse_contracts(document.settings.get("contract", []), currency, source)
    try:
        return PriceBook(currency, entries, contracts)
    except PriceBookError as error:
        raise PriceBookError(f"{source}: {error.message}", hint=error.hint) from error


def parse_owner_map(content: bytes, as_format: FileFormat, source: str) -> OwnerMap:
    """Return the owner rules in a file, in its order; raises OwnerMappingError likewise."""
    document = read_document(content, as_format, source, _OWNERS)
    if as_format == "csv":
        for column in document.settings["columns"]:
            _refuse_unknown_owner_key(column, f"{source}: line 1")
    else:
        refuse_unknown(document.settings, ("owner",), source, _OWNERS)
    return OwnerMap([_owner_rule(record) for record in document.records])


def _toml_currency(document: Document, source: str) -> str:
    refuse_unknown(document.settings, ("currency", "price", "contract"), source, _PRICES)
    if "currency" not in document.settings:
        raise PriceBookError(f"{source}: currency is missing", hint='start the file with currency = "EUR"')
    return currency_code(document.settings["currency"], f"{source}: currency", _PRICES)


def _csv_currency(document: Document, source: str) -> str:
    """Return the book's currency: that of all lines without an exchange rate, or else the column `book_currency`."""
    refuse_unknown(document.settings["columns"], (*PRICE_KEYS, "book_currency"), f"{source}: line 1", _PRICES)
    first = ""
    for record in document.records:
        book = record.values.pop("book_currency", "")
        own = currency_code(record.values.get("currency", ""), f"{record.where}: currency", _PRICES)
        if book:
            code = currency_code(book, f"{record.where}: book_currency", _PRICES)
        elif "exchange_rate" in record.values:
            continue
        else:
            code = own
        first = first or code
        if code != first:
            raise PriceBookError(
                f"{record.where}: currency {code} beside {first}",
                hint="a price book has one currency; convert the rates, or give the line an exchange_rate",
            )
    if not first:
        raise PriceBookError(
            f"{source}: every line has a currency of its own, and the book has none",
            hint="add a column book_currency: what the exchange rates are into",
        )
    return first


def _price_entry(record: Record, book_currency: str) -> PriceEntry:
    refuse_unknown(record.values, PRICE_KEYS, record.where, _PRICES)
    from_us, to_us = validity_fields(record, _PRICES, US_PER_SECOND)
    model = required_text(record, "model", _PRICES, most=MAX_MODEL)
    rate = stated_rate(record, book_currency, _PRICES)
    return PriceEntry(
        model=model,
        rate_quanta=rate.rate_quanta,
        cluster=text_field(record, "cluster", _PRICES),
        pool=text_field(record, "pool", _PRICES),
        mig_profile=text_field(record, "mig_profile", _PRICES),
        carbon_g_per_kwh=carbon_field(record, "carbon_g_per_kwh", _PRICES),
        from_us=from_us,
        to_us=to_us,
        terms=rate.terms,
        list_rate_quanta=rate.list_rate_quanta,
        carbon_region=text_field(record, "carbon_region", _PRICES),
        **{key: text_field(record, key, _PRICES) for key in (*OWNER_FIELDS, "contract")},
    )


def _owner_rule(record: Record) -> OwnerRule:
    flat = Record(record.where, _flattened(record))
    for key in flat.values:
        _refuse_unknown_owner_key(key, record.where)
    required_text(flat, "team", _OWNERS)
    owner = Owner(*(text_field(flat, key, _OWNERS) for key in OWNER_FIELDS))
    match = tuple(
        (key.removeprefix(MATCH_PREFIX), required_text(flat, key, _OWNERS))
        for key in flat.values
        if key.startswith(MATCH_PREFIX)
    )
    if not match:
        raise OwnerMappingError(
            f"{record.where}: the rule matches nothing in particular",
            hint='say whom it is for, such as match.namespace = "vision-*"; match.kind = "*" is everybody',
        )
    _refuse_unmatched_placeholders(owner, match, record.where)
    from_us, to_us = validity_fields(flat, _OWNERS)
    return OwnerRule(owner, match, from_us, to_us)


def _flattened(record: Record) -> dict[str, Any]:
    """Write nested TOML tables (`match.label.app`) as the dotted keys that CSV has for columns."""
    flat: dict[str, Any] = {}
    for key, value in record.values.items():
        if key != "match" or not isinstance(value, dict):
            flat[key] = value
            continue
        for attribute, pattern in value.items():
            if f"{attribute}." in {LABEL_PREFIX, DIRECTORY_PREFIX} and isinstance(pattern, dict):
                flat.update({f"{MATCH_PREFIX}{attribute}.{name}": text for name, text in pattern.items()})
            else:
                flat[f"{MATCH_PREFIX}{attribute}"] = pattern
    return flat


def _refuse_unknown_owner_key(key: str, where: str) -> None:
    known = (*OWNER_KEYS, *(f"{MATCH_PREFIX}{name}" for name in ATTRIBUTES), f"{MATCH_PREFIX}{LABEL_PREFIX}<name>")
    if not (key.startswith(MATCH_PREFIX) and known_attribute(key.removeprefix(MATCH_PREFIX))):
        refuse_unknown([key], known, where, _OWNERS)


def _refuse_unmatched_placeholders(owner: Owner, match: tuple[tuple[str, str], ...], where: str) -> None:
    matched = {name for name, _ in match}
    for name in sorted(placeholders(owner)):
        if name not in matched:
            raise OwnerMappingError(
                f'{where}: the owner takes "{{{name}}}", which the rule does not match',
                hint=f'add match.{name} = "*", so that the rule applies only where there is one',
            )
