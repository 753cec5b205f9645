"""Google Cloud prices in US dollars: one line a region, machine type and way of selling (on demand or spot)."""

from __future__ import annotations

from typing import Final

from collector.pricing.fields import required_text
from collector.pricing.offers.offer import KIND, PRICINGS, Offer, PriceList, csv_lines, price_of
from collector.pricing.records import Record
from gpuledger.errors import PriceBookError

COLUMNS: Final = ("region", "machine_type", "pricing", "price_per_hour")


def parse(content: bytes, source: str) -> PriceList:
    """Return the offers; the table of models says how many GPUs a machine type has."""
    return PriceList([_offer(record) for record in csv_lines(content, source, COLUMNS)], [])


def _offer(record: Record) -> Offer:
    pricing = required_text(record, "pricing", KIND)
    for known in PRICINGS:
        if pricing == known:
            return Offer(
                where=record.where,
                instance=required_text(record, "machine_type", KIND),
                price=price_of(record, "price_per_hour"),
                region=required_text(record, "region", KIND),
                pricing=known,
            )
    raise PriceBookError(f'{record.where}: pricing "{pricing}"', hint=f"known are {', '.join(PRICINGS)}")
