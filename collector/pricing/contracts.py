"""The `[[contract]]` tables of a price file: how many GPUs are committed, which they may be, and what they cost.

Keys: `name`, `cluster`, `gpus`, `rate` (per GPU and hour, paid whether the GPU is there or not) and `from`; where
wanted `to`, `vendor`, `pool`, `model`, `mig_profile` and `node` (the last three may be patterns), a `discount_percent`,
and a currency with its exchange rate, as entries have them.
"""

from __future__ import annotations

from typing import Final

from collector.pricing.fields import MAX_MODEL, required_text, text_field, validity_fields
from collector.pricing.records import FileKind, Record, refuse_unknown
from collector.pricing.terms import EXCHANGE, stated_rate
from gpuledger.accounting.commitments import Contract
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.errors import PriceBookError

MAX_GPUS: Final = 1_000_000
SCOPE: Final = ("cluster", "pool", "model", "mig_profile", "node")
KEYS: Final = ("name", "vendor", *SCOPE, "gpus", "rate", "discount_percent", "currency", *EXCHANGE, "from", "to")
_CONTRACTS: Final = FileKind(
    "contract",
    "contract",
    PriceBookError,
    'a contract needs these: [[contract]] name = "lease-7", cluster = "lab", gpus = 8, rate = "1.90",'
    " from = 2026-01-01T00:00:00Z",
)


def parse_contracts(tables: object, book_currency: str, source: str) -> list[Contract]:
    """Return the contracts of a price file in its order; raises PriceBookError with the entry and the next step."""
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PriceBookError(f'{source}: "contract" is not a list of tables', hint=_CONTRACTS.example)
    records = [Record(f"{source}: contract {number}", table) for number, table in enumerate(tables, 1)]
    return [_contract(record, book_currency) for record in records]


def _contract(record: Record, book_currency: str) -> Contract:
    refuse_unknown(record.values, KEYS, record.where, _CONTRACTS)
    name = required_text(record, "name", _CONTRACTS)
    cluster = required_text(record, "cluster", _CONTRACTS)
    gpus = _gpus(record)
    from_us, to_us = validity_fields(record, _CONTRACTS, US_PER_SECOND)
    if from_us is None:
        raise PriceBookError(
            f"{record.where}: from is missing", hint="a commitment begins: from = 2026-01-01T00:00:00Z"
        )
    rate = stated_rate(record, book_currency, _CONTRACTS)
    return Contract(
        name=name,
        cluster=cluster,
        gpus=gpus,
        rate_quanta=rate.rate_quanta,
        model=text_field(record, "model", _CONTRACTS, most=MAX_MODEL) or "*",
        vendor=text_field(record, "vendor", _CONTRACTS),
        pool=text_field(record, "pool", _CONTRACTS),
        mig_profile=text_field(record, "mig_profile", _CONTRACTS),
        node=text_field(record, "node", _CONTRACTS),
        from_us=from_us,
        to_us=to_us,
        terms=rate.terms,
        list_rate_quanta=rate.list_rate_quanta,
    )


def _gpus(record: Record) -> int:
    value = record.values.get("gpus")
    if value is None:
        raise PriceBookError(f"{record.where}: gpus is missing", hint=_CONTRACTS.example)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MAX_GPUS:
        raise PriceBookError(
            f"{record.where}: gpus {value!r} is not a whole number from 1 to {MAX_GPUS}",
            hint="say how many GPUs are committed; leave the contract out where none is",
        )
    return value
