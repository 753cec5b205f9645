"""Contracts as the ledger keeps them with the version of the price book that defines them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa

from gpuledger.accounting.commitments import Contract
from gpuledger.accounting.terms import RateTerms

_TERMS: Final = ("stated_rate", "discount_percent", "currency", "exchange_rate", "exchange_source", "exchange_date")
_OWN: Final = tuple(name for name in Contract._fields if name != "terms")
_NO_TERMS: Final = RateTerms()
CONTRACT_SCHEMA: Final = pa.schema([
    ("place", pa.int32()),
    *((name, pa.string()) for name in ("name", "vendor", "cluster", "pool", "model", "mig_profile", "node")),
    ("gpus", pa.int32()),
    ("rate_quanta", pa.int64()),
    ("list_rate_quanta", pa.int64()),
    ("stated_rate", pa.decimal128(18, 9)),
    ("discount_percent", pa.decimal128(18, 9)),
    ("currency", pa.string()),
    ("exchange_rate", pa.decimal128(28, 12)),
    ("exchange_source", pa.string()),
    ("exchange_date", pa.string()),
    ("from_us", pa.int64()),
    ("to_us", pa.int64()),
])  # fmt: skip


def contract_rows(contracts: Sequence[Contract]) -> pa.Table:
    """Return contracts as rows to insert."""
    rows = []
    for place, contract in enumerate(contracts):
        terms = contract.terms or _NO_TERMS
        stated = {name: getattr(terms, name) for name in _TERMS}
        rows.append({"place": place, **stated, **{name: getattr(contract, name) for name in _OWN}})
    return pa.Table.from_pylist(rows, schema=CONTRACT_SCHEMA)


def stored_contract(row: dict[str, Any]) -> Contract:
    """Return a contract as it was imported."""
    stated = RateTerms(**{name: row[name] for name in _TERMS})
    return Contract(**{name: row[name] for name in _OWN}, terms=None if stated == _NO_TERMS else stated)
