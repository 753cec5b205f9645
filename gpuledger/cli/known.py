"""The part of a period that the ledger knows: its lines of bills, and figures as the collector writes them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

import polars as pl

from analytics.bill_lines import read_charges
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.periods import Period, parse_instant
from gpuledger.accounting.units import US_PER_HOUR, gpu_hours, kwh
from gpuledger.cli.sources import Document, Source

_SIX_PLACES: Final = Decimal("0.000001")


def known_period(answer: Document) -> Period:
    """Return the hours of an answer's period until where its data reaches."""
    span = answer["period"]
    until_us = min(parse_instant(at) for at in (span["to"], answer["as_of"]) if at)
    start_us = parse_instant(span["from"])
    return Period(start_us, max(start_us, -(-until_us // US_PER_HOUR) * US_PER_HOUR), span["label"], span["zone"])


def known_lines(source: Source, answer: Document) -> Iterator[pl.DataFrame]:
    """Yield the charges of an answer's period page by page, as far as they are known."""
    return read_charges(source, known_period(answer))


def hours(part_us: int) -> float:
    """Return GPU-hours to six decimals."""
    return float(gpu_hours(part_us).quantize(_SIX_PLACES))


def energy(energy_mj: int) -> float:
    """Return kilowatt-hours to six decimals."""
    return float(kwh(energy_mj).quantize(_SIX_PLACES))


def money(quanta: int | None) -> str | None:
    """Return an exact amount as answers write it; None where it is not known."""
    if quanta is None:
        return None
    whole, _, decimals = f"{from_quanta(quanta):.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
