"""AWS on-demand prices with GPU facts: one line an instance type, with the number and name of its GPUs."""

from __future__ import annotations

from typing import Final

from collector.pricing.fields import required_text, text_field
from collector.pricing.offers.offer import KIND, LeftOut, Offer, PriceList, count_of, csv_lines, price_of

COLUMNS: Final = ("region", "instance_type", "gpu_count", "gpu_name", "on_demand_per_hour", "currency")


def parse(content: bytes, source: str) -> PriceList:
    """Return the offers. A named GPU with a count of 0 is part of one; a line without a GPU is another accelerator."""
    offers: list[Offer] = []
    left_out: list[LeftOut] = []
    for record in csv_lines(content, source, COLUMNS):
        instance, gpu = required_text(record, "instance_type", KIND), text_field(record, "gpu_name", KIND)
        gpus, price = count_of(record, "gpu_count"), price_of(record, "on_demand_per_hour")
        if not gpu:
            other = text_field(record, "accelerator_name", KIND)
            left_out.append(LeftOut(record.where, instance, f"no GPU: {other or 'nothing that is named'}"))
        elif not gpus:
            left_out.append(
                LeftOut(record.where, instance, f"a part of one {gpu}: a price of it is not one of the card")
            )
        else:
            offers.append(
                Offer(
                    where=record.where,
                    instance=instance,
                    price=price,
                    gpu=gpu,
                    gpus=gpus,
                    region=text_field(record, "region", KIND),
                    currency=required_text(record, "currency", KIND),
                    as_of=text_field(record, "as_of", KIND),
                )
            )
    return PriceList(offers, left_out)
