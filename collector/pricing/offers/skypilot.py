"""SkyPilot's catalogues in US dollars: one line an instance type and region, with on-demand and spot price."""

from __future__ import annotations

from typing import Final

from collector.pricing.fields import required_text, text_field
from collector.pricing.offers.offer import KIND, PRICINGS, LeftOut, Offer, PriceList, count_of, csv_lines, price_of

COLUMNS: Final = ("InstanceType", "AcceleratorName", "AcceleratorCount", "Price", "Region")
_PRICES: Final = {"on_demand": "Price", "spot": "SpotPrice"}


def parse(content: bytes, source: str) -> PriceList:
    """Return the offers: one for each of its two prices that a line has."""
    offers: list[Offer] = []
    left_out: list[LeftOut] = []
    for record in csv_lines(content, source, COLUMNS):
        instance, gpu = required_text(record, "InstanceType", KIND), text_field(record, "AcceleratorName", KIND)
        gpus = count_of(record, "AcceleratorCount")
        priced = [pricing for pricing in PRICINGS if _PRICES[pricing] in record.values]
        if not gpu or not gpus:
            left_out.append(LeftOut(record.where, instance, "no GPU"))
        elif not priced:
            left_out.append(LeftOut(record.where, instance, "no price"))
        else:
            region = text_field(record, "Region", KIND)
            offers += [
                Offer(record.where, instance, price_of(record, _PRICES[pricing]), gpu, gpus, region, pricing)
                for pricing in priced
            ]
    return PriceList(offers, left_out)
