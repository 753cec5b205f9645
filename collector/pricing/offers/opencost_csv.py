"""OpenCost's custom price sheet (CSV): lines of the class `gpu` are prices of one GPU, by the value of a node label."""

from __future__ import annotations

import re
from typing import Final

from collector.pricing.fields import required_text, text_field
from collector.pricing.offers.offer import KIND, LeftOut, Offer, PriceList, csv_lines, price_of

COLUMNS: Final = ("EndTimestamp", "InstanceID", "AssetClass", "InstanceIDField", "MarketPriceHourly")
_PRODUCT: Final = re.compile(r"(NVIDIA|Tesla|Quadro|GeForce|GRID)[-_].+")


def parse(content: bytes, source: str) -> PriceList:
    """Return the offers. A label that is NVML's name with its spaces replaced becomes a pattern for that name."""
    offers: list[Offer] = []
    left_out: list[LeftOut] = []
    for record in csv_lines(content, source, COLUMNS):
        name, kind = required_text(record, "InstanceID", KIND), required_text(record, "AssetClass", KIND)
        price = price_of(record, "MarketPriceHourly")
        if kind != "gpu":
            left_out.append(LeftOut(record.where, name, f"a price of the class {kind}, not of a GPU"))
            continue
        offers.append(
            Offer(
                where=record.where,
                instance=text_field(record, "InstanceIDField", KIND),
                price=price,
                gpu=name,
                gpus=1,
                region=text_field(record, "Region", KIND),
                as_of=text_field(record, "EndTimestamp", KIND),
                model=re.sub("[-_ ]", "?", name) if _PRODUCT.fullmatch(name) else "",
            )
        )
    return PriceList(offers, left_out)
