"""OpenCost's default prices (JSON): one price of a GPU, whatever its model."""

from __future__ import annotations

from typing import Final

from collector.pricing.offers.offer import Offer, PriceList, Pricing, json_object, price_of
from collector.pricing.records import Record
from gpuledger.errors import PriceBookError

_KEYS: Final[dict[str, Pricing]] = {"GPU": "on_demand", "spotGPU": "spot"}


def parse(content: bytes, source: str) -> PriceList:
    """Return one offer for all models. Raises PriceBookError where the file has no price of a GPU."""
    record = Record(source, json_object(content, source))
    provider = str(record.values.get("provider", ""))
    offers = [
        Offer(source, provider, price_of(record, key), gpu="any", gpus=1, pricing=pricing, model="*")
        for key, pricing in _KEYS.items()
        if record.values.get(key)
    ]
    if not offers:
        raise PriceBookError(
            f'{source}: no "GPU" in it: this provider\'s file prices no GPUs', hint="take its whole-machine price list"
        )
    return PriceList(offers, [])
