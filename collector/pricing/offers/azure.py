"""Azure on-demand prices: one line a region and VM size; which GPUs a size has, only its name tells."""

from __future__ import annotations

from typing import Final

from collector.pricing.fields import required_text, text_field
from collector.pricing.offers.offer import KIND, Offer, PriceList, csv_lines, price_of

COLUMNS: Final = ("region", "vm_size", "on_demand_per_hour", "currency")


def parse(content: bytes, source: str) -> PriceList:
    """Return the offers; the table of models says how many GPUs a size has."""
    offers = [
        Offer(
            where=record.where,
            instance=required_text(record, "vm_size", KIND),
            price=price_of(record, "on_demand_per_hour"),
            region=required_text(record, "region", KIND),
            currency=required_text(record, "currency", KIND),
            as_of=text_field(record, "as_of", KIND),
        )
        for record in csv_lines(content, source, COLUMNS)
    ]
    return PriceList(offers, [])
