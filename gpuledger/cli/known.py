"""The part of a period that the ledger knows: its lines of bills, and how they read in an answer."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from analytics.bill_lines import read_charges
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.periods import Period, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.sources import Document, Source


def known_period(answer: Document) -> Period:
    """Return the hours of an answer's period until where its data reaches."""
    span = answer["period"]
    until_us = min(parse_instant(at) for at in (span["to"], answer["as_of"]) if at)
    start_us = parse_instant(span["from"])
    return Period(start_us, max(start_us, -(-until_us // US_PER_HOUR) * US_PER_HOUR), span["label"], span["zone"])


def known_lines(source: Source, answer: Document) -> Iterator[pl.DataFrame]:
    """Yield the charges of an answer's period page by page, as far as they are known."""
    return read_charges(source, known_period(answer))


def money(quanta: int | None) -> str | None:
    """Return an exact amount as answers write it; None where it is not known."""
    if quanta is None:
        return None
    whole, _, decimals = f"{from_quanta(quanta):.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"
